// GET /ws: the session by plain WebSocket.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import http2 from 'node:http2';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';

import {
  Client, assertRefused, friends, nobody, patienceMs, stopServer, upTo,
} from '../support/api.mjs';
import { EventStream } from '../support/event_stream.mjs';
import { checkSchema } from '../support/openapi.mjs';
import { PlainSocket } from '../support/plain_socket.mjs';
import { exchange, opcodes } from '../support/raw.mjs';
import { root, startServer, until } from '../support/server.mjs';

const contents = socket => socket.events.filter(e => e.event === 'private-message').map(e => e.data.content);
const offsets = events => events.filter(e => e.offset !== undefined).map(e => Number(e.offset));
const isWithoutHoles = ids => assert.deepEqual(ids, upTo(ids.length).map(i => ids[0] + i - 1));

describe('plain WebSocket', () => {
  let server;

  before(async () => (server = await startServer({ env: { PRESENCE_GRACE_MS: '0', MAX_PAYLOAD_BYTES: '100000' } })));
  after(() => stopServer(server));

  const pair = () => friends(server, 'alice', 'bob');
  const say = (socket, to, content, more) => socket.done('private-message', { receiverId: to.id, content, ...more });

  test('the token is taken from the query, the header, the protocol, or the first frame', async () => {
    const [alice, bob] = await pair();
    const authorization = `Bearer ${bob.token}`;
    const sockets = await Promise.all([
      PlainSocket.open(bob),
      PlainSocket.open(bob, { token: null, headers: { authorization } }),
      PlainSocket.open(bob, { token: null, headers: { 'Sec-WebSocket-Protocol': `bearer, ${bob.token}` } }),
    ]);
    assert.equal(sockets[2].upgrade.headers['sec-websocket-protocol'], 'bearer');
    assert.equal(sockets[0].upgrade.headers['sec-websocket-protocol'], undefined);
    const late = await PlainSocket.connect(bob, { token: null });
    late.tell('auth', { token: bob.token });
    late.ready = await late.next('ready');
    const message = await alice.send(bob, 'to every socket');
    for (const socket of [...sockets, late]) {
      assert.deepEqual(Object.keys(socket.ready), ['userId', 'offset', 'resumed']);
      assert.deepEqual([socket.ready.userId, socket.ready.resumed], [bob.id, false]);
      const frame = await socket.take('private-message');
      assert.deepEqual(frame, { event: 'private-message', data: message, offset: `${Number(socket.ready.offset) + 1}` });
      socket.close();
    }
  });

  test('who has no good token is closed with 4401', async () => {
    const guest = new Client(server);
    const refused = async (options, reason, ...frames) => {
      const socket = await PlainSocket.connect(guest, options);
      assert.equal(socket.upgrade.status, 101);
      for (const frame of frames) socket.send(frame);
      assert.deepEqual(await socket.waitForClose(), { code: 4401, reason });
      assert.deepEqual(socket.events, []);
    };
    await refused({ token: 'garbage' }, 'Invalid token');
    await refused({ headers: { authorization: 'Bearer a.b.c' } }, 'Invalid token');
    for (const odd of [`token=${'x'.repeat(5000)}`, 'token=a&token=b', 'token=%ff', 'token=%00', 'token=%zz']) {
      await refused({ query: odd }, 'Invalid token');
    }
    await refused({ headers: { 'Sec-WebSocket-Protocol': 'bearer, garbage' } }, 'Invalid token');
    await refused({}, 'Invalid token', { event: 'auth', data: { token: 'garbage' } });
    await refused({}, 'Invalid token', { event: 'auth', data: { token: 7 } });
    await refused({}, 'No token provided', { event: 'auth', data: {} });
    await refused({}, 'No token provided', { event: 'auth' });
    await refused({}, 'No token provided', { event: 'typing', data: { receiverId: nobody } });
    await refused({}, 'No token provided', { data: {} });
  });

  test('two people chat, with acks', async () => {
    const [alice, bob] = await pair();
    const [one, other] = await Promise.all([PlainSocket.open(alice), PlainSocket.open(bob)]);
    for (const i of upTo(10)) {
      const [from, to] = i % 2 ? [one, other] : [other, one];
      const { message } = await say(from, to.client, `message ${i} é😀`);
      checkSchema('Message', message);
      assert.deepEqual([message.seq, message.content], [i, `message ${i} é😀`]);
      assert.deepEqual(await to.next('private-message'), message);
    }
    assert.deepEqual(await one.untilMarker(bob), []);
    assert.deepEqual(await other.untilMarker(alice), []);
    one.close();
    other.close();
  });

  test('an ack has the id of its event, whatever it is, and is the same as by Socket.IO', async () => {
    const [alice, bob] = await pair();
    const [socket, device] = await Promise.all([PlainSocket.open(alice), alice.connect()]);
    for (const id of [0, -5, 1.5, 12345678901, 'x', '', 'é"\\', 'y'.repeat(100)]) {
      assert.deepEqual(await socket.ask('typing', { receiverId: bob.id }, id), { success: true });
    }
    for (const [event, data] of [
      ['no-such-event', {}],
      ['private-message', {}],
      ['private-message', { receiverId: 'bob', content: '' }],
      ['private-message', { receiverId: nobody, content: 'hi' }],
      ['message-seen', { messageId: nobody }],
      ['typing', []],
      ['typing', 'text'],
    ]) {
      assert.deepEqual(await socket.ask(event, data), await device.ask(event, data), event);
    }
    const { message } = await say(socket, bob, 'once', { clientId: 'c1' });
    assert.deepEqual((await device.done('private-message', { receiverId: bob.id, content: 'once', clientId: 'c1' })).message, message);
    socket.close();
    device.close();
  });

  test('a failure without an id comes as operation-error', async () => {
    const [alice] = await pair();
    const socket = await PlainSocket.open(alice);
    socket.tell('no-such-event', {});
    assert.deepEqual(await socket.next('operation-error'),
      { message: 'Unknown event', code: 'INVALID_PAYLOAD', event: 'no-such-event' });
    socket.tell('private-message', { receiverId: nobody, content: 'hi' });
    const error = await socket.next('operation-error');
    assert.deepEqual([error.code, error.event], ['FORBIDDEN', 'private-message']);
    socket.tell('private-message');
    assert.equal((await socket.next('operation-error')).code, 'VALIDATION_ERROR');
    socket.close();
  });

  test('a frame of another form is refused, and the socket stays', async () => {
    const [alice, bob] = await pair();
    const socket = await PlainSocket.open(alice);
    const typing = { event: 'typing', data: { receiverId: bob.id } };
    for (const frame of [
      {}, { data: {} }, { event: 7, data: {} }, { event: '' }, { ...typing, id: {} }, { ...typing, id: true },
      { ...typing, id: 'x'.repeat(200) }, { ...typing, more: 1 }, { event: 'x'.repeat(5000), more: 1 },
    ]) {
      socket.send(frame);
      const error = await socket.next('operation-error');
      assert.equal(error.code, 'INVALID_PAYLOAD', JSON.stringify(frame));
      assert.ok(error.event.length <= 128);
    }
    socket.send({ ...typing, more: 1, id: 'a' });
    assertRefused(await until(() => socket.acks.get('a'), 'the ack', patienceMs), 'INVALID_PAYLOAD');
    assert.deepEqual(await socket.ask('typing', { receiverId: bob.id }), { success: true });
    socket.close();
  });

  test('every event of the table is reached', async () => {
    const [alice] = await pair();
    const socket = await PlainSocket.open(alice);
    const source = readFileSync(path.join(root, 'src/api/routes.c'), 'utf8');
    const events = [...source.matchAll(/\{NULL, "([^"]+)"/g)].map(([, name]) => name);
    assert.ok(events.length >= 12);
    for (const event of events) assertRefused(await socket.ask(event, {}), 'VALIDATION_ERROR', 'Validation error');
    socket.close();
  });

  test('friend requests, receipts, typing and calls, between /ws and Socket.IO', async () => {
    const [alice, bob] = await Promise.all([Client.register(server, 'alice'), Client.register(server, 'bob')]);
    const [socket, device] = await Promise.all([PlainSocket.open(alice), bob.connect()]);
    await socket.done('send_friend_request', { targetUserId: bob.id });
    assert.equal((await device.next('friend_request_received')).senderId, alice.id);
    await device.done('accept_friend_request', { senderId: alice.id });
    assert.equal((await socket.next('friend_request_accepted')).accepterId, bob.id);
    const { message } = await say(socket, bob, 'hi');
    assert.deepEqual(await device.next('private-message'), message);
    await device.done('message_read', { messageId: message.id });
    assert.equal((await socket.next('message_read')).messageId, message.id);
    device.tell('typing', { receiverId: alice.id });
    const typing = await socket.take('typing');
    assert.deepEqual(typing, { event: 'typing', data: { senderId: bob.id, senderName: bob.username } });
    const { callId } = await socket.done('call-user', { calleeId: bob.id, signal: { sdp: 'offer' } });
    assert.equal((await device.next('call-user')).callId, callId);
    await device.done('answer-call', { callId, callerId: alice.id, calleeId: bob.id, signal: { sdp: 'answer' } });
    assert.deepEqual((await socket.next('answer-call')).signal, { sdp: 'answer' });
    await device.done('ice-candidate', { callId, callerId: alice.id, calleeId: bob.id, candidate: { a: 1 } });
    assert.deepEqual((await socket.next('ice-candidate')).candidate, { a: 1 });
    await socket.done('end-call', { callId, status: 'ended' });
    assert.equal((await device.next('end-call')).callId, callId);
    socket.close();
    device.close();
  });

  test("a socket is not told its own actions; the user's other devices are", async () => {
    const [alice, bob] = await pair();
    const [socket, second] = await Promise.all([PlainSocket.open(alice), PlainSocket.open(alice)]);
    const [device, stream] = await Promise.all([alice.connect(), EventStream.open(alice)]);
    const { message } = await say(socket, bob, 'by socket');
    for (const other of [second, device, stream]) assert.deepEqual(await other.next('private-message'), message);
    const byRest = await alice.send(bob, 'by REST');
    for (const any of [socket, second, device, stream]) assert.deepEqual(await any.next('private-message'), byRest);
    assert.deepEqual(await socket.untilMarker(bob), []);
    isWithoutHoles(offsets(second.events));
    for (const any of [socket, second, device, stream]) any.close();
  });

  test('what is sent before ready is handled, in order, and is its own', async () => {
    const [alice, bob] = await pair();
    const [reader, socket] = [await PlainSocket.open(bob), await PlainSocket.connect(alice, { token: null })];
    socket.tell('auth', { token: alice.token });
    for (const i of upTo(20)) socket.send({ event: 'private-message', data: { receiverId: bob.id, content: `${i}` }, id: i });
    await until(() => socket.acks.size === 20, 'the acks', patienceMs);
    await until(() => contents(reader).length === 20, 'the messages', patienceMs);
    assert.deepEqual(contents(reader), upTo(20).map(String));
    assert.deepEqual(socket.events.map(e => e.event).filter(e => !e.startsWith('user-')), ['ready']);
    socket.close();
    reader.close();
  });

  test('what was missed comes once, in order, and then what is new', async () => {
    const [alice, bob] = await pair();
    const ways = [
      since => PlainSocket.open(bob, { query: { since } }),
      async since => {
        const socket = await PlainSocket.connect(bob, { token: null });
        socket.tell('auth', { token: bob.token, since });
        socket.ready = await socket.next('ready');
        return socket;
      },
    ];
    let socket = await PlainSocket.open(bob);
    const everything = [];
    for (const round of upTo(4)) {
      for (const i of upTo(5)) await alice.send(bob, `live ${round} ${i}`);
      await until(() => contents(socket).includes(`live ${round} 5`), 'the live ones', patienceMs);
      everything.push(...socket.events);
      socket.close();
      await Promise.all(upTo(200).map(i => alice.send(bob, `missed ${round} ${i}`)));
      const { offset } = socket;
      socket = await ways[round % 2](offset);
      assert.deepEqual(socket.ready, { userId: bob.id, offset, resumed: true });
    }
    await socket.untilMarker(alice);
    everything.push(...socket.events);
    const messages = everything.filter(e => e.event === 'private-message').map(e => e.data);
    assert.deepEqual(messages, await bob.wholeHistory(alice));
    isWithoutHoles(offsets(everything));
    socket.close();
  });

  test('an offset that is no good is answered by a reset, and the socket is live', async () => {
    const [alice, bob] = await pair();
    const { offset } = await PlainSocket.open(bob);
    for (const since of ['999999', '9'.repeat(30), 'abc', '-1', '']) {
      const socket = await PlainSocket.open(bob, { query: { since } });
      assert.deepEqual(socket.ready, { userId: bob.id, offset, resumed: false });
      assert.deepEqual(await socket.next('reset'), { offset });
      assert.deepEqual(socket.events.slice(0, 2).map(e => e.event), ['ready', 'reset']);
      socket.close();
    }
    const socket = await PlainSocket.open(bob, { query: { since: '7777' } });
    const message = await alice.send(bob, 'after the reset');
    assert.deepEqual(await socket.next('private-message'), message);
    socket.close();
  });

  test('what is no JSON closes with 1007, bytes with 1003, what is too large with 1009', async () => {
    const [alice] = await pair();
    const closedBy = async (code, payload, options) => {
      for (const isLetIn of [true, false]) {
        const socket = isLetIn ? await PlainSocket.open(alice) : await PlainSocket.connect(alice, { token: null });
        socket.raw.send(payload, options);
        assert.equal((await socket.waitForClose()).code, code, `${payload}`.slice(0, 100));
      }
    };
    for (const text of ['', 'x', '{', '[]', '"x"', '{"event":"typing"', '{"event":"typing"}{}', '{"event":\u000b"typing"}']) {
      await closedBy(1007, text);
    }
    await closedBy(1007, Buffer.from([0x7b, 0xff, 0x7d]));
    await closedBy(1003, '{}', { opcode: opcodes.binary });
    await closedBy(1009, `{"event":"${'x'.repeat(100_000)}"}`);
    await closedBy(1002, 'x', { rsv: 1 });
  });

  test('pages of other origins are refused', async () => {
    const [alice] = await pair();
    const statusFor = async origin => {
      const socket = await PlainSocket.connect(alice, { headers: { origin } });
      socket.close();
      return socket.upgrade.status;
    };
    assert.equal(await statusFor('http://localhost:3000'), 101);
    assert.equal(await statusFor('http://localhost'), 101);
    for (const origin of ['http://evil.example', 'null', 'http://localhost:3000.evil.example', 'localhost', '://localhost']) {
      assert.equal(await statusFor(origin), 403, origin);
    }
  });

  test('what is no upgrade is refused', async () => {
    const [alice] = await pair();
    const target = `/ws?token=${alice.token}`;
    const plain = await fetch(server.url + target);
    assert.deepEqual([plain.status, (await plain.json()).code], [400, 'INVALID_PAYLOAD']);
    const post = await fetch(server.url + target, { method: 'POST' });
    assert.deepEqual([post.status, post.headers.get('allow')], [405, 'GET, OPTIONS']);
    assert.equal((await fetch(server.url + target, { method: 'OPTIONS' })).status, 204);
    const upgrade = 'Connection: Upgrade\r\nUpgrade: websocket';
    for (const head of [
      `${upgrade}\r\nSec-WebSocket-Version: 8\r\nSec-WebSocket-Key: c3RvbmVjaGF0IHRlc3RzIQ==`,
      `${upgrade}\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: short`,
      `${upgrade}\r\nSec-WebSocket-Version: 13`,
    ]) {
      assert.equal((await exchange(server, `GET ${target} HTTP/1.1\r\n${head}`)).status, 400, head);
    }
    const session = http2.connect(server.url);
    const status = await new Promise(resolve => session.request({ ':path': target }).on('response', head => resolve(head[':status'])));
    assert.equal(status, 400);
    session.destroy();
  });

  test('a client that leaves, or dies, is offline', async () => {
    const [alice, bob] = await pair();
    const watcher = await PlainSocket.open(alice);
    for (const leave of [
      socket => socket.raw.destroy(),
      socket => socket.raw.socket.end(),
      socket => socket.raw.send(Buffer.from([0x03, 0xe8]), { opcode: opcodes.close }),
    ]) {
      const socket = await PlainSocket.open(bob);
      assert.deepEqual(await watcher.next('user-online'), { userId: bob.id });
      leave(socket);
      assert.equal((await watcher.next('user-offline')).userId, bob.id);
      socket.close();
    }
    watcher.close();
  });

  test('many sockets of one user all get everything', async () => {
    const [alice, bob] = await pair();
    const sockets = await Promise.all(upTo(100).map(() => PlainSocket.open(bob)));
    const sent = [];
    for (const i of upTo(10)) sent.push((await alice.send(bob, `to all ${i}`)).content);
    await Promise.all(sockets.map(socket => until(() => contents(socket).length === 10, 'all of them', patienceMs)));
    for (const socket of sockets) assert.deepEqual(contents(socket), sent);
    for (const socket of sockets) socket.close();
  });
});

describe('plain WebSocket, over restarts and at its limits', () => {
  const start = async (t, env) => {
    const server = await startServer({ env });
    t.after(() => stopServer(server));
    return server;
  };

  test('nothing is missed or told twice over crashes of the server', async t => {
    const server = await start(t);
    const [alice, bob] = await friends(server, 'alice', 'bob');
    const seen = [];
    let socket = await PlainSocket.open(bob);
    for (const round of upTo(3)) {
      for (const i of upTo(20)) await alice.send(bob, `${round} ${i}`);
      await until(() => contents(socket).length > 0, 'some of them', patienceMs);
      await server.restart({ isCrash: true });
      await socket.waitForClose();
      seen.push(...socket.events);
      await alice.send(bob, `${round} while away`);
      socket = await PlainSocket.open(bob, { query: { since: socket.offset } });
      assert.equal(socket.ready.resumed, true);
    }
    await socket.untilMarker(alice);
    seen.push(...socket.events);
    assert.deepEqual(seen.filter(e => e.event === 'private-message').map(e => e.data), await bob.wholeHistory(alice));
    socket.close();
  });

  test('sockets are closed with 1001 when the server stops', async t => {
    const server = await start(t);
    const [alice, bob] = await friends(server, 'alice', 'bob');
    const sockets = await Promise.all(upTo(10).map(() => PlainSocket.open(bob)));
    sockets.push(await PlainSocket.connect(bob, { token: null }));
    await server.restart();
    for (const socket of sockets) assert.equal((await socket.waitForClose()).code, 1001);
    assert.ok(server.logs.some(line => line.msg === 'stopped'), 'it had to cut connections');
    const missed = await alice.send(bob, 'missed');
    const again = await PlainSocket.open(bob, { query: { since: sockets[0].offset } });
    assert.deepEqual(await again.next('private-message'), missed);
    again.close();
  });

  test('an offset that is pruned is answered by a reset', async t => {
    const server = await start(t);
    const [alice, bob] = await friends(server, 'alice', 'bob');
    const socket = await PlainSocket.open(bob);
    const old = socket.offset;
    for (const i of upTo(3)) await alice.send(bob, `${i}`);
    const { offset } = await socket.take('private-message', data => data.content === '3');
    socket.close();
    await server.query(`UPDATE events SET created_at = created_at - interval '40 days'
                        WHERE user_id = '${bob.id}' AND seq < ${offset}`);
    await server.query('SELECT prune_events(ARRAY[30], ARRAY[1000])');
    const again = await PlainSocket.open(bob, { query: { since: old } });
    assert.deepEqual(again.ready, { userId: bob.id, offset, resumed: false });
    assert.deepEqual(await again.next('reset'), { offset });
    again.close();
  });

  test('a socket whose token does not come in time is closed', async t => {
    const server = await start(t, { CONNECT_TIMEOUT_MS: '300' });
    const [alice] = await friends(server, 'alice', 'bob');
    const [late, good] = await Promise.all([PlainSocket.connect(alice, { token: null }), PlainSocket.open(alice)]);
    assert.deepEqual(await late.waitForClose(), { code: 4401, reason: 'No token provided' });
    assert.equal(good.closed, undefined);
    good.close();
  });

  test('a socket that answers no ping is closed, and its user is offline', async t => {
    const server = await start(t, { PING_INTERVAL_MS: '300', PING_TIMEOUT_MS: '2000', PRESENCE_GRACE_MS: '0' });
    const [alice, bob] = await friends(server, 'alice', 'bob');
    const watcher = await PlainSocket.open(alice);
    const socket = await PlainSocket.open(bob);
    assert.deepEqual(await watcher.next('user-online'), { userId: bob.id });
    await until(() => socket.pings >= 3, 'three pings', patienceMs);
    assert.equal(socket.closed, undefined);
    socket.isMute = true;
    assert.equal((await watcher.next('user-offline')).userId, bob.id);
    assert.equal((await socket.waitForClose()).code, 1008);
    assert.equal(watcher.closed, undefined);
    watcher.close();
  });

  test('a reader that stops is let go of, harms nobody, and resumes', async t => {
    const server = await start(t, { SEND_QUEUE_MAX_BYTES: '262144', PRESENCE_GRACE_MS: '0' });
    const [alice, bob, carol] = await friends(server, 'alice', 'bob', 'carol');
    const watcher = await PlainSocket.open(carol);
    const good = await PlainSocket.open(bob);
    await watcher.next('user-online', data => data.userId === bob.id);
    const slow = await PlainSocket.open(bob);
    good.close();
    slow.raw.socket.pause();
    const laptop = await alice.connect({ transports: ['websocket'] });
    const content = 'x'.repeat(4000);
    let sent = 0, gone = false;
    const offline = watcher.next('user-offline', data => data.userId === bob.id).then(() => (gone = true));
    while (!gone && sent < 20_000) {
      await Promise.all(upTo(50).map(() => laptop.done('private-message', { receiverId: bob.id, content })));
      sent += 50;
    }
    await offline;
    assert.deepEqual(await watcher.untilMarker(alice), []);
    slow.raw.socket.resume();
    const closed = await slow.waitForClose();
    assert.ok([null, 1013].includes(closed.code), JSON.stringify(closed));
    const again = await PlainSocket.open(bob, { query: { since: slow.offset } });
    await until(() => contents(slow).length + contents(again).length >= sent, 'all messages', 120_000);
    isWithoutHoles(offsets([...slow.events, ...again.events]));
    again.close();
    watcher.close();
  });
});
