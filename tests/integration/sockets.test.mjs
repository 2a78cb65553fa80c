// Messages between stock socket.io clients, over every transport.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import {
  Client, Device, assertRefused, befriend, friends, nobody, stopServer, unique, upTo,
} from '../support/api.mjs';
import { checkSchema } from '../support/openapi.mjs';
import { startServer, until } from '../support/server.mjs';

const transports = {
  'polling, then WebSocket': {},
  'WebSocket alone': { transports: ['websocket'] },
  'polling alone': { transports: ['polling'] },
};

describe('sockets', () => {
  let server;

  before(async () => (server = await startServer()));
  after(() => stopServer(server));

  const pair = () => friends(server, 'alice', 'bob');
  const upgraded = (...devices) => {
    return until(() => devices.every(device => device.io.io.engine.transport.name === 'websocket'), 'the upgrade');
  };
  const say = (device, to, content, more) => device.done('private-message', { receiverId: to.id, content, ...more });

  for (const [name, options] of Object.entries(transports)) {
    test(`two people chat: ${name}`, async () => {
      const [alice, bob] = await pair();
      const [laptop, phone] = await Promise.all([alice.connect(options), bob.connect(options)]);
      for (let i = 1; i <= 10; i++) {
        const [from, to] = i % 2 ? [laptop, phone] : [phone, laptop];
        const { message } = await say(from, to.client, `message ${i} é😀`);
        checkSchema('Message', message);
        assert.deepEqual([message.seq, message.content], [i, `message ${i} é😀`]);
        assert.deepEqual(await to.next('private-message'), message);
      }
      if (!options.transports) await upgraded(laptop, phone);
      const large = '漢'.repeat(4000);
      await say(laptop, bob, large);
      assert.equal((await phone.next('private-message')).content, large);
      assert.deepEqual(await phone.untilMarker(alice), []);
      assert.deepEqual(await laptop.untilMarker(bob), []);
      phone.close();
      laptop.close();
    });
  }

  test('nothing is lost or turned around while a connection is upgraded', async () => {
    const [alice, bob] = await pair();
    for (let round = 0; round < 3; round++) {
      const [laptop, phone] = await Promise.all([alice.connect(), bob.connect()]);
      const acks = upTo(30).map(i => say(laptop, bob, `${round} ${i}`));
      await Promise.all(acks);
      await upgraded(laptop, phone);
      for (const i of upTo(30)) assert.equal((await phone.next('private-message')).content, `${round} ${i}`);
      assert.deepEqual(await phone.untilMarker(alice), []);
      phone.close();
      laptop.close();
    }
  });

  test('the token is taken from auth, the query, or the header', async () => {
    const [alice, bob] = await pair();
    const authorization = { authorization: `Bearer ${bob.token}` };
    const ways = [
      { auth: { token: bob.token } },
      { auth: {}, query: { token: bob.token } },
      { auth: {}, extraHeaders: authorization },
      { auth: {}, extraHeaders: authorization, transports: ['websocket'] },
      { auth: {}, query: { token: bob.token }, transports: ['websocket'] },
      { auth: {}, extraHeaders: authorization, transports: ['polling'] },
    ];
    const devices = await Promise.all(ways.map(options => bob.connect(options)));
    const message = await alice.send(bob, 'to every device');
    for (const device of devices) assert.deepEqual(await device.next('private-message'), message);
  });

  test('who has no token, or a bad one, is told so', async () => {
    const guest = new Client(server);
    const refused = async (options, message) => {
      const device = new Device(guest, options);
      await assert.rejects(device.connected(), { message });
      device.close();
    };
    for (const transport of Object.values(transports)) {
      await refused({ ...transport, auth: {} }, 'Authentication error: No token provided');
      await refused({ ...transport, auth: { token: 'garbage' } }, 'Authentication error: Invalid token');
    }
    await refused({ auth: {}, query: { token: 'a.b.c' } }, 'Authentication error: Invalid token');
    for (const none of [null, '']) await refused({ auth: { token: none } }, 'Authentication error: No token provided');
    for (const odd of [7, {}, 'x'.repeat(6000), 'x'.repeat(9000), 'x\0y']) {
      await refused({ auth: { token: odd } }, 'Authentication error: Invalid token');
    }
    await refused({ auth: {}, query: { token: 'x'.repeat(5000) } }, 'Authentication error: Invalid token');
  });

  test('of several tokens that in auth counts, then that in the query, then that in the header', async () => {
    const [, bob] = await pair();
    const good = bob.token;
    const header = token => ({ extraHeaders: { authorization: `Bearer ${token}` } });
    for (const transport of Object.values(transports)) {
      for (const options of [
        { auth: { token: good }, query: { token: 'bad' }, ...header('bad') },
        { auth: {}, query: { token: good }, ...header('bad') },
        { auth: { token: '' }, query: { token: '' }, ...header(good) },
      ]) {
        (await bob.connect({ ...transport, ...options })).close();
      }
      for (const options of [
        { auth: { token: 'bad' }, query: { token: good }, ...header(good) },
        { auth: {}, query: { token: 'bad' }, ...header(good) },
      ]) {
        const device = new Device(bob, { ...transport, ...options });
        await assert.rejects(device.connected(), { message: 'Authentication error: Invalid token' });
        device.close();
      }
    }
  });

  test('a namespace that does not exist is refused', async () => {
    const [alice] = await pair();
    const { io } = await import('socket.io-client');
    const socket = io(`${server.url}/admin`, { auth: { token: alice.token }, forceNew: true, reconnection: false });
    const error = await new Promise(resolve => socket.once('connect_error', resolve));
    assert.equal(error.message, 'Invalid namespace');
    socket.disconnect();
  });

  test('a message reaches all devices, but not the one that sent it', async () => {
    const [alice, bob, carol] = await friends(server, 'alice', 'bob', 'carol');
    const [laptop, tablet, ...phones] = await Promise.all([
      alice.connect(), alice.connect({ transports: ['polling'] }),
      bob.connect(), bob.connect({ transports: ['websocket'] }), bob.connect({ transports: ['polling'] }),
    ]);
    const onlooker = await carol.connect();
    const { message } = await say(laptop, bob, 'by socket');
    for (const device of [tablet, ...phones]) assert.deepEqual(await device.next('private-message'), message);
    const second = await alice.send(bob, 'by REST');
    for (const device of [laptop, tablet, ...phones]) assert.deepEqual(await device.next('private-message'), second);
    laptop.tell('private-message', { receiverId: bob.id, content: 'without an ack' });
    for (const device of [tablet, ...phones]) {
      assert.equal((await device.next('private-message')).content, 'without an ack');
    }
    for (const device of [laptop, tablet]) assert.deepEqual(await device.untilMarker(bob), []);
    for (const device of phones) assert.deepEqual(await device.untilMarker(alice), []);
    assert.deepEqual(await onlooker.untilMarker(alice), []);
    assert.equal((await bob.history(alice)).messages.filter(({ content }) => !content.startsWith('marker')).length, 3);
  });

  test('every device sees one order: that of seq', async () => {
    const [alice, bob] = await pair();
    const senders = await Promise.all([alice.connect(), alice.connect({ transports: ['websocket'] }), bob.connect()]);
    const readers = await Promise.all([
      alice.connect(), bob.connect({ transports: ['websocket'] }), bob.connect({ transports: ['polling'] }),
    ]);
    await Promise.all(upTo(30).flatMap(i => [
      ...senders.map(device => say(device, device.client === alice ? bob : alice, `${i}`)),
      alice.send(bob, `rest ${i}`),
    ]));
    for (const reader of readers) {
      const seen = [];
      for (let i = 0; i < 120; i++) seen.push((await reader.next('private-message')).seq);
      assert.deepEqual(seen, upTo(120));
    }
    const messages = senders[2].received.filter(({ event }) => event === 'private-message');
    const own = messages.map(({ data }) => data.seq);
    assert.deepEqual(own, [...own].sort((a, b) => a - b));
  });

  test('a sender waits for no ack, and the order stays', async () => {
    const [alice, bob] = await pair();
    const [laptop, phone] = await Promise.all([alice.connect(), bob.connect()]);
    for (const i of upTo(100)) laptop.tell('private-message', { receiverId: bob.id, content: `${i}` });
    for (const i of upTo(100)) {
      const message = await phone.next('private-message');
      assert.deepEqual([message.content, message.seq], [`${i}`, i]);
    }
  });

  test('what was acknowledged is committed', async () => {
    const [alice, bob] = await pair();
    const laptop = await alice.connect();
    const { message } = await say(laptop, bob, 'kept');
    const row = await server.query(`SELECT m.content, m.seq, c.last_seq FROM messages m JOIN chats c ON c.id = m.chat_id
                                    WHERE m.id = '${message.id}'`);
    assert.equal(row, 'kept|1|1');
    assert.deepEqual((await bob.history(alice)).messages, [message]);
  });

  test('the same clientId sends once, by socket, by REST, and by both', async () => {
    const [alice, bob] = await pair();
    const [laptop, tablet, phone] = await Promise.all([alice.connect(), alice.connect(), bob.connect()]);
    const clientId = unique('client');
    const sayings = [laptop, tablet, laptop, tablet].map(device => say(device, bob, 'once', { clientId }));
    const acks = await Promise.all(sayings);
    const byRest = await alice.send(bob, 'once', { clientId });
    for (const ack of acks) assert.deepEqual(ack.message, byRest);
    assert.deepEqual(await phone.next('private-message'), byRest);
    assert.deepEqual(await phone.untilMarker(alice), []);
  });

  test('a message that may not be sent is refused, by the ack or by operation-error', async () => {
    const [alice, bob] = await pair();
    const carol = await Client.register(server, 'carol');
    const [laptop, phone, other] = await Promise.all([alice.connect(), bob.connect(), carol.connect()]);
    const refused = 'Permission denied: You are not allowed to chat with this user';
    assertRefused(await laptop.ask('private-message', { receiverId: carol.id, content: 'hi' }), 'FORBIDDEN', refused);
    assertRefused(await laptop.ask('private-message', { receiverId: nobody, content: 'hi' }), 'FORBIDDEN', refused);
    laptop.tell('private-message', { receiverId: carol.id, content: 'hi' });
    assert.deepEqual(
      await laptop.next('operation-error'), { message: refused, code: 'FORBIDDEN', event: 'private-message' }
    );
    const invalid = await laptop.ask('private-message', { receiverId: 'bob', content: '' });
    assertRefused(invalid, 'VALIDATION_ERROR', 'Validation error');
    assert.deepEqual(invalid.errors.map(error => error.path).sort(), ['content', 'receiverId']);
    laptop.tell('private-message', { receiverId: bob.id });
    const error = await laptop.next('operation-error');
    assert.deepEqual([error.code, error.event], ['VALIDATION_ERROR', 'private-message']);
    await befriend(alice, carol);
    await other.next('friend_request_received');
    await other.next('contact_added');
    assert.deepEqual(await other.untilMarker(alice), []);
    assert.deepEqual(await phone.untilMarker(alice), []);
    assert.deepEqual((await carol.history(alice)).messages.filter(({ content }) => content === 'hi'), []);
  });

  test('nobody speaks for somebody else', async () => {
    const [alice, bob, mallory] = await friends(server, 'alice', 'bob', 'mallory');
    const [laptop, phone] = await Promise.all([mallory.connect(), bob.connect()]);
    const forged = { receiverId: bob.id, content: 'I am Alice', senderId: alice.id };
    assertRefused(await laptop.ask('private-message', forged), 'FORBIDDEN');
    laptop.tell('private-message', forged);
    assert.equal((await laptop.next('operation-error')).code, 'FORBIDDEN');
    await say(laptop, bob, 'I am Mallory', { senderId: mallory.id });
    assert.equal((await phone.next('private-message')).senderId, mallory.id);
    assert.deepEqual(await phone.untilMarker(alice), []);
    assert.equal(await server.query(`SELECT count(*) FROM messages WHERE content = 'I am Alice'`), '0');
  });

  test('an event that is not known is refused', async () => {
    const [alice] = await pair();
    const laptop = await alice.connect();
    assertRefused(await laptop.ask('no-such-event', {}), 'INVALID_PAYLOAD', 'Unknown event');
    laptop.tell('no-such-event', {});
    const error = await laptop.next('operation-error');
    assert.deepEqual(error, { message: 'Unknown event', code: 'INVALID_PAYLOAD', event: 'no-such-event' });
    for (const event of ['connection', '__proto__', 'user-online', 'operation-error', 'x'.repeat(1000)]) {
      assertRefused(await laptop.ask(event, {}), 'INVALID_PAYLOAD');
    }
  });

  test('a socket that comes back gets what is written from then on', async () => {
    const [alice, bob] = await pair();
    const phone = await bob.connect();
    phone.io.disconnect();
    const missed = await alice.send(bob, 'while away');
    phone.io.connect();
    await phone.connected();
    const next = await alice.send(bob, 'back again');
    assert.deepEqual(await phone.next('private-message', ({ id }) => id === next.id), next);
    assert.deepEqual((await bob.history(alice)).messages, [missed, next]);
  });
});
