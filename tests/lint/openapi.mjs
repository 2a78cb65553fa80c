// Holds swagger/openapi.yaml of a tree against Redocly's strictest rules, and against the tables in the C sources: the
// codes of the status table and the routes. Prints every problem; ends with 1 when there is one.

import { readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';

const { createConfig, lint, parseYaml } = createRequire(new URL('../../swagger/', import.meta.url))('@redocly/openapi-core');

const tree = path.resolve(process.argv[2]);
const file = path.join(tree, 'swagger/openapi.yaml');
const problems = [];

/** Every object inside `value`, with its JSON pointer. */
function* objects(value, pointer = '#') {
  if (value === null || typeof value !== 'object') return;
  yield [value, pointer];
  for (const [key, member] of Object.entries(value)) {
    yield* objects(member, `${pointer}/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`);
  }
}

// What `lint` would fetch.
function checkReferences(description) {
  for (const [{ $ref }, pointer] of objects(description)) {
    if (typeof $ref === 'string' && !$ref.startsWith('#/')) problems.push(`${pointer} leaves the file: ${$ref}`);
  }
}

async function checkRules() {
  const config = await createConfig({ extends: ['recommended-strict'] });
  for (const { ruleId, message, location } of await lint({ ref: file, config })) {
    problems.push(`${location[0]?.pointer ?? '#'} ${ruleId}: ${message}`);
  }
}

// Below an allOf, members are narrowed that another of its schemas has.
function checkStrictness(description) {
  for (const [schema, pointer] of objects(description.components.schemas, '#/components/schemas')) {
    if (schema.type !== 'object' || /\/allOf\/\d+$/.test(pointer)) continue;
    if (schema.additionalProperties !== false) problems.push(`${pointer} lets unknown members in: additionalProperties: false`);
  }
}

function checkCodes(description) {
  const table = readFileSync(path.join(tree, 'include/util/status.h'), 'utf8');
  const rows = [...table.matchAll(/X\(\w+, "(\w+)", (\d+),/g)];
  const told = new Set(rows.filter(row => Number(row[2]) >= 400).map(row => row[1]));
  const documented = new Set(description.components.schemas.ErrorCode.enum);
  for (const code of told) {
    if (!documented.has(code)) problems.push(`ErrorCode lacks ${code} of include/util/status.h`);
  }
  for (const code of documented) {
    if (!told.has(code)) problems.push(`ErrorCode has ${code}, which include/util/status.h has not`);
  }
}

// The rows of the tables of routes: {"GET", "/api/users", …}, with or without the names of the members.
function checkRoutes(description) {
  const row = /"(GET|POST|PUT|PATCH|DELETE)",\s*(?:\.name\s*=\s*)?"(\/[^"]*)"/g;
  const sources = readdirSync(path.join(tree, 'src'), { withFileTypes: true }).flatMap(layer => layer.isDirectory()
    ? readdirSync(path.join(tree, 'src', layer.name)).map(name => path.join('src', layer.name, name))
    : [path.join('src', layer.name)]);
  for (const source of sources.filter(name => name.endsWith('.c'))) {
    for (const [, method, route] of readFileSync(path.join(tree, source), 'utf8').matchAll(row)) {
      const described = route.replace(/:(\w+)/g, '{$1}');
      if (!description.paths[described]?.[method.toLowerCase()]) problems.push(`${method} ${route} of ${source} is not described`);
    }
  }
}

const description = parseYaml(readFileSync(file, 'utf8'));
checkReferences(description);
if (problems.length === 0) await checkRules();
checkStrictness(description);
checkCodes(description);
checkRoutes(description);
for (const problem of problems) console.log(problem);
process.exitCode = problems.length === 0 ? 0 : 1;
