// Seeing contacts come and go.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { Client, befriend, friends, patienceMs, stopServer, timePattern } from '../support/api.mjs';
import { Psql } from '../support/psql.mjs';
import { startServer, until } from '../support/server.mjs';

describe('presence', { concurrency: true }, () => {
  let server;

  before(async () => (server = await startServer({ env: { PRESENCE_GRACE_MS: '2000' } })));
  after(() => stopServer(server));

  const isOnline = async (watcher, user) => (await watcher.chat(user)).user.online;

  test('contacts learn of the first socket and of the last', async () => {
    const [alice, bob, marker] = await friends(server, 'alice', 'bob', 'marker');
    const watcher = await bob.connect();
    assert.equal(await isOnline(bob, alice), false);
    const laptop = await alice.connect();
    assert.deepEqual(await watcher.next('user-online'), { userId: alice.id });
    assert.equal(await isOnline(bob, alice), true);
    const tablet = await alice.connect();
    const tell = await marker.connect();
    assert.deepEqual(await watcher.next('user-online'), { userId: marker.id });

    // The marker comes and goes with the first of two sockets: only the marker is offline afterwards.
    laptop.close();
    tell.close();
    assert.equal((await watcher.next('user-offline')).userId, marker.id);
    assert.equal(await isOnline(bob, alice), true);
    const since = new Date(Date.now() - 100).toISOString(); // a turn of the server's loop has one time
    tablet.close();
    const offline = await watcher.next('user-offline');
    assert.match(offline.lastSeen, timePattern);
    assert.deepEqual(offline, { userId: alice.id, lastSeen: offline.lastSeen });
    assert.ok(offline.lastSeen >= since, `${offline.lastSeen} ${since}`);
    assert.deepEqual(watcher.untaken(), []);
    const { user } = await bob.chat(alice);
    assert.deepEqual(user, { id: alice.id, username: alice.username, online: false, lastSeen: offline.lastSeen });
    assert.equal(
      await server.query(`SELECT rfc3339(last_seen_at) FROM users WHERE id = '${alice.id}'`), offline.lastSeen
    );
  });

  test('who is back within the grace time was never away', async () => {
    const [alice, bob, marker] = await friends(server, 'alice', 'bob', 'marker');
    const watcher = await bob.connect();
    const options = { transports: ['websocket'] };
    const [first, tell] = await Promise.all([alice.connect(options), marker.connect(options)]);
    for (let i = 0; i < 2; i++) await watcher.next('user-online');
    first.close();
    const second = await alice.connect(options);
    tell.close();
    assert.equal((await watcher.next('user-offline')).userId, marker.id);
    assert.deepEqual(watcher.untaken(), []);
    assert.equal(await isOnline(bob, alice), true);
    second.close();
    assert.equal((await watcher.next('user-offline')).userId, alice.id);
  });

  test('a client that dies goes offline too', async () => {
    const [alice, bob] = await friends(server, 'alice', 'bob');
    const watcher = await bob.connect();
    const laptop = await alice.connect({ transports: ['websocket'] });
    await watcher.next('user-online');
    laptop.io.io.engine.transport.ws._socket.resetAndDestroy();
    assert.equal((await watcher.next('user-offline')).userId, alice.id);
    laptop.close();
  });

  test('strangers are not told', async () => {
    const [alice, bob] = await friends(server, 'alice', 'bob');
    const stranger = await Client.register(server, 'stranger');
    await befriend(stranger, bob);
    const watcher = await stranger.connect();
    const laptop = await alice.connect();
    const phone = await bob.connect();
    assert.deepEqual(await watcher.next('user-online'), { userId: bob.id });
    await watcher.untilMarker(bob);
    assert.deepEqual(watcher.untaken(), []);
    laptop.close();
    phone.close();
    assert.equal((await watcher.next('user-offline')).userId, bob.id);
    await watcher.untilMarker(bob);
    assert.deepEqual(watcher.untaken(), []);
  });

  test('who is not a contact any more is not told', async () => {
    const [alice, bob, marker] = await friends(server, 'alice', 'bob', 'marker');
    const watcher = await bob.connect();
    const [laptop, tell] = await Promise.all([alice.connect(), marker.connect()]);
    for (let i = 0; i < 2; i++) await watcher.next('user-online');
    await alice.do('/api/contacts/remove', { contactId: bob.id });
    laptop.close();
    tell.close();
    assert.equal((await watcher.next('user-offline')).userId, marker.id);
    assert.deepEqual(watcher.untaken(), []);
  });

  test('online is the same in every reply', async () => {
    const [alice, bob] = await friends(server, 'alice', 'bob');
    const laptop = await alice.connect();
    const seen = async () => [
      (await bob.read('/api/contacts/profile')).user.contacts[0].online,
      (await bob.chat(alice)).user.online,
      (await bob.read('/api/users', { search: alice.username }))[0].online,
      (await alice.read('/api/users/me')).online,
      (await alice.read('/api/contacts/profile')).user.online,
    ];
    assert.deepEqual(await seen(), [true, true, true, true, true]);
    laptop.close();
    await until(async () => !(await isOnline(bob, alice)), 'Alice to be offline');
    assert.deepEqual(await seen(), [false, false, false, false, false]);
    const { lastSeen } = (await bob.chat(alice)).user;
    assert.equal((await alice.read('/api/users/me')).lastSeen, lastSeen);
    assert.equal((await bob.read('/api/users', { search: alice.username }))[0].lastSeen, lastSeen);
  });

  test('a polling client that is silent for too long is gone', async t => {
    const impatient = await startServer({
      env: { PRESENCE_GRACE_MS: '0', PING_INTERVAL_MS: '300', PING_TIMEOUT_MS: '2000' },
    });
    t.after(() => impatient.stop());
    const [alice, bob] = await friends(impatient, 'alice', 'bob');
    const watcher = await bob.connect();
    const open = await fetch(`${impatient.url}/socket.io/?EIO=4&transport=polling`);
    const { sid } = JSON.parse((await open.text()).slice(1));
    const session = `${impatient.url}/socket.io/?EIO=4&transport=polling&sid=${sid}`;
    await fetch(session, { method: 'POST', body: `40${JSON.stringify({ token: alice.token })}` });
    await watcher.next('user-online');
    assert.equal((await watcher.next('user-offline')).userId, alice.id);
    assert.equal((await fetch(session)).status, 400);
    watcher.close();
  });

  test('a coming is told when it has been written down', async t => {
    const slow = await startServer({ env: { WORKERS: '1', DB_CONNECTIONS: '4' } });
    t.after(() => slow.stop());
    const [alice, bob] = await friends(slow, 'alice', 'bob');
    const watcher = await bob.connect();
    // Another transaction has the same row: the server's must wait for its end.
    const psql = new Psql(slow.databaseUrl);
    t.after(() => psql.child.kill());
    await psql.run(`BEGIN; INSERT INTO online SELECT id, '${alice.id}' FROM nodes; SELECT 'is written'`);
    const laptop = await alice.connect();
    await until(async () => (await slow.query(`SELECT count(*) FROM pg_stat_activity
      WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE 'INSERT INTO online%'`)) === '1',
    'the server to wait', patienceMs);
    await watcher.untilMarker(alice);
    assert.deepEqual(watcher.untaken(), []);
    await psql.run("ROLLBACK; SELECT 'is not written'");
    assert.deepEqual(await watcher.next('user-online'), { userId: alice.id });
    await psql.end();
    watcher.close();
    laptop.close();
  });
});
