// Two factors: an authenticator app, recovery codes, and what a thief of the password can do.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, describe, test } from 'node:test';

import { Client, assertFails, assertInvalid, password, patienceMs, stopServer, upTo } from '../support/api.mjs';
import { Psql } from '../support/psql.mjs';
import { startServer, until } from '../support/server.mjs';
import { codeOf, wrongCode } from '../support/totp.mjs';

const makeKey = number => `${number}:${randomBytes(32).toString('base64')}`;
const keys = makeKey(1);

const login = (client, fields = {}) =>
  new Client(client.server).post('/api/auth/login', { username: client.username, password, ...fields });

/**
 * A user with two factors: `{client, secret, recoveryCodes}`. The code that enabled them may be used again, as the
 * codes of now and of the next step are the only two that are sure to be good when they arrive.
 */
async function protectedUser(server) {
  const client = await Client.register(server, 'alice');
  const { secret } = await client.do('/api/auth/2fa/setup', {});
  const { recoveryCodes } = await client.do('/api/auth/2fa/enable', { otp: codeOf(secret) });
  await server.query(`UPDATE two_factors SET last_step = 0 WHERE user_id = '${client.id}'`);
  return { client, secret, recoveryCodes };
}

describe('two factors', () => {
  let server;

  before(async () => (server = await startServer({ env: { TOTP_KEYS: keys, TOTP_ISSUER: 'Our Chat', DB_CONNECTIONS: '4' } })));
  after(() => stopServer(server));

  /** Waits until so many statements that call the function wait for somebody else's lock. */
  const untilWaiting = (called, count) => until(async () => (await server.query(`SELECT count(*) FROM pg_stat_activity
    WHERE wait_event_type = 'Lock' AND datname = current_database() AND query LIKE '%${called}%'`)) === `${count}`,
  `${count} of ${called} to wait`, patienceMs);

  test('are set up with a secret, an address and a picture for the app, and asked for once they are enabled', async () => {
    const alice = await Client.register(server, 'alice');
    const setup = await alice.do('/api/auth/2fa/setup', {});
    assert.match(setup.secret, /^[A-Z2-7]{32}$/);
    const uri = new URL(setup.otpauthUri);
    assert.equal(`${uri.protocol}//${uri.host}${uri.pathname}`, `otpauth://totp/Our%20Chat:${alice.username}`);
    assert.deepEqual(Object.fromEntries(uri.searchParams),
      { secret: setup.secret, issuer: 'Our Chat', algorithm: 'SHA1', digits: '6', period: '30' });
    assert.match(setup.qrSvg, /^<svg xmlns="http:\/\/www\.w3\.org\/2000\/svg" viewBox="[\d ]+".*<\/svg>$/);
    assert.equal((await login(alice)).status, 200);

    const again = await alice.do('/api/auth/2fa/setup', {});
    assert.notEqual(again.secret, setup.secret);
    assertFails(await alice.post('/api/auth/2fa/enable', { otp: wrongCode(again.secret) }), 400, 'INVALID_CREDENTIALS',
      'Invalid one-time password');
    const { recoveryCodes } = await alice.do('/api/auth/2fa/enable', { otp: codeOf(again.secret) });
    assert.equal(new Set(recoveryCodes).size, 10);
    for (const code of recoveryCodes) assert.match(code, /^[A-HJ-NP-Z2-9]{5}-[A-HJ-NP-Z2-9]{5}$/);

    assertFails(await login(alice), 401, 'OTP_REQUIRED');
    assertFails(await login(alice, { password: 'not the password', otp: codeOf(again.secret) }), 400,
      'INVALID_CREDENTIALS', 'Invalid credentials');
    const { status, data } = await login(alice, { otp: codeOf(again.secret, 1) });
    assert.equal(status, 200);
    assert.equal(data.user.id, alice.id);
  });

  test('take a code once, and none that is older', async () => {
    const { client, secret } = await protectedUser(server);
    const code = codeOf(secret);
    const replies = await Promise.all(upTo(6).map(() => login(client, { otp: code })));
    assert.deepEqual(replies.map(reply => reply.status).sort(), [200, 400, 400, 400, 400, 400]);
    assertFails(await login(client, { otp: codeOf(secret, -1) }), 400, 'INVALID_CREDENTIALS');
    assert.equal((await login(client, { otp: codeOf(secret, 1) })).status, 200);
  });

  test('a recovery code is good once, in any case, with its dash or without', async () => {
    const { client, recoveryCodes: [one, two, three] } = await protectedUser(server);
    for (const otp of [one, two.toLowerCase(), three.replace('-', '')]) {
      assert.equal((await login(client, { otp })).status, 200);
      assertFails(await login(client, { otp }), 400, 'INVALID_CREDENTIALS', 'Invalid one-time password');
    }
    const other = await protectedUser(server);
    assertFails(await login(client, { otp: other.recoveryCodes[0] }), 400, 'INVALID_CREDENTIALS');
  });

  test('lock themselves after five wrong codes, also against the right one, whatever is guessed', async () => {
    for (const guess of ['code', 'recovery code']) {
      const { client, secret, recoveryCodes } = await protectedUser(server);
      const wrong = guess === 'code' ? wrongCode(secret) : 'AAAAA-22222';
      for (const _ of upTo(5)) assertFails(await login(client, { otp: wrong }), 400, 'INVALID_CREDENTIALS');
      for (const otp of [codeOf(secret), recoveryCodes[0], wrong]) {
        assertFails(await login(client, { otp }), 403, 'ACCOUNT_LOCKED');
      }
      assertFails(await client.post('/api/auth/2fa/disable', { otp: codeOf(secret) }), 403, 'ACCOUNT_LOCKED');
      const minutes = await server.query(`SELECT round(extract(epoch FROM locked_until - now()) / 60)
        FROM two_factors WHERE user_id = '${client.id}'`);
      assert.equal(minutes, '15');
      await server.query(`UPDATE two_factors SET locked_until = now() WHERE user_id = '${client.id}'`);
      assert.equal((await login(client, { otp: recoveryCodes[0] })).status, 200);
    }
  });

  test('lock themselves when they are guessed to be disabled, too', async () => {
    const { client, secret } = await protectedUser(server);
    const disable = otp => client.post('/api/auth/2fa/disable', { otp });
    for (const _ of upTo(5)) assertFails(await disable(wrongCode(secret)), 400, 'INVALID_CREDENTIALS');
    assertFails(await disable(codeOf(secret)), 403, 'ACCOUNT_LOCKED');
    assertFails(await login(client, { otp: codeOf(secret) }), 403, 'ACCOUNT_LOCKED');
  });

  test('can be disabled by a code alone, and set up anew', async () => {
    const { client, secret, recoveryCodes } = await protectedUser(server);
    assertFails(await client.post('/api/auth/2fa/setup', {}), 409, 'CONFLICT');
    assertFails(await client.post('/api/auth/2fa/enable', { otp: codeOf(secret) }), 409, 'CONFLICT');
    assertFails(await client.post('/api/auth/2fa/disable', { otp: wrongCode(secret) }), 400, 'INVALID_CREDENTIALS');
    assert.equal((await client.post('/api/auth/2fa/disable', { otp: codeOf(secret) })).status, 200);
    assert.equal((await login(client)).status, 200);
    assertFails(await client.post('/api/auth/2fa/disable', { otp: recoveryCodes[0] }), 409, 'CONFLICT');
    assertFails(await client.post('/api/auth/2fa/enable', { otp: codeOf(secret) }), 409, 'CONFLICT');
    const renewed = await client.do('/api/auth/2fa/setup', {});
    assert.notEqual(renewed.secret, secret);
    await client.do('/api/auth/2fa/enable', { otp: codeOf(renewed.secret) });
    assertFails(await login(client, { otp: recoveryCodes[0] }), 400, 'INVALID_CREDENTIALS');
  });

  test('are enabled for the secret that the code is of, and for no other that was set up meanwhile', async t => {
    const alice = await Client.register(server, 'alice');
    const { secret } = await alice.do('/api/auth/2fa/setup', {});
    const psql = new Psql(server.databaseUrl);
    t.after(() => psql.end());
    await psql.run(`BEGIN; SELECT status FROM two_factor_setup('{${alice.id}}', '{another}', '{NULL}')`);
    const reply = alice.post('/api/auth/2fa/enable', { otp: codeOf(secret) });
    await untilWaiting('two_factor_enable', 1);
    await psql.run('COMMIT; SELECT 1');
    assertFails(await reply, 409, 'CONFLICT', 'Two factors were set up anew meanwhile: enter a code of the new secret');
    assert.equal((await login(alice)).status, 200);
    const again = await alice.do('/api/auth/2fa/setup', {});
    await alice.do('/api/auth/2fa/enable', { otp: codeOf(again.secret) });
    assertFails(await login(alice), 401, 'OTP_REQUIRED');
  });

  test('that two devices disable at once are disabled by one, and the other is told so', async t => {
    const { client, recoveryCodes } = await protectedUser(server);
    const psql = new Psql(server.databaseUrl);
    t.after(() => psql.end());
    await psql.run(`BEGIN; SELECT 1 FROM two_factors WHERE user_id = '${client.id}' FOR KEY SHARE`); // keeps it from going
    const replies = [];
    for (const otp of recoveryCodes.slice(0, 2)) {
      replies.push(client.post('/api/auth/2fa/disable', { otp }));
      await untilWaiting('two_factor_disable', replies.length);
    }
    await psql.run('COMMIT; SELECT 1');
    const [done, late] = (await Promise.all(replies)).sort((a, b) => a.status - b.status);
    assert.equal(done.status, 200);
    assertFails(late, 409, 'CONFLICT', 'Two factors are not enabled');
  });

  test('that are disabled while a code is on its way are asked for no more', async t => {
    const { client, secret, recoveryCodes } = await protectedUser(server);
    const psql = new Psql(server.databaseUrl);
    t.after(() => psql.end());
    await psql.run(`BEGIN; SELECT status FROM two_factor_disable('{${client.id}}', '{NULL}')`);
    const disabling = client.post('/api/auth/2fa/disable', { otp: recoveryCodes[0] });
    await untilWaiting('two_factor_use', 1);
    const coming = login(client, { otp: codeOf(secret) });
    await untilWaiting('two_factor_use', 2);
    await psql.run('COMMIT; SELECT 1');
    assertFails(await disabling, 409, 'CONFLICT', 'Two factors are not enabled');
    assert.equal((await coming).status, 200);
  });

  test('what is no code is said to be none', async () => {
    const alice = await Client.register(server, 'alice');
    for (const action of ['enable', 'disable']) {
      assertInvalid(await alice.post(`/api/auth/2fa/${action}`, {}), 'otp');
      assertInvalid(await alice.post(`/api/auth/2fa/${action}`, { otp: 123456 }), 'otp');
      assertInvalid(await alice.post(`/api/auth/2fa/${action}`, { otp: 'x'.repeat(65) }), 'otp');
      assertInvalid(await alice.post(`/api/auth/2fa/${action}`, { otp: '\u0000\u0001' }), 'otp');
      assertFails(await alice.post(`/api/auth/2fa/${action}`, { otp: '123456' }), 409, 'CONFLICT');
    }
    for (const action of ['setup', 'enable', 'disable']) {
      assertFails(await new Client(server).post(`/api/auth/2fa/${action}`, { otp: '123456' }), 401, 'UNAUTHORIZED');
    }
    assert.equal((await login(alice, { otp: '123456' })).status, 200, 'who has no second factor needs none');
  });

  test('nothing that is stored or logged can be used', async () => {
    const { client, secret, recoveryCodes } = await protectedUser(server);
    await login(client, { otp: codeOf(secret) });
    const stored = await server.query(`SELECT row_to_json(f), (SELECT string_agg(hash, ' ') FROM recovery_codes c
      WHERE c.user_id = f.user_id) FROM two_factors f WHERE user_id = '${client.id}'`);
    for (const text of [stored, server.logs.map(line => JSON.stringify(line)).join('\n')]) {
      for (const value of [secret, ...recoveryCodes, ...recoveryCodes.map(code => code.replace('-', ''))]) {
        assert.ok(!text.includes(value), `${value} in ${text}`);
      }
    }
    // The row of one user is no good for another.
    const mallory = await protectedUser(server);
    await server.query(`UPDATE two_factors SET secret = (SELECT secret FROM two_factors WHERE user_id =
      '${mallory.client.id}'), last_step = 0 WHERE user_id = '${client.id}'`);
    assertFails(await login(client, { otp: codeOf(mallory.secret) }), 503, 'UNAVAILABLE');
    await server.query(`DELETE FROM two_factors WHERE user_id = '${client.id}'`);
    assert.equal((await login(client)).status, 200);
  });
});

