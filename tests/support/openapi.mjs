// Holds replies against swagger/openapi.yaml: what a test gets is what the documentation says, or the test fails.

import Ajv from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { parse } from 'yaml';

import { root } from './server.mjs';

const documented = parse(readFileSync(path.join(root, 'swagger/openapi.yaml'), 'utf8'));
const ajv = new Ajv({ strict: false, allErrors: true, validateSchema: false });
addFormats(ajv);
ajv.addSchema(documented, 'openapi');

const routes = Object.keys(documented.paths).map(route => {
  const pattern = route.replace(/[.+*?^$()[\]|\\]/g, '\\$&').replace(/\{[^}]+\}/g, '[^/]+');
  return { route, pattern: new RegExp(`^${pattern}$`) };
});

// The object at `pointer` ("#/paths/…"), and the pointer of what it refers to.
function follow(pointer) {
  const value = pointer.slice(2).split('/').reduce((at, key) => at?.[unescapeKey(key)], documented);
  return value?.$ref ? follow(value.$ref) : { value, pointer };
}

function escapeKey(key) {
  return encodeURIComponent(key.replaceAll('~', '~0').replaceAll('/', '~1'));
}

function unescapeKey(key) {
  return decodeURIComponent(key).replaceAll('~1', '/').replaceAll('~0', '~');
}

/** Fails unless `value` fits the schema components.schemas.`name`. */
export function checkSchema(name, value) {
  check(`#/components/schemas/${name}`, value, name);
}

function check(pointer, value, what) {
  const validate = ajv.getSchema(`openapi${pointer}`) ?? assert.fail(`no schema ${pointer} in swagger/openapi.yaml`);
  if (validate(value)) return;
  const problems = validate.errors.map(error => `  ${error.instancePath || '/'} ${error.message}`).join('\n');
  assert.fail(`${what} does not fit swagger/openapi.yaml:\n${problems}\n${JSON.stringify(value, null, 2)}`);
}

/** Fails unless the documentation knows this reply; `type` is its Content-Type. Gives the body, parsed if it's JSON. */
export function checkReply(method, pathname, status, type, text) {
  const what = `${method} ${pathname} → ${status}`;
  const { route } = routes.find(({ pattern }) => pattern.test(pathname)) ?? assert.fail(
    `${what}: no such path in the documentation`
  );
  const responses = `#/paths/${escapeKey(route)}/${method.toLowerCase()}/responses`;
  const { value: response, pointer } = follow(`${responses}/${status}`);
  assert.ok(response, `${what}: no such status in the documentation; the body is ${text}`);
  if (!response.content) {
    assert.equal(text, '', `${what} is documented without a body`);
    return undefined;
  }
  const media = (type ?? '').split(';')[0].trim();
  assert.ok(response.content[media], `${what}: the type ${type} is not documented`);
  if (media !== 'application/json') return text;
  const body = JSON.parse(text);
  check(`${pointer}/content/${escapeKey(media)}/schema`, body, what);
  return body;
}
