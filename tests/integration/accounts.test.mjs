// Registering, logging in, and tokens.

import assert from 'node:assert/strict';
import { createHmac, createSign, generateKeyPairSync } from 'node:crypto';
import { after, before, describe, test } from 'node:test';

import {
  Client, Device, assertFails, assertInvalid, password, stopServer, timePattern, unique, upTo, uuidPattern,
} from '../support/api.mjs';
import { holdTable } from '../support/hold.mjs';
import { jwtSecret, startServer, until } from '../support/server.mjs';

describe('accounts', () => {
  let server, guest;

  before(async () => {
    server = await startServer({ env: { JWT_EXPIRES_IN: '2h' } });
    guest = new Client(server);
  });
  after(() => stopServer(server));

  const register = (username, secret = password) => guest.post('/api/auth/register', { username, password: secret });
  const login = (username, secret = password) => guest.post('/api/auth/login', { username, password: secret });

  test('a new user gets a token that works', async () => {
    const name = unique('alice');
    const reply = await register(name);
    assert.equal(reply.status, 201);
    assert.equal(reply.data.expiresIn, 7200);
    assert.equal(reply.data.user.username, name);
    assert.match(reply.data.user.id, uuidPattern);
    const alice = Object.assign(new Client(server), { token: reply.data.token });
    const me = await alice.read('/api/users/me');
    assert.deepEqual(me, { id: reply.data.user.id, username: name, online: false, lastSeen: null });
    assert.equal(await server.query(`SELECT count(*) FROM users WHERE username = '${name}'`), '1');
  });

  test('names are lower case, and log in however they are typed', async () => {
    const name = unique('carol.x@example+1-2');
    assert.equal((await register(name.toUpperCase())).data.user.username, name);
    assert.equal((await login(name)).data.user.username, name);
    assert.equal((await login(name.toUpperCase())).data.user.username, name);
  });

  test('a taken name is refused, in any case', async () => {
    const name = unique('dora');
    assert.equal((await register(name)).status, 201);
    assertFails(await register(name), 400, 'USERNAME_TAKEN', 'Username taken');
    assertFails(await register(name.toUpperCase(), 'another password'), 400, 'USERNAME_TAKEN', 'Username taken');
  });

  test('of many who want one name at once, one gets it', async () => {
    const name = unique('erin');
    const statuses = (await Promise.all(Array.from({ length: 8 }, () => register(name)))).map(reply => reply.status);
    assert.deepEqual(statuses.sort(), [201, ...Array(7).fill(400)]);
  });

  test('names and passwords have limits, counted in characters', async () => {
    const pad = (prefix, length) => unique(prefix).padEnd(length, 'x');
    assert.equal((await register(pad('n', 64))).status, 201);
    assertInvalid(await register(pad('n', 65)), 'username');
    assertInvalid(await register('ab'), 'username');
    assertInvalid(await register(''), 'username');
    for (const name of ['with space', 'tab\tname', 'straße', 'a/b/c', "o'hara", 'name\u0000', '<script>']) {
      assertInvalid(await register(name), 'username');
    }
    assertInvalid(await register(unique('p'), '1234567'), 'password');
    assert.equal((await register(unique('p'), '12345678')).status, 201);
    assertInvalid(await register(unique('p'), '🔑'.repeat(7)), 'password');
    const longest = '🔑'.repeat(1024);
    const name = unique('p');
    assert.equal((await register(name, longest)).status, 201);
    assert.equal((await login(name, longest)).status, 200);
    assertFails(await login(name, '🔑'.repeat(1023)), 400, 'INVALID_CREDENTIALS');
    assertInvalid(await register(unique('p'), 'p'.repeat(1025)), 'password');
  });

  test('every bad field is named at once, and a secret is not repeated', async () => {
    const reply = await register('!!', 'secret7');
    assertInvalid(reply, 'password', 'username');
    const username = reply.errors.find(error => error.path === 'username');
    assert.equal(username.location, 'body');
    assert.equal(username.value, '!!');
    assert.ok(username.msg);
    assert.doesNotMatch(JSON.stringify(reply.body), /secret7/);
    assertInvalid(await guest.post('/api/auth/register', {}), 'password', 'username');
    assertInvalid(await guest.post('/api/auth/login', { username: 7, password: ['secret7'] }), 'password', 'username');
    const user = { username: unique('u'), password: 'secret7', role: 'admin' };
    const unknown = await guest.post('/api/auth/register', user);
    assertInvalid(unknown, 'password', 'role');
    assert.doesNotMatch(JSON.stringify(unknown.body), /secret7/);
  });

  test('a wrong password and an unknown name get the same answer', async () => {
    const name = unique('frank');
    await register(name);
    const wrong = await login(name, 'not the password');
    const missing = await login(unique('missing'), 'not the password');
    assertFails(wrong, 400, 'INVALID_CREDENTIALS', 'Invalid credentials');
    assertFails(missing, 400, 'INVALID_CREDENTIALS', 'Invalid credentials');
    assert.deepEqual(Object.keys(missing.body), Object.keys(wrong.body));
  });

  test('after five failures a name is locked, whether or not it exists', async () => {
    const name = unique('grace');
    const other = unique('heidi');
    await register(name);
    await register(other);
    for (const tried of [name, unique('missing')]) {
      const replies = [];
      for (let i = 0; i < 5; i++) replies.push(await login(tried, 'not the password'));
      assertFails(replies[0], 400, 'INVALID_CREDENTIALS');
      assertFails(replies[3], 400, 'INVALID_CREDENTIALS');
      assertFails(await login(tried, 'not the password'), 403, 'ACCOUNT_LOCKED');
      assertFails(await login(tried), 403, 'ACCOUNT_LOCKED');
    }
    assertFails(await login(name.toUpperCase()), 403, 'ACCOUNT_LOCKED');
    assert.equal((await login(other)).status, 200);
  });

  test('when its time is over, a locked name is open again', async () => {
    const name = unique('hugo');
    await register(name);
    for (let i = 0; i < 5; i++) await login(name, 'not the password');
    assertFails(await login(name), 403, 'ACCOUNT_LOCKED');
    const minutes = await server.query(`SELECT round(extract(epoch FROM locked_until - now()) / 60)
                                        FROM login_failures WHERE username = '${name}'`);
    assert.equal(minutes, '15');
    await server.query(`UPDATE login_failures SET locked_until = now() - interval '1 second'
                        WHERE username = '${name}'`);
    assertFails(await login(name, 'not the password'), 400, 'INVALID_CREDENTIALS');
    assert.equal((await login(name)).status, 200);
  });

  test('failures before a good login are forgotten', async () => {
    const name = unique('ivan');
    await register(name);
    for (let round = 0; round < 2; round++) {
      for (let i = 0; i < 4; i++) assertFails(await login(name, 'not the password'), 400, 'INVALID_CREDENTIALS');
      assert.equal((await login(name)).status, 200);
    }
  });

  test('guessing at once does not get more guesses', async () => {
    const name = unique('judy');
    await register(name);
    const replies = await Promise.all(Array.from({ length: 12 }, () => login(name, 'not the password')));
    for (const reply of replies) assert.ok(['INVALID_CREDENTIALS', 'ACCOUNT_LOCKED'].includes(reply.code), reply.code);
    assertFails(await login(name), 403, 'ACCOUNT_LOCKED');
  });

  test('names whose failures count no more are forgotten, and no others', async t => {
    const row = (name, age, until) => `('${name}', 5, now() + interval '${until}', now() - interval '${age}')`;
    await server.query(`INSERT INTO login_failures (username, failures, locked_until, last_at) VALUES
      ${row('old', '25 hours', '-24 hours')}, ${row('unlocked', '25 hours', '-24 hours')},
      ${row('recent', '23 hours', '-22 hours')}, ${row('locked', '25 hours', '1 hour')};
      UPDATE login_failures SET locked_until = NULL WHERE username = 'unlocked'`);
    const names = ['old', 'unlocked', 'recent', 'locked'].map(name => `'${name}'`);
    const left = () => server.query(`SELECT username FROM login_failures WHERE username IN (${names}) ORDER BY 1`);
    // It looks at its start.
    const second = await startServer({ databaseUrl: server.databaseUrl });
    t.after(() => second.stop());
    await until(async () => (await left()) === 'locked\nrecent', 'the old ones to go');
  });

  test('the right password comes too late when the name was locked while it was checked', async t => {
    const name = unique('judith');
    await register(name);
    // The failures of others are counted between the look at the lock and the login.
    const hold = await holdTable(t, server, 'login_failures', 'EXCLUSIVE');
    const reply = login(name);
    await hold.waiting();
    await hold.psql.run(`INSERT INTO login_failures (username, failures, locked_until, last_at)
      VALUES ('${name}', 5, now() + interval '15 minutes', now()); COMMIT; SELECT 1`);
    assertFails(await reply, 403, 'ACCOUNT_LOCKED');
  });

  test('a token says who and for how long, and each login is a session of its own', async () => {
    const name = unique('karl');
    const registered = (await register(name)).data;
    const loggedIn = (await login(name)).data;
    const [first, second] = [registered, loggedIn].map(({ token }) => claimsOf(token));
    assert.deepEqual(headerOf(loggedIn.token).alg, 'HS256');
    assert.deepEqual(Object.keys(second).sort(), ['exp', 'iat', 'id', 'sid', 'username']);
    assert.equal(second.id, loggedIn.user.id);
    assert.equal(second.username, name);
    assert.match(second.sid, uuidPattern);
    assert.notEqual(first.sid, second.sid);
    assert.equal(second.exp - second.iat, 7200);
    assert.equal(loggedIn.expiresIn, 7200);
    assert.equal(loggedIn.token, sign({ alg: 'HS256', typ: 'JWT' }, second, { like: loggedIn.token }));
  });

  test('a login may have a name for its device', async () => {
    const name = unique('lisa');
    await register(name);
    const body = { username: name, password, device: "Lisa's 📱" };
    const { token } = await guest.do('/api/auth/login', body);
    const device = await server.query(`SELECT device FROM logins WHERE id = '${claimsOf(token).sid}'`);
    assert.equal(device, "Lisa's 📱");
    assertInvalid(await guest.post('/api/auth/login', { ...body, device: 'x'.repeat(129) }), 'device');
    assert.equal((await guest.post('/api/auth/login', { ...body, otp: '123456' })).status, 200);
  });

  test('without a token nothing is told', async () => {
    for (const [method, path] of [['GET', '/api/users/me'], ['GET', '/api/chats'], ['POST', '/api/messages']]) {
      const body = method === 'POST' ? {} : undefined;
      assertFails(await guest.request(method, path, { body }), 401, 'UNAUTHORIZED', 'No token provided');
    }
    const basic = await guest.request('GET', '/api/users/me', { headers: { authorization: 'Basic YTpi' } });
    assert.equal(basic.status, 401);
  });

  test('a forged token is refused, on REST and on sockets', async () => {
    const alice = await Client.register(server, 'alice');
    const claims = claimsOf(alice.token);
    const hs256 = { alg: 'HS256', typ: 'JWT' };
    const now = Math.floor(Date.now() / 1000);
    const [head, body, signature] = alice.token.split('.');
    const without = name => Object.fromEntries(Object.entries(claims).filter(([key]) => key !== name));
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const rsaInput = `${encode({ alg: 'RS256', typ: 'JWT' })}.${body}`;
    const forged = {
      none: `${encode({ alg: 'none', typ: 'JWT' })}.${body}.`,
      'none in capitals': `${encode({ alg: 'NONE', typ: 'JWT' })}.${body}.`,
      'none with a signature': `${encode({ alg: 'none' })}.${body}.${signature}`,
      'no algorithm': sign({ typ: 'JWT' }, claims),
      HS384: sign({ alg: 'HS384', typ: 'JWT' }, claims, { hash: 'sha384' }),
      HS512: sign({ alg: 'HS512', typ: 'JWT' }, claims, { hash: 'sha512' }),
      'RS256 by a key': `${rsaInput}.${createSign('sha256').update(rsaInput).sign(privateKey, 'base64url')}`,
      'RS256 by the secret': sign({ alg: 'RS256', typ: 'JWT' }, claims),
      'another key': sign(hs256, claims, { key: 'x'.repeat(48) }),
      'an empty key': sign(hs256, claims, { key: '' }),
      'expired': sign(hs256, { ...claims, iat: now - 100, exp: now - 10 }),
      'no exp': sign(hs256, without('exp')),
      'exp as text': sign(hs256, { ...claims, exp: `${claims.exp}` }),
      'no id': sign(hs256, without('id')),
      'no sid': sign(hs256, without('sid')),
      'no username': sign(hs256, without('username')),
      'an id that is none': sign(hs256, { ...claims, id: "' OR 1=1" }),
      'id as number': sign(hs256, { ...claims, id: 7 }),
      'no claims': sign(hs256, {}),
      'claims that are a list': sign(hs256, [claims]),
      'other claims': `${head}.${encode({ ...claims, username: 'root' })}.${signature}`,
      'no signature': `${head}.${body}.`,
      'two parts': `${head}.${body}`,
      'four parts': `${alice.token}.${signature}`,
      'a changed signature': `${head}.${body}.${(signature[0] === 'A' ? 'B' : 'A') + signature.slice(1)}`,
      garbage: 'garbage',
      dots: '...',
      'not base64': '%%%.###.!!!',
      huge: `${head}.${'A'.repeat(6000)}.${signature}`,
    };
    for (const [what, token] of Object.entries(forged)) {
      const reply = await guest.request('GET', '/api/users/me', { headers: { authorization: `Bearer ${token}` } });
      assert.deepEqual([what, reply.status, reply.body.message], [what, 401, 'Invalid token']);
      assert.equal(reply.code, 'UNAUTHORIZED');
    }
    for (const what of ['none', 'HS512', 'another key', 'expired', 'garbage', 'no sid']) {
      const device = new Device(Object.assign(new Client(server), { token: forged[what] }));
      await assert.rejects(device.connected(), { message: 'Authentication error: Invalid token' });
      device.close();
    }
    assert.equal((await alice.get('/api/users/me')).status, 200);
  });

  test('a token made with the secret by another program is good', async () => {
    const alice = await Client.register(server, 'alice');
    alice.token = sign({ typ: 'JWT', alg: 'HS256' }, { ...claimsOf(alice.token) });
    assert.equal((await alice.read('/api/users/me')).username, alice.username);
  });

  test('passwords and tokens are not in the log', async () => {
    const secret = 'pass-word-in-the-log';
    const reply = await register(unique('lea'), secret);
    await login('!!', secret);
    const id = reply.headers.get('x-request-id');
    await server.waitForLog(line => JSON.stringify(line).includes(id));
    assert.doesNotMatch(server.logText(), new RegExp(secret));
    assert.ok(!server.logText().includes(reply.data.token.split('.')[2]));
  });

  test('the database has no password, only an argon2id hash', async () => {
    const name = unique('mia');
    await register(name);
    const row = await server.query(`SELECT password_hash FROM users WHERE username = '${name}'`);
    assert.match(row, /^\$argon2id\$v=19\$m=256,t=1,p=1\$/);
    const created = await server.query(`SELECT rfc3339(created_at) FROM users WHERE username = '${name}'`);
    assert.match(created, timePattern);
    const twin = unique('mia');
    await register(twin);
    assert.notEqual(await server.query(`SELECT password_hash FROM users WHERE username = '${twin}'`), row); // a salt each
  });
});

