// Holds replies against swagger/openapi.yaml: what a test gets is what the documentation says, or the test fails.

import assert from 'node:assert/strict';

import { follow, misfit, openapi } from './descriptions.mjs';

const routes = Object.keys(openapi.paths).map(route => {
  const pattern = route.replace(/[.+*?^$()[\]|\\]/g, '\\$&').replace(/\{[^}]+\}/g, '[^/]+');
  return { route, pattern: new RegExp(`^${pattern}$`) };
});

function escapeKey(key) {
  return encodeURIComponent(key.replaceAll('~', '~0').replaceAll('/', '~1'));
}

/** Fails unless `value` fits the schema components.schemas.`name`. */
export function checkSchema(name, value) {
  check(`#/components/schemas/${name}`, value, name);
}

function check(pointer, value, what) {
  const problem = misfit(`openapi.yaml${pointer}`, value, what);
  if (problem) assert.fail(problem);
}

/** Fails unless the documentation knows this reply; `type` is its Content-Type. Gives the body, parsed if it's JSON. */
export function checkReply(method, pathname, status, type, text) {
  const what = `${method} ${pathname} → ${status}`;
  const { route } = routes.find(({ pattern }) => pattern.test(pathname)) ?? assert.fail(
    `${what}: no such path in the documentation`
  );
  const responses = `#/paths/${escapeKey(route)}/${method.toLowerCase()}/responses`;
  const { value: response, pointer } = follow(openapi, `${responses}/${status}`);
  assert.ok(response, `${what}: no such status in the documentation; the body is ${text}`);
  if (!response.content) {
    assert.equal(text, '', `${what} is documented without a body`);
    return undefined;
  }
  const media = (type ?? '').split(';')[0].trim();
  assert.ok(response.content[media], `${what}: the type ${type} is not documented`);
  if (media !== 'application/json') return text;
  assert.equal(type, 'application/json; charset=utf-8', what);
  const body = JSON.parse(text);
  check(`${pointer}/content/${escapeKey(media)}/schema`, body, what);
  return body;
}