describe('keys that change', () => {
  test('old secrets are opened by the old key, and sealed by the new one', async () => {
    const first = await startServer({ env: { TOTP_KEYS: keys } });
    const { client, secret } = await protectedUser(first);
    const sealed = () => first.query(`SELECT secret FROM two_factors WHERE user_id = '${client.id}'`);
    const before = await sealed();
    await first.stop();
    const databaseUrl = first.databaseUrl;
    const newKey = makeKey(2);

    const second = await startServer({ databaseUrl, env: { TOTP_KEYS: `${newKey},${keys}` } });
    client.server = second;
    assert.equal((await login(client, { otp: codeOf(secret) })).status, 200);
    await until(async () => (await sealed()) !== before, 'the secret to be sealed anew');
    await second.stop();

    const third = await startServer({ databaseUrl, env: { TOTP_KEYS: newKey } });
    client.server = third;
    assert.equal((await login(client, { otp: codeOf(secret, 1) })).status, 200);
    await third.stop();

    const without = await startServer({ databaseUrl });
    client.server = without;
    assertFails(await login(client, { otp: codeOf(secret, 1) }), 503, 'UNAVAILABLE');
    const bob = await Client.register(without, 'bob');
    assertFails(await bob.post('/api/auth/2fa/setup', {}), 503, 'UNAVAILABLE');
    await stopServer(without);
  });

  test('that cannot be read are refused at the start', async () => {
    for (const wrong of ['abc', '1:short', `${keys},`, `x${keys}`]) {
      await assert.rejects(startServer({ env: { TOTP_KEYS: wrong } }), /TOTP_KEYS/);
    }
    await assert.rejects(startServer({ env: { TOTP_KEYS: `${keys},${keys}` } }), error => {
      assert.match(error.message, /TOTP_KEYS cannot be used/);
      assert.doesNotMatch(error.message, /out of memory/);
      return true;
    });
  });
});
