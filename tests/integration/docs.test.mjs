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

  test('the descriptions are there to be read by programs', async () => {
    for (const name of ['openapi.yaml', 'asyncapi.yaml']) {
      const response = await fetch(`${server.url}/api/docs/${name}`);
      assert.equal(response.status, 200);
      assert.match(response.headers.get('content-type'), /yaml/);
      const text = await response.text();
      assert.equal(text, readFileSync(path.join(root, 'swagger', name), 'utf8'));
      const etag = response.headers.get('etag');
      const again = await fetch(`${server.url}/api/docs/${name}`, { headers: { 'if-none-match': etag } });
      assert.deepEqual([again.status, await again.text()], [304, '']);
    }
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

  test('every event of the contract is described', () => {
    const { channels } = parse(readFileSync(path.join(root, 'swagger/asyncapi.yaml'), 'utf8'));
    for (const event of [
      'private-message', 'message-seen', 'message_read', 'typing', 'stop_typing', 'user-online', 'user-offline',
      'send_friend_request', 'accept_friend_request', 'reject_friend_request', 'friend_request_received',
      'friend_request_accepted', 'friend_request_rejected', 'contact_added', 'call-user', 'answer-call', 'ice-candidate',
      'end-call', 'operation-error', 'reset',
    ]) {
      assert.ok(channels[event], event);
    }
  });

  test('the pages lie at /api/docs, with and without a slash, and behind it, under a strict policy', async () => {
    for (const pathname of ['/api/docs', '/api/docs/', '/api/docs/events']) {
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
    assert.equal(await page.locator('.info a[href="/api/docs/events"]').count(), 1);
    assert.deepEqual(page.problems, []);
    for (const url of page.requested) assert.ok(url.startsWith(server.url) || url.startsWith('data:'), url);
    await page.context().close();
  });

  test('the page of the events shows each of them, both ways, with what it carries and an example', async () => {
    const { channels, operations } = parse(readFileSync(path.join(root, 'swagger/asyncapi.yaml'), 'utf8'));
    const page = await openPage(browser);
    await page.goto(`${server.url}/api/docs/events#end-call`);
    await page.waitForSelector('article');
    const shown = await page.$$eval('article', articles => articles.map(article => ({
      event: article.querySelector('h3 > a').textContent,
      parts: [...article.querySelectorAll('section')].map(part => ({
        heading: part.querySelector('h4').textContent,
        members: [...part.querySelectorAll('td:first-child > code')].map(node => node.textContent),
        examples: [...part.querySelectorAll('pre')].map(node => JSON.parse(node.textContent)),
      })),
    })));
    assert.deepEqual(shown.map(({ event }) => event).sort(), Object.keys(channels).sort());
    assert.equal(shown.flatMap(({ parts }) => parts).length, Object.keys(operations).length);
    for (const { members, examples } of shown.flatMap(({ parts }) => parts)) {
      assert.ok(examples.length > 0);
      const good = examples.filter(({ success }) => success !== false); // how a failure looks is told once for all
      for (const name of good.flatMap(Object.keys)) assert.ok(members.includes(name), `${name} of ${members}`);
    }
    const [sent, got] = shown.find(({ event }) => event === 'private-message').parts;
    assert.match(sent.heading, /Client → server.*limit messages: 30 in 10 s/);
    assert.ok(sent.members.includes('message.createdAt'), `${sent.members}`); // of the ack, and of openapi.yaml
    assert.match(got.heading, /Server → client.*kept/);
    assert.ok(await page.$eval('#end-call', article => Math.abs(article.getBoundingClientRect().top) < innerHeight));
    assert.deepEqual(page.problems, []);
    for (const url of page.requested) assert.ok(url.startsWith(server.url), url);
    await page.context().close();
  });

  test('the page of the events is light or dark as its reader wants it', async () => {
    const page = await openPage(browser);
    await page.goto(`${server.url}/api/docs/events`);
    const lightness = async colorScheme => {
      await page.emulateMedia({ colorScheme });
      const sum = color => color.match(/\d+/g).slice(0, 3).reduce((total, part) => total + Number(part), 0);
      const style = await page.$eval('body', body => [getComputedStyle(body).color, getComputedStyle(body).backgroundColor]);
      return style.map(sum);
    };
    const [[lightText, lightPaper], [darkText, darkPaper]] = [await lightness('light'), await lightness('dark')];
    assert.ok(lightPaper - lightText > 500 && darkText - darkPaper > 500, 'text stands out from its paper');
    await page.context().close();
  });

  test('without its packages the page of the events says how to get them', async () => {
    const page = await openPage(browser);
    await page.route('**/js-yaml.mjs', route => route.fulfill({ status: 404 }));
    await page.goto(`${server.url}/api/docs/events`);
    assert.match(await page.textContent('main'), /npm ci/);
    assert.equal(await page.locator('main a[href="/api/docs/asyncapi.yaml"]').count(), 1);
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
