// Holds swagger/openapi.yaml of a tree against Redocly's strictest rules, and against the tables in the C sources: the
// codes of the status table and the routes. Prints every problem; ends with 1 when there is one.

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';

import { lenient, objects, sources, tell } from './descriptions.mjs';

const { createConfig, lint, parseYaml } = createRequire(new URL('../../swagger/', import.meta.url))('@redocly/openapi-core');

const tree = path.resolve(process.argv[2]);
const file = path.join(tree, 'swagger/openapi.yaml');
const problems = [];

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
  for (const { name, text } of sources(tree, 'src', '.c')) {
    for (const [, method, route] of text.matchAll(row)) {
      const described = route.replace(/:(\w+)/g, '{$1}');
      if (!description.paths[described]?.[method.toLowerCase()]) problems.push(`${method} ${route} of ${name} is not described`);
    }
  }
}

const description = parseYaml(readFileSync(file, 'utf8'));
checkReferences(description);
if (problems.length === 0) await checkRules();
problems.push(...lenient(description.components.schemas, '#/components/schemas'));
checkCodes(description);
checkRoutes(description);
tell(problems);
