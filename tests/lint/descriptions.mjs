// What the lints of swagger/*.yaml share.

import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

/** Every object inside `value`, with its JSON pointer. */
export function* objects(value, pointer = '#') {
  if (value === null || typeof value !== 'object') return;
  yield [value, pointer];
  for (const [key, member] of Object.entries(value)) {
    yield* objects(member, `${pointer}/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`);
  }
}

/** What is wrong with the schemas below `place`, in `value`: they let members in that they do not name. Below an allOf,
 * members are narrowed that another of its schemas has. */
export function* lenient(value, place) {
  for (const [schema, pointer] of objects(value, place)) {
    if (schema.type !== 'object' || /\/allOf\/\d+$/.test(pointer)) continue;
    if (schema.additionalProperties !== false) yield `${pointer} lets unknown members in: additionalProperties: false`;
  }
}

/** The files below `directory` of the tree, and in its folders, whose names end so: `{name, text}`. */
export function sources(tree, directory, ending) {
  const names = readdirSync(path.join(tree, directory), { recursive: true }).filter(name => name.endsWith(ending));
  return names.map(name => ({
    name: path.join(directory, name), text: readFileSync(path.join(tree, directory, name), 'utf8'),
  }));
}

/** Prints every problem; the process ends with 1 when there is one. */
export function tell(problems) {
  for (const problem of problems) console.log(problem);
  process.exitCode = problems.length === 0 ? 0 : 1;
}
