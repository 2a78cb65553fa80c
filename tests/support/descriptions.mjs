// swagger/*.yaml as one set of schemas, for what holds replies and events against them.

import Ajv from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { parse } from 'yaml';

import { root } from './server.mjs';

const read = name => parse(readFileSync(path.join(root, 'swagger', name), 'utf8'));
const readBoth = () => ({ openapi: read('openapi.yaml'), asyncapi: read('asyncapi.yaml') });

// To parse YAML takes longer than many a test: with-services.mjs does it once, for all files.
const parsed = process.env.STONECHAT_TEST_DESCRIPTIONS;
export const { openapi, asyncapi } = parsed ? JSON.parse(readFileSync(parsed, 'utf8')) : readBoth();

const ajv = new Ajv({ strict: false, allErrors: true, validateSchema: false });
addFormats(ajv);
ajv.addSchema(openapi, 'openapi.yaml').addSchema(asyncapi, 'asyncapi.yaml');

function unescapeKey(key) {
  return decodeURIComponent(key).replaceAll('~1', '/').replaceAll('~0', '~');
}

/** The object at `pointer` ("#/paths/…") of a description, and the pointer of what it refers to in the end. */
export function follow(description, pointer) {
  const value = pointer.slice(2).split('/').reduce((at, key) => at?.[unescapeKey(key)], description);
  return value?.$ref ? follow(description, value.$ref) : { value, pointer };
}

/** Why `value` does not fit the schema at `place` ("openapi.yaml#/components/schemas/User"), as text; undefined if it does. */
export function misfit(place, value, what) {
  const validate = ajv.getSchema(place) ?? assert.fail(`no schema ${place} in swagger/`);
  if (validate(value)) return undefined;
  const problems = validate.errors.map(error => `  ${error.instancePath || '/'} ${error.message}`).join('\n');
  return `${what} does not fit swagger/${place}:\n${problems}\n${JSON.stringify(value, null, 2)}`;
}
