// PostgreSQL's disk is full: whoever writes is told to come later, whoever reads is served, and what was acknowledged stays.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { Client, assertFails, friends, stopServer, unique, upTo } from '../support/api.mjs';
import { query, startServer } from '../support/server.mjs';

describe('the disk of the database is full', () => {
  let server, alice, bob;

  before(async () => {
    server = await startServer();
    [alice, bob] = await friends(server, 'alice', 'bob');
    // As PostgreSQL fails when a file cannot grow.
    await query(server.databaseUrl, `CREATE FUNCTION fail_to_grow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
      RAISE EXCEPTION 'could not extend file "base/1/2": No space left on device' USING ERRCODE = '53100'; END $$`);
  });
  after(() => stopServer(server));

  const growing = ['messages', 'users', 'friend_requests', 'events', 'logins', 'calls'];
  const fill = () => query(server.databaseUrl, growing.map(table =>
    `CREATE TRIGGER fail_to_grow BEFORE INSERT ON ${table} EXECUTE FUNCTION fail_to_grow();`).join(''));
  const makeRoom = () => query(server.databaseUrl, growing.map(table => `DROP TRIGGER fail_to_grow ON ${table};`).join(''));

  test('writers are told to come later, and readers are served; then all goes on', async () => {
    const laptop = await alice.connect();
    const phone = await bob.connect();
    const first = await alice.send(bob, 'before');
    assert.deepEqual(await phone.next('private-message'), first);
    await fill();
    const message = { receiverId: bob.id, content: 'no room', clientId: unique('full') };
    const guest = new Client(server);
    for (const reply of [
      await alice.post('/api/messages', message),
      await guest.post('/api/auth/register', { username: unique('carol'), password: 'correct horse' }),
      await guest.post('/api/auth/login', { username: alice.username, password: 'correct horse' }),
    ]) {
      assertFails(reply, 503, 'UNAVAILABLE');
      assert.match(reply.headers.get('retry-after'), /^[1-9]\d*$/);
      assert.doesNotMatch(JSON.stringify(reply.body), /extend|device/);
    }
    assert.equal((await laptop.ask('private-message', message)).code, 'UNAVAILABLE');
    const many = await Promise.all(upTo(100).map(() => alice.post('/api/messages', { receiverId: bob.id, content: 'none' })));
    for (const reply of many) assertFails(reply, 503, 'UNAVAILABLE');
    assert.deepEqual((await bob.wholeHistory(alice)).map(({ id }) => id), [first.id]);
    assert.equal((await guest.get('/health/ready')).status, 200);

    await makeRoom();
    const second = (await laptop.done('private-message', message)).message; // the same again, and once
    assert.equal(second.seq, 2);
    assert.deepEqual(await phone.next('private-message'), second);
    assert.deepEqual((await bob.wholeHistory(alice)).map(({ id }) => id), [first.id, second.id]);
    await Client.register(server);
    laptop.close();
    phone.close();
  });

  test('the log says what to do, and is no flood', () => {
    const lines = server.logs.filter(({ msg, sqlstate }) => msg === 'statement failed' && sqlstate === '53100');
    assert.ok(lines.length >= 1 && lines.length <= 20, `${lines.length} lines for 104 failures`);
    for (const line of lines) assert.match(line.advice, /make room on PostgreSQL's disk/);
  });
});
