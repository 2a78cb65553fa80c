// PostgreSQL goes away, and comes back: clear answers meanwhile, nothing lost, no help needed.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { Client, Device, assertFails, friends, patienceMs, stopServer, unique, upTo } from '../support/api.mjs';
import { startPostgres, startServer, until } from '../support/server.mjs';

describe('the database is away', () => {
  let postgres, server, alice, bob;

  before(async () => {
    postgres = await startPostgres();
    server = await startServer({ postgres });
    [alice, bob] = await friends(server, 'alice', 'bob');
  });
  after(async () => {
    await stopServer(server);
    await postgres?.destroy();
  });

  const isReady = async () => (await new Client(server).get('/health/ready')).status === 200;

  test('requests are told to come later, and served as soon as it is back', async () => {
    const [laptop, phone] = await Promise.all([alice.connect(), bob.connect()]);
    const before = await alice.send(bob, 'before');
    await phone.next('private-message');
    await postgres.stop();
    await until(async () => !(await isReady()), 'the server to notice', patienceMs);

    const guest = new Client(server);
    const login = { username: alice.username, password: 'correct horse' };
    for (const reply of [
      await alice.get('/api/chats'),
      await alice.get('/api/users/me'),
      await alice.post('/api/messages', { receiverId: bob.id, content: 'lost?' }),
      await guest.post('/api/auth/login', login),
      await guest.post('/api/auth/register', { ...login, username: unique('carol') }),
    ]) {
      assertFails(reply, 503, 'UNAVAILABLE');
      assert.match(reply.headers.get('retry-after'), /^[1-9]\d*$/);
      assert.doesNotMatch(JSON.stringify(reply.body), /postgres|SELECT|socket/i);
    }
    assert.equal((await laptop.ask('private-message', { receiverId: bob.id, content: 'lost?' })).code, 'UNAVAILABLE');
    laptop.tell('private-message', { receiverId: bob.id, content: 'lost?' });
    assert.equal((await laptop.next('operation-error')).code, 'UNAVAILABLE');
    assert.equal((await guest.get('/health')).status, 200);
    assert.equal((await guest.get('/health/live')).status, 200);
    assertFails(
      await alice.request('GET', '/api/chats', { headers: { authorization: 'Bearer x' } }), 401, 'UNAUTHORIZED'
    );

    await postgres.start();
    await until(isReady, 'the server to be ready again', patienceMs);
    const after = await alice.send(bob, 'after');
    assert.deepEqual((await bob.wholeHistory(alice)).map(message => message.id), [before.id, after.id]);
    assert.deepEqual(await phone.next('private-message'), after);
    assert.equal((await laptop.done('private-message', { receiverId: bob.id, content: 'by socket' })).message.seq, 3);
  });

  test('a device that comes while it is away is let in as soon as it is back', async () => {
    const options = { reconnection: true, reconnectionDelay: 50 };
    const laptop = await alice.connect(options);
    await postgres.stop();
    await until(async () => !(await isReady()), 'the server to notice', patienceMs);
    let attempts = 0;
    laptop.io.io.on('reconnect_attempt', () => attempts++);
    laptop.io.io.engine.close();
    const guest = new Device(bob, options);
    await until(() => attempts > 2, 'attempts', patienceMs);
    await postgres.start();
    await until(() => laptop.io.connected && guest.io.connected, 'both to be let in', patienceMs);
    assert.equal(laptop.io.recovered, true);
    for (const device of [laptop, guest]) device.close();
    await until(isReady, 'the rest of the server to be ready', patienceMs);
  });

  test('what was acknowledged while it crashed is there, once, and the rest can be sent again', async () => {
    const start = (await bob.wholeHistory(alice)).length;
    const acknowledged = new Map();
    let failures = 0;

    // One after the other, each until it is acknowledged.
    async function sendAll(sender) {
      for (const i of upTo(40)) {
        const clientId = `crash ${sender} ${i}`;
        await until(async () => {
          const reply = await alice.post('/api/messages', { receiverId: bob.id, content: clientId, clientId });
          if (reply.status === 503) failures++;
          else acknowledged.set(clientId, reply.data);
          return reply.status < 300;
        }, 'an acknowledgement', 2 * patienceMs);
      }
    }
    const senders = Promise.all(upTo(8).map(sendAll));
    await until(() => acknowledged.size > 50, 'some messages', patienceMs);
    await postgres.kill();
    await until(() => failures > 0, 'a failure', patienceMs);
    await postgres.start();
    await senders;

    const history = (await bob.wholeHistory(alice)).slice(start);
    assert.deepEqual(history.map(message => message.seq), upTo(320).map(i => i + start));
    assert.deepEqual(history.map(message => message.clientId).sort(), [...acknowledged.keys()].sort());
    for (const message of history) assert.deepEqual(message, acknowledged.get(message.clientId));
  });
});

describe('somebody who tries to come while the database is away', () => {
  let postgres, server;

  before(async () => {
    postgres = await startPostgres();
    server = await startServer({ postgres, env: { PRESENCE_GRACE_MS: '0' } });
  });
  after(async () => {
    await stopServer(server);
    await postgres?.destroy();
  });

  test('is told of once, when it is back', async () => {
    const isReady = async () => (await new Client(server).get('/health/ready')).status === 200;
    const [alice, bob, marker] = await friends(server, 'alice', 'bob', 'marker');
    const watcher = await bob.connect();
    const laptop = await alice.connect();
    await watcher.next('user-online');
    await postgres.stop();
    await until(async () => !(await isReady()), 'the server to notice', patienceMs);
    laptop.close();
    for (let i = 0; i < 10; i++) {
      const device = new Device(alice);
      await assert.rejects(device.connected());
      device.close();
    }
    await postgres.start();
    await until(isReady, 'the server to be ready again', patienceMs);
    assert.equal((await watcher.next('user-offline')).userId, alice.id);
    // Whoever comes now is told behind all that waited.
    const tell = await marker.connect();
    await watcher.next('user-online', data => data.userId === marker.id);
    tell.close();
    await watcher.next('user-offline', data => data.userId === marker.id);
    assert.deepEqual(watcher.untaken(), []);
  });
});
