// The machine's clock is put back, and ahead, while the server and its PostgreSQL run: who is there stays, and chats stay in
// order. libfaketime tells both the time, from a file.

import assert from 'node:assert/strict';
import { chmodSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';

import { Client, friends, patienceMs, stopServer, upTo } from '../support/api.mjs';
import { Connection } from '../support/raw.mjs';
import { prepareServer, query, startPostgres, temporaryDirectory, testedBinary, until } from '../support/server.mjs';

const hourS = 3600;
const isSanitized = /\/(asan|tsan)\//.test(testedBinary());
const library = `/usr/lib/${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}-linux-gnu/faketime/libfaketimeMT.so.1`;

describe('the clock', { skip: isSanitized && 'a sanitizer wants to be the first library' }, () => {
  let postgres, server, file, alice, bob, laptop, phone;
  const history = [];

  before(async () => {
    const directory = temporaryDirectory();
    file = path.join(directory, 'time');
    setClock(0);
    chmodSync(directory, 0o755);
    const clock = {
      LD_PRELOAD: library, FAKETIME_TIMESTAMP_FILE: file, FAKETIME_NO_CACHE: '1', FAKETIME_DONT_FAKE_MONOTONIC: '1',
      DONT_FAKE_MONOTONIC: '1',
    };
    // By a script of its own: what these are started by has other users, and what the library shares belongs to one.
    const underClock = program => {
      const script = path.join(directory, path.basename(program));
      const settings = Object.entries(clock).map(([name, value]) => `${name}='${value}'`).join(' ');
      writeFileSync(script, `#!/bin/sh\nexec env ${settings} '${program}' "$@"\n`, { mode: 0o755 });
      return script;
    };
    postgres = await startPostgres();
    await postgres.stop();
    postgres.program = underClock(postgres.program);
    await postgres.start();
    const env = { LOG_LEVEL: 'debug', PRESENCE_LEASE_SECONDS: '6', REQUEST_TIMEOUT_SECONDS: '5' };
    server = await prepareServer({ postgres, env });
    server.binary = underClock(server.binary);
    await server.start();
    [alice, bob] = await friends(server, 'alice', 'bob');
    [laptop, phone] = [await alice.connect(), await bob.connect()];
  });
  after(async () => {
    for (const device of [laptop, phone]) device?.close();
    await stopServer(server);
    // It began as root, and may not take them away itself.
    for (const name of ['faketime_shm_', 'sem.faketime_sem_']) rmSync(`/dev/shm/${name}${server.pid}`, { force: true });
    await postgres?.destroy();
  });

  function setClock(offsetS) {
    writeFileSync(`${file}.new`, `${offsetS < 0 ? '-' : '+'}${Math.abs(offsetS)}`, { mode: 0o644 });
    renameSync(`${file}.new`, file);
  }

  /** Sets the clocks, and waits until both programs have seen it. libh2o goes by the wall clock, and closes connections that
   * seem to have been idle for a day: so all that fetch keeps are used, until none of them fails. */
  async function jump(offsetS) {
    setClock(offsetS);
    const isNear = timeMs => Math.abs(timeMs - Date.now() - offsetS * 1000) < 600_000;
    const ask = async () => Date.parse((await (await fetch(`${server.url}/health`)).json()).date);
    await until(async () => isNear(1000 * await query(postgres.url(), 'SELECT extract(epoch FROM clock_timestamp())')) &&
      (await Promise.all(upTo(20).map(() => ask().catch(() => NaN)))).every(isNear), 'the clocks', patienceMs);
  }

  /** Both write and read as if nothing had happened. */
  async function assertAllGoesOn() {
    for (const [sender, receiver, device] of [[alice, bob, phone], [bob, alice, laptop]]) {
      const message = await sender.send(receiver, `message ${history.length}`);
      history.push(message);
      assert.deepEqual(await device.next('private-message', ({ id }) => id === message.id), message);
    }
    const stored = await bob.wholeHistory(alice);
    assert.deepEqual(stored.map(({ id }) => id), history.map(({ id }) => id));
    assert.deepEqual(stored.map(({ seq }) => seq), history.map((_, i) => i + 1));
    const times = stored.map(({ createdAt }) => createdAt);
    assert.deepEqual(times, times.toSorted ? times.toSorted() : [...times].sort());
    assert.equal(new Set(stored.map(({ id }) => id)).size, stored.length); // they ascend within a thread only: seq is the order
    assert.equal((await alice.get('/api/users/me')).status, 200);
    const { refreshToken } = await new Client(server).do('/api/auth/login', { username: bob.username, password: 'correct horse' });
    await new Client(server).do('/api/auth/refresh', { refreshToken });
    await Client.register(server);
    const guest = await bob.connect();
    guest.close();
    assert.ok(laptop.io.connected && phone.io.connected);
    assert.equal((await new Client(server).get('/health/ready')).status, 200);
  }

  /** Waits until the server has read what was revoked, once more from its beginning to its end. */
  async function hasLooked() {
    const looks = () => server.logs.filter(({ statement }) => statement === 'login_list_revoked').length;
    const before = looks();
    await until(() => looks() > before + 1, 'the server to look at what was revoked', patienceMs);
  }

  test('stands', assertAllGoesOn);

  test('jumps ahead for a while, and who has logged out stays out', async () => {
    const guest = new Client(server);
    const { token } = await guest.do('/api/auth/login', { username: bob.username, password: 'correct horse' });
    guest.token = token;
    // As if its last token ended within the hour, and it was some minutes ago.
    const { sid } = JSON.parse(Buffer.from(token.split('.')[1], 'base64url'));
    await server.query(`UPDATE logins SET tokens_until = now() + interval '1 hour' WHERE id = '${sid}'`);
    await guest.post('/api/auth/logout');
    await server.query(`UPDATE logins SET revoked_at = revoked_at - interval '5 minutes' WHERE id = '${sid}'`);
    assert.equal((await guest.get('/api/users/me')).status, 401);
    await jump(24 * hourS);
    await hasLooked();
    await jump(0);
    await hasLooked();
    await hasLooked();
    assert.equal((await guest.get('/api/users/me')).status, 401);
  });

  for (const [what, offsetS] of [
    ['is put back by two hours', -2 * hourS], ['is put ahead by a day', 24 * hourS], ['is put right again', 0],
  ]) {
    test(what, async () => {
      const older = await Connection.connect(server);
      await jump(offsetS);
      await assertAllGoesOn();
      const newer = await Connection.connect(server);
      for (const silent of [older, newer]) await silent.waitForEnd();
    });
  }
});
