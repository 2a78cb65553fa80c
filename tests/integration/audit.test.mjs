// The audit log: what was done with accounts, when and from where, and nothing that is secret.

import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { after, before, describe, test } from 'node:test';

import { Client, assertFails, nobody, password, patienceMs, stopServer, unique, upTo } from '../support/api.mjs';
import { query, startServer, until } from '../support/server.mjs';
import { codeOf, wrongCode } from '../support/totp.mjs';

describe('the audit log', () => {
  let server;

  before(async () => {
    server = await startServer({ env: {
      TOTP_KEYS: `1:${randomBytes(32).toString('base64')}`, TRUST_PROXY: '127.0.0.1', MAX_FAILED_ATTEMPTS: '3',
    } });
  });
  after(() => stopServer(server));

  const home = { 'x-forwarded-for': '192.0.2.1' };
  const asServer = sql => query(server.databaseUrl.replace('stonechat@', 'stonechat_server@'), sql);

  const login = (client, body = {}, headers = home) => new Client(server).post('/api/auth/login',
    { username: client.username, password, ...body }, headers);

  /** What was done since the last look, with this user: `action`, or `action at address`. */
  let seen = 0;
  async function news(user) {
    const rows = await server.query(`SELECT id, action, coalesce(ip, '') FROM audit_log
      WHERE user_id ${user ? `= '${user.id}'` : 'IS NULL'} AND id > ${seen} ORDER BY id`);
    const lines = rows.split('\n').filter(line => line !== '').map(line => line.split('|'));
    seen = Number(lines.at(-1)?.[0] ?? seen);
    return lines.map(([, action, ip]) => (ip === '127.0.0.1' ? action : `${action} at ${ip}`));
  }

  test('tells of registering, logging in, failures, lock-outs, and logging out', async () => {
    const alice = await Client.register(server, 'alice');
    const other = await login(alice);
    assert.deepEqual(await news(alice), ['registered', 'logged_in at 192.0.2.1']);
    const away = { 'x-forwarded-for': '2001:db8::7' };
    for (const _ of upTo(3)) assertFails(await login(alice, { password: 'not it' }, away), 400, 'INVALID_CREDENTIALS');
    assertFails(await login(alice), 403, 'ACCOUNT_LOCKED');
    assert.deepEqual(await news(alice), [...upTo(3).map(() => 'login_failed at 2001:db8::7'), 'locked_out at 2001:db8::7']);
    const sessions = await alice.read('/api/auth/sessions');
    const { id } = sessions.find(session => !session.current);
    await alice.request('DELETE', `/api/auth/sessions/${id}`);
    assert.equal(await server.query(`SELECT login_id FROM audit_log WHERE user_id = '${alice.id}' ORDER BY id DESC LIMIT 1`), id);
    await alice.post('/api/auth/logout');
    assert.deepEqual(await news(alice), ['login_ended', 'login_ended']);
    assert.equal(other.status, 200);
  });

  test('tells of a name that nobody has, without the name', async () => {
    await news();
    const typed = unique('correct_horse');
    assertFails(await new Client(server).post('/api/auth/login', { username: typed, password }), 400, 'INVALID_CREDENTIALS');
    assert.deepEqual(await news(), ['login_failed']);
    assert.equal(await server.query(`SELECT count(*) FROM audit_log a WHERE a::text LIKE '%${typed}%'`), '0');
  });

  test('tells of a refresh token that came twice', async () => {
    const alice = await Client.register(server, 'alice');
    const { refreshToken } = (await login(alice)).data;
    assert.equal((await new Client(server).post('/api/auth/refresh', { refreshToken })).status, 200);
    await news(alice);
    assertFails(await new Client(server).post('/api/auth/refresh', { refreshToken }, home), 401, 'UNAUTHORIZED');
    assert.deepEqual(await news(alice), ['refresh_reused at 192.0.2.1']);
    assertFails(await new Client(server).post('/api/auth/refresh', { refreshToken }, home), 401, 'UNAUTHORIZED');
    assert.deepEqual(await news(alice), []); // it has ended, and that is told once
  });

  test('tells of passwords that change and of accounts that go', async () => {
    const alice = await Client.register(server, 'alice');
    await login(alice);
    await news(alice);
    const next = 'battery staple';
    const change = currentPassword => alice.post('/api/auth/password', { currentPassword, newPassword: next }, home);
    assertFails(await change('not it'), 400, 'INVALID_CREDENTIALS');
    assert.equal((await change(password)).status, 200);
    assert.deepEqual(await news(alice), ['login_failed', 'password_changed', 'login_ended'].map(what => `${what} at 192.0.2.1`));
    const gone = await alice.request('DELETE', '/api/users/me', { body: { password: next }, headers: home });
    assert.equal(gone.status, 200);
    assert.deepEqual((await news(alice)).sort(), ['account_deleted at 192.0.2.1', 'login_ended at 192.0.2.1']);
  });

  test('tells of two factors', async () => {
    const alice = await Client.register(server, 'alice');
    await news(alice);
    const { secret } = await alice.do('/api/auth/2fa/setup', {});
    const { recoveryCodes } = await alice.do('/api/auth/2fa/enable', { otp: codeOf(secret) });
    assert.deepEqual(await news(alice), ['two_factors_set_up', 'two_factors_enabled']);
    assert.equal((await login(alice, { otp: recoveryCodes[0] })).status, 200);
    assert.deepEqual(await news(alice), ['recovery_code_used at 192.0.2.1', 'logged_in at 192.0.2.1']);
    for (const otp of [recoveryCodes[0], wrongCode(secret), wrongCode(secret)]) {
      assertFails(await login(alice, { otp }), 400, 'INVALID_CREDENTIALS');
    }
    assert.deepEqual(await news(alice), [...upTo(3).map(() => 'two_factors_failed at 192.0.2.1'),
      'two_factors_locked_out at 192.0.2.1']);
    await server.query(`UPDATE two_factors SET locked_until = NULL WHERE user_id = '${alice.id}'`);
    assert.equal((await alice.post('/api/auth/2fa/disable', { otp: recoveryCodes[1] })).status, 200);
    assert.deepEqual(await news(alice), ['recovery_code_used', 'two_factors_disabled']);
    const everything = await server.query('SELECT string_agg(a::text, chr(10)) FROM audit_log a');
    const digest = text => createHash('sha256').update(text).digest('hex');
    for (const text of [secret, password, alice.token, digest(secret), ...recoveryCodes]) {
      assert.ok(!everything.includes(text));
    }
  });

  test('what did not happen is not told', async () => {
    const alice = await Client.register(server, 'alice');
    await news(alice);
    const taken = await new Client(server).post('/api/auth/register', { username: alice.username, password });
    assertFails(taken, 400, 'USERNAME_TAKEN');
    assertFails(await alice.request('DELETE', `/api/auth/sessions/${nobody}`), 404, 'NOT_FOUND');
    assertFails(await alice.post('/api/auth/2fa/disable', { otp: '123456' }), 409, 'CONFLICT');
    assert.deepEqual(await news(alice), []);
  });

  test('the server writes it, and can neither read nor change it, nor clear the last thirty days', async () => {
    await Client.register(server);
    for (const sql of ['SELECT * FROM audit_log', "UPDATE audit_log SET ip = 'x'", 'DELETE FROM audit_log', 'TRUNCATE audit_log']) {
      await assert.rejects(asServer(sql), /permission denied/, sql);
    }
    await assert.rejects(query(server.databaseUrl, 'SET ROLE stonechat_read; SELECT * FROM audit_log'), /permission denied/);
    await assert.rejects(query(server.databaseUrl, 'SET ROLE stonechat_read; SELECT prune_audit(ARRAY[30], ARRAY[1])'), /permission denied/);
    const count = () => server.query('SELECT count(*) FROM audit_log');
    const before = await count();
    assert.equal(await asServer('SELECT pruned FROM prune_audit(ARRAY[0], ARRAY[1000])'), '0');
    assert.equal(await count(), before);
  });

  test('is kept for as long as is asked for', async () => {
    const [old, older] = [await Client.register(server), await Client.register(server)];
    for (const [user, days] of [[old, 39], [older, 41]]) {
      await server.query(`UPDATE audit_log SET at = now() - interval '${days} days' WHERE user_id = '${user.id}'`);
    }
    const count = user => server.query(`SELECT count(*) FROM audit_log WHERE user_id = '${user.id}'`);
    const brief = await startServer({ databaseUrl: server.databaseUrl, env: { AUDIT_RETENTION_DAYS: '40' } });
    await until(async () => (await count(older)) === '0', 'the old rows to go', patienceMs);
    assert.equal(await count(old), '1');
    await brief.stop();
  });
});
