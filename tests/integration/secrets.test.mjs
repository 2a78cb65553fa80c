// What is secret is told to whom it belongs, and to nobody else: not in the log, however much is logged, and not in errors.

import assert from 'node:assert/strict';
import { createHmac, randomBytes } from 'node:crypto';
import { chmodSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';

import { Client, Device, befriend, friends, password, patienceMs, stopServer, unique } from '../support/api.mjs';
import { EventStream } from '../support/event_stream.mjs';
import { PlainSocket } from '../support/plain_socket.mjs';
import { jwtSecret, startServer, temporaryDirectory, until } from '../support/server.mjs';
import { codeOf, wrongCode } from '../support/totp.mjs';

describe('secrets', () => {
  let server;

  before(async () => {
    server = await startServer({ env: { LOG_LEVEL: 'debug', TOTP_KEYS: `1:${randomBytes(32).toString('base64')}` } });
  });
  after(() => stopServer(server));

  /** Secrets that were used, each by a name, and what the server has answered in errors. */
  class Vault {
    secrets = new Map();
    errors = [];

    put(what, secret) {
      this.secrets.set(secret, what);
      return secret;
    }

    async refused(reply) {
      const { status, body } = await reply;
      assert.ok(status >= 400, `${status}`);
      this.errors.push(JSON.stringify(body));
    }

    assertNoneIn(where, text) {
      for (const [secret, what] of this.secrets) assert.ok(!text.includes(secret), `${what} is in ${where}`);
    }
  }

  async function useAccount(vault, alice) {
    const guest = new Client(server);
    const post = (pathname, body, headers) => guest.post(pathname, body, headers);
    const login = (secret, more) => post('/api/auth/login', { username: alice.username, password: secret, ...more });
    const { refreshToken } = (await login(password)).data;
    vault.put('a refresh token', refreshToken);
    await vault.refused(login(vault.put('a wrong password', 'a wrong passphrase')));
    await vault.refused(post('/api/auth/register', { username: '!', password: vault.put('a short password', 'sh0rt.') }));
    await vault.refused(login(vault.put('a long password', unique('long').padEnd(1100, 'x'))));
    await vault.refused(login([vault.put('a password in a list', 'listed password')]));
    const renewed = (await post('/api/auth/refresh', { refreshToken })).data;
    vault.put('a token', renewed.token);
    vault.put('the next refresh token', renewed.refreshToken);
    await vault.refused(post('/api/auth/refresh', { refreshToken }));
    const none = vault.put('a token that is none', 'y'.repeat(600));
    await vault.refused(post('/api/auth/refresh', { refreshToken: none }));
    const change = { currentPassword: 'not it', newPassword: vault.put('a new password', 'n3w.') };
    await vault.refused(alice.post('/api/auth/password', change));
    const leave = { password: vault.put('a password to go', 'not this 0ne') };
    await vault.refused(alice.request('DELETE', '/api/users/me', { body: leave }));
    const forged = vault.put('a forged token', `${alice.token.slice(0, -4)}AAAA`);
    await vault.refused(guest.request('GET', '/api/chats', { headers: { authorization: `Bearer ${forged}` } }));
  }

  async function useSecondFactor(vault, alice) {
    const login = otp => new Client(server).post('/api/auth/login', { username: alice.username, password, otp });
    const { secret } = await alice.do('/api/auth/2fa/setup', {});
    vault.put('the secret of the second factor', secret);
    const { recoveryCodes } = await alice.do('/api/auth/2fa/enable', { otp: codeOf(secret) });
    for (const code of recoveryCodes) {
      vault.put('a recovery code', code);
      vault.put('a recovery code', code.replace('-', ''));
    }
    assert.equal((await login(codeOf(secret, 1))).status, 200);
    assert.equal((await login(recoveryCodes[0])).status, 200);
    await vault.refused(login(recoveryCodes[0]));
    await vault.refused(login(wrongCode(secret)));
    await vault.refused(login(vault.put('a code that is none', 'z'.repeat(70))));
    await vault.refused(login([vault.put('a code in a list', 'a listed code')]));
    for (const step of [0, 1]) vault.put('a code', `"${codeOf(secret, step)}"`);
  }

  async function chat(vault, alice, bob) {
    const text = vault.put('the text of a message', 'meet me at the old mill');
    const mallory = await Client.register(server, 'mallory');
    await alice.send(bob, text);
    await vault.refused(mallory.post('/api/messages', { receiverId: bob.id, content: text }));
    for (const query of [{ auth: {}, query: { token: alice.token } }, {}]) {
      const device = await alice.connect(query);
      await device.done('private-message', { receiverId: bob.id, content: text });
      for (const refusal of [{ receiverId: mallory.id, content: text }, { receiverId: 'x', content: text }]) {
        vault.errors.push(JSON.stringify(await device.ask('private-message', refusal)));
      }
      const bad = { token: vault.put('a bad token', 'b.a.d'.repeat(20)) };
      vault.errors.push(JSON.stringify(await device.ask('auth-refresh', bad)));
      device.close();
    }
    const socket = await PlainSocket.open(alice); // by ?token=
    await socket.done('private-message', { receiverId: bob.id, content: text });
    socket.close();
    const stream = await EventStream.open(alice);
    stream.close();
    const token = vault.put('another bad token', 'not.a.token');
    const stranger = new Device(Object.assign(new Client(server), { token }));
    await assert.rejects(stranger.connected(), error => vault.errors.push(error.message) > 0);
    stranger.close();
  }

  test('are neither logged nor told in errors', async () => {
    const vault = new Vault();
    vault.put('a password', password);
    const [alice, bob] = [await Client.register(server, 'alice'), await Client.register(server, 'bob')];
    vault.put('a token', alice.token);
    vault.put('the end of a token', alice.token.split('.')[2]);
    await befriend(alice, bob);
    await chat(vault, alice, bob);
    await useSecondFactor(vault, bob);
    await useAccount(vault, alice);
    const last = await new Client(server).get('/health');
    await server.waitForLog(line => line.requestId === last.headers.get('x-request-id'), patienceMs);
    vault.assertNoneIn('the log', server.logText());
    for (const error of vault.errors) vault.assertNoneIn(error, error);
    assert.ok(server.logs.filter(line => line.msg === 'request').length > 30, 'requests are logged');
  });
});

describe('what breaks inside', () => {
  let server, alice, bob;

  before(async () => {
    server = await startServer();
    [alice, bob] = await friends(server, 'alice', 'bob');
  });
  after(() => stopServer(server));

  const failure = { success: false, message: 'Internal server error', code: 'INTERNAL' };

  async function assertTellsNothing(reply) {
    const { status, headers, body } = await reply;
    assert.deepEqual([status, body], [500, { ...failure, requestId: headers.get('x-request-id') }]);
    for (const [name, value] of headers) assert.doesNotMatch(value, /message_append|users|hostile|\/var\//, name);
  }

  /** Breaks the schema by `sql`, and mends it; meanwhile `work` is done, and the log has the reason. */
  async function whileBroken(sql, mending, reason, work) {
    const seen = server.logs.length;
    await server.query(sql);
    try {
      await work();
    } finally {
      await server.query(mending);
    }
    const why = () => server.logs.slice(seen).find(line => line.msg === 'statement failed' && reason.test(JSON.stringify(line)));
    await until(why, 'the reason in the log', patienceMs);
  }

  async function sendByAllWays() {
    const message = { receiverId: bob.id, content: 'hi' };
    const [laptop, plain] = [await alice.connect(), await PlainSocket.open(alice)];
    await assertTellsNothing(alice.post('/api/messages', message));
    assert.deepEqual(await laptop.ask('private-message', message), failure);
    laptop.tell('private-message', message);
    const { success, ...rest } = failure;
    assert.deepEqual(await laptop.next('operation-error'), { ...rest, event: 'private-message' });
    assert.deepEqual(await plain.ask('private-message', message), failure);
    laptop.close();
    plain.close();
  }

  test('is told to the log alone: a function that is gone', () => whileBroken(
    'ALTER FUNCTION message_append RENAME TO away', 'ALTER FUNCTION away RENAME TO message_append',
    /message_append/, sendByAllWays,
  ));

  test('is told to the log alone: an error with a statement and a path', () => whileBroken(
    `CREATE FUNCTION hostile() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
       RAISE EXCEPTION 'SELECT hostile FROM users' USING DETAIL = '/var/lib/hostile', HINT = 'hostile.c:1'; END $$;
     CREATE TRIGGER hostile BEFORE INSERT ON messages FOR EACH ROW EXECUTE FUNCTION hostile()`,
    'DROP FUNCTION hostile CASCADE', /SELECT hostile FROM users/, sendByAllWays,
  ));

  test('is told to the log alone: a column that is gone', () => whileBroken(
    'ALTER TABLE users RENAME COLUMN username TO hostile', 'ALTER TABLE users RENAME COLUMN hostile TO username',
    /username/, async () => {
      for (const target of ['/api/users/me', '/api/users?search=a', '/api/contacts/profile', '/api/calls']) {
        await assertTellsNothing(alice.get(target));
      }
      await assertTellsNothing(new Client(server).post('/api/auth/login', { username: alice.username, password }));
    },
  ));
});

test('secrets that lie in files are used, and said nowhere', async t => {
  const directory = temporaryDirectory();
  const put = (name, text) => {
    const file = path.join(directory, name);
    writeFileSync(file, `${text}\n`, { mode: 0o644 });
    return file;
  };
  const totp = randomBytes(32).toString('base64');
  const env = { LOG_LEVEL: 'debug', JWT_SECRET: '', JWT_SECRET_FILE: put('jwt', jwtSecret), TOTP_KEYS_FILE: put('totp', `1:${totp}`) };
  chmodSync(directory, 0o755);
  const server = await startServer({ env });
  t.after(() => stopServer(server));
  const alice = await Client.register(server);
  const [head, claims, signature] = alice.token.split('.');
  assert.equal(createHmac('sha256', jwtSecret).update(`${head}.${claims}`).digest('base64url'), signature);
  assert.equal((await alice.post('/api/auth/2fa/setup', {})).status, 200);
  chmodSync(server.directory, 0o755); // where .env would lie: the server does not stay root
  process.kill(server.pid, 'SIGHUP');
  await server.waitForLog(line => line.msg === 'LOG_LEVEL and LOG_FORMAT were read again');
  for (const secret of [jwtSecret, totp]) assert.ok(!server.logText().includes(secret));
});
