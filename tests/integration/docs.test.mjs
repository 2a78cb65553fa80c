// The API's documentation, as somebody sees it who opens it.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { parse } from 'yaml';

import { Client, password, stopServer } from '../support/api.mjs';
import { openPage, startBrowser } from '../support/browser.mjs';
import { root, startServer } from '../support/server.mjs';

describe('/api/docs', () => {
  let server, browser;

  before(async () => {
    server = await startServer();
    browser = await startBrowser();
  });
  after(async () => {
    await browser?.close();
    await stopServer(server);
  });

  test('the description is there to be read by programs', async () => {
    const response = await fetch(`${server.url}/api/docs/openapi.yaml`);
    assert.equal(response.status, 200);
    assert.match(response.headers.get('content-type'), /yaml/);
    const text = await response.text();
    assert.equal(text, readFileSync(path.join(root, 'swagger/openapi.yaml'), 'utf8'));
    const etag = response.headers.get('etag');
    const again = await fetch(`${server.url}/api/docs/openapi.yaml`, { headers: { 'if-none-match': etag } });
    assert.deepEqual([again.status, await again.text()], [304, '']);
  });

  test('every route of the contract is described', () => {
    const { paths } = parse(readFileSync(path.join(root, 'swagger/openapi.yaml'), 'utf8'));
    const routes = Object.entries(paths)
      .flatMap(([route, methods]) => Object.keys(methods).map(method => `${method} ${route}`));
    for (const route of [
      'post /api/auth/register', 'post /api/auth/login', 'get /api/users/me', 'get /api/users',
      'post /api/contacts/request', 'post /api/contacts/accept', 'post /api/contacts/reject',
      'post /api/contacts/remove', 'get /api/contacts/requests', 'get /api/contacts/profile',
      'get /api/chats', 'get /api/messages', 'post /api/messages', 'get /api/calls', 'get /health',
      'get /health/live', 'get /health/ready', 'get /metrics',
    ]) {
      assert.ok(routes.includes(route), route);
    }
  });

  test('the page lies at /api/docs, with and without a slash, under a strict policy', async () => {
    for (const pathname of ['/api/docs', '/api/docs/']) {
      const response = await fetch(`${server.url}${pathname}`);
      assert.equal(response.status, 200);
      assert.match(response.headers.get('content-type'), /^text\/html/);
      const policy = response.headers.get('content-security-policy');
      assert.match(policy, /default-src '(none|self)'/);
      assert.doesNotMatch(policy, /unsafe-inline|unsafe-eval|https:|\*/);
    }
    for (const pathname of [
      '/api/docs/../openapi.yaml', '/api/docs/%2e%2e/package.json', '/api/docs/package.json', '/api/docs/node_modules',
    ]) {
      const response = await fetch(`${server.url}${pathname}`);
      assert.equal(response.status, 404, pathname);
    }
  });

  test('it renders without errors and without asking anybody else', async () => {
    const page = await openPage(browser);
    await page.goto(`${server.url}/api/docs`);
    await page.waitForSelector('.opblock');
    assert.match(await page.textContent('.info .title'), /Stonechat/);
    const shown = await page.$$eval('.opblock .opblock-summary-path', nodes => nodes.map(node => node.dataset.path));
    for (const route of ['/api/auth/login', '/api/messages', '/api/calls']) assert.ok(shown.includes(route), route);
    assert.deepEqual(page.problems, []);
    for (const url of page.requested) assert.ok(url.startsWith(server.url) || url.startsWith('data:'), url);
    await page.context().close();
  });

  test('"Try it out" logs in, and the token opens the other routes', async () => {
    const alice = await Client.register(server, 'alice');
    const page = await openPage(browser);
    await page.goto(`${server.url}/api/docs`);
    const operation = (method, route) => page.locator(`.opblock-${method}`)
      .filter({ has: page.locator(`.opblock-summary-path[data-path="${route}"]`) });
    const status = '.live-responses-table .response .response-col_status';

    const login = operation('post', '/api/auth/login');
    await login.locator('.opblock-summary').click();
    await login.getByRole('button', { name: 'Try it out' }).click();
    await login.locator('textarea.body-param__text').fill(JSON.stringify({ username: alice.username, password }));
    await login.getByRole('button', { name: 'Execute' }).click();
    await login.locator(status).waitFor();
    assert.match(await login.locator(status).textContent(), /^200/);
    const shown = await login.locator('.live-responses-table .highlight-code').first().textContent();
    const { token } = JSON.parse(shown.slice(shown.indexOf('{'), shown.lastIndexOf('}') + 1)).data;

    await page.getByRole('button', { name: 'Authorize' }).first().click();
    const dialog = page.locator('.modal-ux');
    await dialog.locator('input').fill(token);
    await dialog.getByRole('button', { name: 'Apply credentials' }).click();
    await dialog.getByRole('button', { name: 'Close' }).click();
    const me = operation('get', '/api/users/me');
    await me.locator('.opblock-summary').click();
    await me.getByRole('button', { name: 'Try it out' }).click();
    await me.getByRole('button', { name: 'Execute' }).click();
    await me.locator(status).waitFor();
    assert.match(await me.locator(status).textContent(), /^200/);
    assert.match(await me.locator('.live-responses-table').textContent(), new RegExp(alice.username));
    assert.deepEqual(page.problems, []);
    for (const url of page.requested) assert.ok(url.startsWith(server.url) || url.startsWith('data:'), url);
    await page.context().close();
  });
});
