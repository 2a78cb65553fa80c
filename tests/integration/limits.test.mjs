// Rate limits: what comes too often is refused, says when to come again, and harms nobody else.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import {
  Client, assertFails, assertRefused, befriend, friends, password, patienceMs, stopServer, unique, upTo,
} from '../support/api.mjs';
import { at, startNodes } from '../support/nodes.mjs';
import { RawWebSocket } from '../support/raw.mjs';
import { startRedis, startServer, until } from '../support/server.mjs';

// Periods so long that no token comes back while a test runs.
const limited = limits => ({ RATE_LIMIT_DISABLED: '0', RATE_LIMITS: `requests=off,logins=off,events=off,${limits}` });

/** What the headers of a reply say: `{limit, remaining, reset, retry}`. */
function rateOf({ headers }) {
  const number = name => (headers.has(name) ? Number(headers.get(name)) : undefined);
  return {
    limit: number('ratelimit-limit'), remaining: number('ratelimit-remaining'), reset: number('ratelimit-reset'),
    retry: number('retry-after'),
  };
}

function assertLimited(reply, limit, period) {
  assertFails(reply, 429, 'RATE_LIMITED');
  const rate = rateOf(reply);
  assert.deepEqual([rate.limit, rate.remaining], [limit, 0]);
  assert.ok(rate.reset > 0 && rate.reset <= period, `${rate.reset}`);
  assert.ok(rate.retry > 0 && rate.retry <= Math.ceil(period / limit), `${rate.retry}`);
}

describe('limits of a user', () => {
  let server;

  before(async () => {
    const limits = 'messages=5/1d,contacts=6/1d,reads=4/1d,typing=3/1d,receipts=2/1d,calls=2/1d,candidates=2/1d';
    server = await startServer({ env: limited(limits) });
  });
  after(() => stopServer(server));

  test('messages by REST and by socket count together, and another user has his own', async () => {
    const [alice, bob] = await friends(server, 'alice', 'bob');
    const laptop = await alice.connect();
    for (const i of upTo(3)) {
      const reply = await alice.post('/api/messages', { receiverId: bob.id, content: 'hi' });
      assert.equal(reply.status, 201);
      assert.deepEqual([rateOf(reply).limit, rateOf(reply).remaining], [5, 5 - i]);
    }
    for (const _ of upTo(2)) await laptop.done('private-message', { receiverId: bob.id, content: 'hi' });
    assertLimited(await alice.post('/api/messages', { receiverId: bob.id, content: 'hi' }), 5, 86400);
    const refusal = await laptop.ask('private-message', { receiverId: bob.id, content: 'hi' });
    assertRefused(refusal, 'RATE_LIMITED');
    assert.ok(refusal.retryAfter > 0 && refusal.retryAfter <= 86400 / 5, `${refusal.retryAfter}`);
    laptop.tell('private-message', { receiverId: bob.id, content: 'hi' });
    const { code, event, retryAfter } = await laptop.next('operation-error');
    assert.deepEqual([code, event], ['RATE_LIMITED', 'private-message']);
    assert.ok(retryAfter > 0);
    assert.equal((await bob.history(alice)).messages.length, 5);
    await bob.send(alice, 'mine still go');
    laptop.close();
  });

  test('every route and every event has a limit', async () => {
    const [alice, bob] = await friends(server, 'alice', 'bob');
    const carol = await Client.register(server, 'carol');
    const routes = {
      contacts: [6, 1, () => carol.post('/api/contacts/reject', { requesterId: bob.id })],
      reads: [4, 0, () => carol.get('/api/users/me')],
    };
    for (const [limit, , ask] of Object.values(routes)) {
      const replies = [];
      for (const _ of upTo(limit + 1)) replies.push(await ask());
      assert.ok(replies.slice(0, limit).every(reply => reply.status !== 429));
      assertLimited(replies.at(-1), limit, 86400);
    }
    for (const path of ['/api/users?search=a', '/api/contacts/requests', '/api/contacts/profile', '/api/chats',
      `/api/messages?withUserId=${bob.id}`, '/api/calls']) {
      const [pathname, query] = path.split('?');
      assertLimited(await carol.get(pathname, Object.fromEntries(new URLSearchParams(query))), 4, 86400);
    }
    for (const action of ['request', 'accept', 'remove']) {
      assertLimited(await carol.post(`/api/contacts/${action}`, { requesterId: bob.id }), 6, 86400);
    }
    const message = await bob.send(alice, 'see?');
    const device = await alice.connect();
    const events = {
      typing: [3, { receiverId: bob.id }, ['typing', 'stop_typing']],
      receipts: [2, { messageId: message.id }, ['message-seen', 'message_read']],
      calls: [2, { calleeId: bob.id, signal: {} }, ['call-user', 'answer-call', 'end-call']],
      candidates: [2, { callerId: alice.id, calleeId: bob.id, candidate: {} }, ['ice-candidate']],
      contacts: [6, { targetUserId: carol.id }, ['send_friend_request', 'accept_friend_request',
        'reject_friend_request']],
    };
    for (const [limit, data, names] of Object.values(events)) {
      for (const i of upTo(limit + 2)) await device.ask(names[i % names.length], data);
      for (const name of names) assertRefused(await device.ask(name, data), 'RATE_LIMITED');
    }
    device.close();
  });

  test('a socket that goes on is closed, and comes back', async () => {
    const [alice, bob] = await friends(server, 'alice', 'bob');
    const phone = await bob.connect();
    const socket = await RawWebSocket.session(alice);
    for (const _ of upTo(200)) socket.send(`42["typing",{"receiverId":"${bob.id}"}]`);
    const heard = [];
    for (;;) {
      const { opcode, payload } = await socket.frame();
      if (opcode !== 1) break;
      heard.push(payload.toString());
    }
    assert.equal(heard.filter(text => text.includes('RATE_LIMITED')).length, 100);
    socket.destroy();

    const plain = await RawWebSocket.open(server, `/ws?token=${alice.token}`);
    assert.match(await plain.text(), /"ready"/);
    for (const _ of upTo(200)) plain.send(`{"event":"typing","data":{"receiverId":"${bob.id}"}}`);
    let refusals = 0, code;
    while (code === undefined) {
      const { opcode, payload } = await plain.frame();
      if (opcode === 8) code = payload.readUInt16BE();
      else refusals += payload.toString().includes('RATE_LIMITED');
    }
    assert.equal(code, 1008);
    assert.ok(refusals <= 100, `${refusals}`);
    plain.destroy();

    const laptop = await alice.connect();
    await laptop.done('private-message', { receiverId: bob.id, content: 'still here' });
    assert.equal((await phone.next('private-message')).content, 'still here');
    laptop.close();
    phone.close();
  });
});

