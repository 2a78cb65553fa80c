// Two browsers chat, from a web page that lives elsewhere, with the stock client's browser build.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { password, stopServer, unique } from '../support/api.mjs';
import { checkEvent } from '../support/asyncapi.mjs';
import { openPage, startBrowser, startWebSite } from '../support/browser.mjs';
import { freePort, startServer } from '../support/server.mjs';

describe('browsers', () => {
  let server, browser, site, foreign;

  before(async () => {
    const port = await freePort();
    server = await startServer({ env: { ALLOWED_ORIGINS: `http://127.0.0.1:${port}` } });
    site = await startWebSite(port);
    foreign = await startWebSite(await freePort());
    browser = await startBrowser();
  });
  after(async () => {
    await browser?.close();
    await site?.stop();
    await foreign?.stop();
    await stopServer(server);
  });

  // In the page: `post(path, body)`, `get(path)`, `connect(options)`, `next(event)`, `ask(event, data)`.
  function prepare(url) {
    let token, socket;
    const received = [];
    const all = [];
    const waiting = [];
    const call = async (path, options) => {
      const headers = { ...options.headers, ...(token && { authorization: `Bearer ${token}` }) };
      const response = await fetch(url + path, { ...options, headers, credentials: 'include' });
      return { status: response.status, body: await response.json() };
    };
    const deliver = () => {
      for (const wait of [...waiting]) {
        const place = received.findIndex(([event]) => event === wait.event);
        if (place < 0) continue;
        waiting.splice(waiting.indexOf(wait), 1);
        wait.resolve(received.splice(place, 1)[0][1]);
      }
    };
    Object.assign(window, {
      get: path => call(path, { method: 'GET' }),
      post: (path, body) => call(path, {
        method: 'POST', body: JSON.stringify(body),
        headers: { 'content-type': 'application/json', 'x-request-id': 'from-a-page' },
      }),
      login: data => (token = data.token),
      connect: options => new Promise((resolve, reject) => {
        socket = window.io(url, { auth: { token }, withCredentials: true, reconnection: false, ...options });
        socket.onAny((...event) => {
          received.push(event);
          all.push(event);
          deliver();
        });
        socket.on('connect', () => resolve());
        socket.on('connect_error', reject);
      }),
      upgraded: () => new Promise(resolve => {
        if (socket.io.engine.transport.name === 'websocket') resolve();
        else socket.io.engine.on('upgrade', () => resolve());
      }),
      next: event => new Promise(resolve => {
        waiting.push({ event, resolve });
        deliver();
      }),
      ask: (event, data) => socket.timeout(30_000).emitWithAck(event, data),
      leave: () => {
        socket.disconnect();
        return all;
      },
    });
  }

  async function visit(origin) {
    const page = await openPage(browser);
    await page.goto(`${origin}/`);
    await page.evaluate(prepare, server.url);
    return page;
  }

  async function register(page, name) {
    const reply = await page.evaluate(
      body => window.post('/api/auth/register', body), { username: unique(name), password }
    );
    assert.equal(reply.status, 201);
    await page.evaluate(data => void window.login(data), reply.body.data);
    return reply.body.data.user;
  }

  for (const [name, options] of [['default transports', {}], ['WebSocket alone', { transports: ['websocket'] }]]) {
    test(`two pages become friends, chat, type and read: ${name}`, async () => {
      const [alicePage, bobPage] = await Promise.all([visit(site.origin), visit(site.origin)]);
      const [alice, bob] = [await register(alicePage, 'alice'), await register(bobPage, 'bob')];
      const on = (page, what, ...args) => page.evaluate(([call, list]) => window[call](...list), [what, args]);
      for (const page of [alicePage, bobPage]) {
        await on(page, 'connect', options);
        await on(page, 'upgraded');
      }

      await on(alicePage, 'post', '/api/contacts/request', { targetId: bob.id });
      assert.equal((await on(bobPage, 'next', 'friend_request_received')).senderName, alice.username);
      await on(bobPage, 'ask', 'accept_friend_request', { senderId: alice.id });
      assert.equal((await on(alicePage, 'next', 'friend_request_accepted')).accepterName, bob.username);

      await on(alicePage, 'ask', 'typing', { receiverId: bob.id });
      assert.equal((await on(bobPage, 'next', 'typing')).senderName, alice.username);
      const ack = await on(alicePage, 'ask', 'private-message', { receiverId: bob.id, content: 'hi Bob 👋' });
      const message = await on(bobPage, 'next', 'private-message');
      assert.deepEqual(message, ack.message);
      await on(bobPage, 'ask', 'message-seen', { messageId: message.id });
      assert.equal((await on(alicePage, 'next', 'message-seen')).messageId, message.id);
      const sent = await on(bobPage, 'post', '/api/messages', { receiverId: alice.id, content: 'hi Alice' });
      assert.equal(sent.status, 201);
      assert.deepEqual(await on(alicePage, 'next', 'private-message'), sent.body.data);
      const chats = await on(bobPage, 'get', '/api/chats');
      assert.equal(chats.body.data[0].latestMessage.content, 'hi Alice');
      for (const page of [alicePage, bobPage]) {
        for (const event of await on(page, 'leave')) checkEvent('socketio', ...event);
        assert.deepEqual(page.problems, []);
        await page.context().close();
      }
    });
  }

  test('a page of another origin gets nothing', async () => {
    const page = await visit(foreign.origin);
    await assert.rejects(page.evaluate(() => window.get('/health')), /Failed to fetch/);
    await assert.rejects(
      page.evaluate(body => window.post('/api/auth/register', body), { username: 'eve_of_elsewhere', password }),
      /Failed to fetch/
    );
    await assert.rejects(page.evaluate(() => window.connect({ transports: ['polling'] })), /xhr poll error/);
    assert.equal(await server.query(`SELECT count(*) FROM users WHERE username = 'eve_of_elsewhere'`), '0');
    await page.context().close();
  });
});