test('a hash costs 19 MiB and two passes, unless somebody says otherwise', async t => {
  const server = await startServer({ env: { ARGON2_MEMORY_KIB: '', ARGON2_ITERATIONS: '' } });
  t.after(() => stopServer(server));
  await Client.register(server);
  assert.match(await server.query('SELECT password_hash FROM users'), /^\$argon2id\$v=19\$m=19456,t=2,p=1\$/);
});

describe('hashes that take long', () => {
  let server, alice;

  before(async () => {
    server = await startServer({
      env: { WORKERS: '1', ARGON2_THREADS: '1', ARGON2_QUEUE_MAX: '1', ARGON2_MEMORY_KIB: '19456', ARGON2_ITERATIONS: '40' },
    });
    alice = await Client.register(server, 'alice');
  });
  after(() => stopServer(server));

  const login = username => new Client(server).post('/api/auth/login', { username, password: 'not the password' });

  // A thread that hashes itself answers what comes before it has looked the user up, a few at the most.
  test('keep nobody else waiting', async () => {
    let isAnswered = false;
    const reply = login(alice.username).finally(() => (isAnswered = true));
    let answered = 0;
    for (; !isAnswered; answered++) assert.equal((await alice.get('/api/chats')).status, 200);
    assertFails(await reply, 400, 'INVALID_CREDENTIALS');
    assert.ok(answered > 10, `${answered} were answered meanwhile`);
  });

  // One is being hashed, one may wait. Whoever is answered at once, with anything else, was not worth the work.
  for (const [who, nameOf] of [['a user', () => alice.username], ['nobody', () => unique('nobody')]]) {
    test(`of ${who} are as much work, and wait in a queue with an end`, async () => {
      const replies = await Promise.all(upTo(3).map(() => login(nameOf())));
      for (const reply of replies) {
        if (reply.status === 503) assertFails(reply, 503, 'UNAVAILABLE');
        else assertFails(reply, 400, 'INVALID_CREDENTIALS');
      }
      const refused = replies.filter(reply => reply.status === 503).length;
      assert.ok(refused > 0 && refused < 3, `${refused}`);
    });
  }
});

function encode(value) {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}

function headerOf(token) {
  return JSON.parse(Buffer.from(token.split('.')[0], 'base64url'));
}

function claimsOf(token) {
  return JSON.parse(Buffer.from(token.split('.')[1], 'base64url'));
}

// A token; `like` takes the first two parts from another one, so that only the signature is made anew.
function sign(header, claims, { hash = 'sha256', key = jwtSecret, like } = {}) {
  const input = like ? like.split('.').slice(0, 2).join('.') : `${encode(header)}.${encode(claims)}`;
  return `${input}.${createHmac(hash, key).update(input).digest('base64url')}`;
}