describe('limits of an address', () => {
  let server;

  before(async () => {
    server = await startServer({
      env: { RATE_LIMIT_DISABLED: '0', RATE_LIMITS: 'requests=40/1d,logins=6/1d,events=30/1d', TRUST_PROXY: '127.0.0.1' },
    });
  });
  after(() => stopServer(server));

  const from = address => ({ 'x-forwarded-for': address });
  const post = (pathname, body, address) =>
    new Client(server).request('POST', pathname, { body, headers: from(address) });

  test('registering and logging in are few, whatever name is tried, and other addresses are free', async () => {
    const names = upTo(7).map(() => unique('somebody'));
    const replies = [];
    for (const [i, username] of names.entries()) {
      replies.push(await post(`/api/auth/${i % 2 ? 'login' : 'register'}`, { username, password }, '192.0.2.1'));
    }
    assert.deepEqual(replies.map(reply => reply.status), [201, 400, 201, 400, 201, 400, 429]);
    assertLimited(replies.at(-1), 6, 86400);
    assert.equal((await post('/api/auth/register', { username: unique('other'), password }, '192.0.2.2')).status, 201);
    for (const i of upTo(6)) {
      await post('/api/auth/login', { username: unique('v6'), password }, `2001:db8:0:1::${i}`);
    }
    assertLimited(await post('/api/auth/login', { username: unique('v6'), password }, '2001:db8:0:1:ffff::1'), 6, 86400);
    assert.equal((await post('/api/auth/login', { username: unique('v6'), password }, '2001:db8:0:2::1')).status, 400);
  });

  test('requests of all kinds count together, but for those that say how the server is', async () => {
    const guest = new Client(server);
    const ask = (pathname, headers = {}) =>
      guest.request('GET', pathname, { headers: { ...from('192.0.2.10'), ...headers } });
    const replies = [];
    for (const i of upTo(40)) replies.push(await ask(i % 2 ? '/api/chats' : '/api/docs/openapi.yaml'));
    assert.deepEqual(new Set(replies.map(reply => reply.status)), new Set([401, 200]));
    for (const pathname of ['/api/chats', '/api/docs/openapi.yaml']) assertLimited(await ask(pathname), 40, 86400);
    const opened = await fetch(`${server.url}/socket.io/?EIO=4&transport=polling`, { headers: from('192.0.2.10') });
    assert.equal(opened.status, 429);
    const nowhere = await fetch(`${server.url}/no/such/path`, { headers: from('192.0.2.10') });
    assert.equal(nowhere.status, 429);
    for (const pathname of ['/health', '/health/live', '/health/ready', '/metrics']) {
      assert.equal((await fetch(server.url + pathname, { headers: from('192.0.2.10') })).status, 200);
    }
    assert.match(await (await fetch(`${server.url}/metrics`)).text(), /^stonechat_rate_limited_total\{rule="requests"\} [1-9]/m);
  });

  test('all sockets of an address share an allowance of events', async () => {
    const register = async address => {
      const { data } = await post('/api/auth/register', { username: unique('user'), password }, address);
      return Object.assign(new Client(server), { token: data.token, user: data.user });
    };
    const [one, other] = [await register('192.0.2.20'), await register('192.0.2.21')];
    const connect = client => client.connect({ transports: ['websocket'], extraHeaders: from('192.0.2.30') });
    const [here, there] = await Promise.all([connect(one), connect(other)]);
    const codes = [];
    for (const i of upTo(31)) {
      codes.push((await (i % 2 ? here : there).ask(i % 5 ? 'no such event' : 'typing', { receiverId: one.id })).code);
    }
    assert.equal(codes.pop(), 'RATE_LIMITED');
    assert.ok(!codes.includes('RATE_LIMITED'));
    here.close();
    there.close();
  });
});

