// How the demo page at / is served. What it does for people is in tests/demo.

import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';

import { stopServer } from '../support/api.mjs';
import { startServer, temporaryDirectory } from '../support/server.mjs';

describe('the demo page', () => {
  let server;

  before(async () => (server = await startServer()));
  after(() => stopServer(server));

  test('its parts come under a strict policy, and nothing else of web/ does', async () => {
    const response = await fetch(`${server.url}/`);
    assert.equal(response.status, 200);
    assert.match(response.headers.get('content-type'), /^text\/html/);
    const policy = response.headers.get('content-security-policy');
    assert.match(policy, /default-src 'none';/);
    assert.match(policy, /trusted-types 'none'/);
    assert.doesNotMatch(policy, /unsafe|https?:|wss?:|\*/);
    const markup = await response.text();
    assert.doesNotMatch(markup, /<style|style=|<script(?![^>]*src=)| on\w+=/);
    const again = await fetch(`${server.url}/`, { headers: { 'if-none-match': response.headers.get('etag') } });
    assert.equal(again.status, 304);
    assert.equal((await fetch(`${server.url}/`, { method: 'POST' })).status, 405);
    for (const [name, type] of [['main.js', /javascript/], ['style.css', /css/], ['icon.svg', /svg/]]) {
      const part = await fetch(`${server.url}/web/${name}`);
      assert.equal(part.status, 200);
      assert.match(part.headers.get('content-type'), type);
      assert.equal(part.headers.get('content-security-policy'), policy);
    }
    for (const pathname of ['/web/', '/web', '/web/package.json', '/web/node_modules/', '/web/../migrations/0001_accounts.sql', '/nothing']) {
      assert.equal((await fetch(`${server.url}${pathname}`)).status, 404, pathname);
    }
  });

  const statusOf = async (where, pathname) => (await fetch(`${where.url}${pathname}`)).status;

  for (const [env, status] of [
    [{ STONECHAT_ENV: 'production' }, 404],
    [{ STONECHAT_ENV: 'production', WEB_DEMO: '1' }, 200],
    [{ STONECHAT_ENV: 'development' }, 200],
    [{ STONECHAT_ENV: 'development', WEB_DEMO: '0' }, 404],
  ]) {
    test(`with ${JSON.stringify(env)} it is ${status}`, async () => {
      const own = await startServer({ env: { RATE_LIMIT_DISABLED: '0', ...env } });
      try {
        for (const pathname of ['/', '/web/main.js']) assert.equal(await statusOf(own, pathname), status);
        const { code } = status === 404 ? await (await fetch(`${own.url}/`)).json() : { code: 'NOT_FOUND' };
        assert.equal(code, 'NOT_FOUND');
        assert.equal(await statusOf(own, '/api/docs'), 200);
      } finally {
        await own.stop();
      }
    });
  }

  test('without the npm package, the page says how to get it', async () => {
    const share = temporaryDirectory();
    mkdirSync(path.join(share, 'web'), { recursive: true });
    const own = await startServer({ env: { SHARE_DIR: share } });
    try {
      assert.match(await (await fetch(`${own.url}/`)).text(), /npm ci/);
      assert.equal(await statusOf(own, '/web/main.js'), 404);
    } finally {
      await own.stop();
    }
  });
});