describe('limits on two nodes with a Redis', () => {
  let redis, nodes;

  before(async () => {
    redis = await startRedis();
    const env = { ...limited('messages=10/1d'), REDIS_URL: redis.url };
    nodes = await startNodes(env, env);
  });
  after(async () => {
    await stopServer(nodes?.[0]);
    await Promise.all([nodes?.[1].stop(), redis?.stop()]);
  });

  const send = (client, bob, node) => at(client, node).post('/api/messages', { receiverId: bob.id, content: 'hi' });
  const bucket = client => `stonechat:limit:messages:${client.id}`;

  test('count together, and go on by themselves while it is away', async () => {
    const [alice, bob] = await friends(nodes[0], 'alice', 'bob');
    let sent = 0;
    const statuses = [];
    // One after the other, each once the one before is known to Redis and so, before long, to both.
    while (statuses.at(-1) !== 429) {
      const before = await redis.command('GET', bucket(alice));
      const { status } = await send(alice, bob, nodes[sent % 2]);
      statuses.push(status);
      if (status === 429) break;
      sent++;
      await until(async () => (await redis.command('GET', bucket(alice))) !== before, 'Redis to count', patienceMs);
    }
    assert.ok(sent >= 10 && sent <= 12, `${sent}`);
    const lifetime = Number(await redis.command('TTL', bucket(alice)));
    assert.ok(lifetime > 0 && lifetime <= 86400, `${lifetime}`);
    await redis.command('FLUSHALL');
    for (const node of nodes) {
      await until(async () => (await send(alice, bob, node)).status === 429, 'each node to remember', patienceMs);
    }
    await redis.kill();
    for (const node of nodes) assertFails(await send(alice, bob, node), 429, 'RATE_LIMITED');
    const carol = await Client.register(nodes[0], 'carol');
    await befriend(carol, bob);
    for (const _ of upTo(10)) assert.equal((await send(carol, bob, nodes[0])).status, 201);
    assertFails(await send(carol, bob, nodes[0]), 429, 'RATE_LIMITED');
  });
});

describe('limits that nobody can read', () => {
  test('are told at the start, all of them', async () => {
    const starting = startServer({ env: limited('messages=5,nonsense=1/1s,typing=0/1s') });
    await assert.rejects(starting, /messages=5.*nonsense=1\/1s.*typing=0\/1s/s);
  });
});
