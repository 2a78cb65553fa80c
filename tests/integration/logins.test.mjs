// Logins: they are listed, refreshed and ended; what ends takes its tokens, sockets and streams with it, on every node.

import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { after, before, describe, test } from 'node:test';

import {
  Client, assertFails, assertInvalid, assertRefused, befriend, friends, nobody, password, patienceMs, stopServer, unique,
} from '../support/api.mjs';
import { EventStream } from '../support/event_stream.mjs';
import { holdTable } from '../support/hold.mjs';
import { at, startNodes } from '../support/nodes.mjs';
import { PlainSocket } from '../support/plain_socket.mjs';
import { RawWebSocket, opcodes } from '../support/raw.mjs';
import { freePort, jwtSecret, startServer, until } from '../support/server.mjs';

/** The same user, by the tokens of a reply. */
function as(client, data, server = client.server) {
  return Object.assign(new Client(server), { token: data.token, refreshToken: data.refreshToken, user: data.user });
}

async function register(server, name = 'user') {
  const data = await new Client(server).do('/api/auth/register', { username: unique(name), password });
  return as(new Client(server), data);
}

/** Another login of the user. */
async function login(client, { device, headers, server = client.server, secret = password } = {}) {
  const anybody = new Client(server);
  const body = { username: client.username, password: secret, ...(device && { device }) };
  return as(anybody, await anybody.do('/api/auth/login', body, headers));
}

const refresh = (server, refreshToken) => new Client(server).post('/api/auth/refresh', { refreshToken });

const remove = (client, pathname, body) => client.request('DELETE', pathname, { body });

const endSession = (client, id) => remove(client, `/api/auth/sessions/${id}`);

const claimsOf = token => JSON.parse(Buffer.from(token.split('.')[1], 'base64url'));

/** A token as the server would have made it. */
function sign(claims) {
  const part = value => Buffer.from(JSON.stringify(value)).toString('base64url');
  const text = `${part({ alg: 'HS256', typ: 'JWT' })}.${part(claims)}`;
  return `${text}.${createHmac('sha256', jwtSecret).update(text).digest('base64url')}`;
}

/** The client's own claims, in a token that expires in so many seconds. */
function brief(client, seconds) {
  const now = Math.floor(Date.now() / 1000);
  return sign({ ...claimsOf(client.token), iat: now, exp: now + seconds });
}

async function assertDead(client) {
  assertFails(await client.get('/api/users/me'), 401, 'UNAUTHORIZED', 'Invalid token');
  const device = client.connect();
  await assert.rejects(device, /Authentication error: Invalid token/);
  const socket = await PlainSocket.connect(client);
  assert.equal((await socket.waitForClose()).code, 4401);
  const stream = new EventStream(client);
  await stream.opened();
  assert.equal(stream.status, 401);
}

async function assertAlive(client) {
  assert.equal((await client.get('/api/users/me')).status, 200);
}

/** Everything that can be open for a client: by Socket.IO (WebSocket, polling), by /ws, as streams. */
class Everything {
  static async open(client) {
    const all = new Everything();
    all.device = await client.connect({ transports: ['websocket'] });
    all.poller = await client.connect({ transports: ['polling'] });
    all.socket = await PlainSocket.open(client);
    all.streams = await Promise.all([1, 2].map(version => EventStream.open(client, { version })));
    return all;
  }

  /** Waits until all of it was closed by the server, with the reasons that clients understand. */
  async closed() {
    for (const device of [this.device, this.poller]) assert.equal(await device.disconnected(), 'io server disconnect');
    const { code, reason } = await this.socket.waitForClose();
    assert.deepEqual([code, reason], [4401, 'Invalid token']);
    for (const stream of this.streams) await stream.waitForEnd();
  }

  /** All of it is there, and gets what `from` writes. */
  async assertOpen(from, to) {
    const message = await from.send(to, unique('still here'));
    for (const one of [this.device, this.poller, this.socket, ...this.streams]) {
      await one.next('private-message', data => data.id === message.id);
    }
  }

  close() {
    for (const one of [this.device, this.poller, this.socket, ...this.streams]) one.close();
  }
}

describe('logins', () => {
  let nodes, here, there;

  before(async () => {
    nodes = await startNodes({ PRESENCE_GRACE_MS: '200' }, { PRESENCE_GRACE_MS: '200' });
    [here, there] = nodes;
  });
  after(async () => {
    await stopServer(here);
    await there?.stop();
  });

  // --- refreshing ---

  test('a refresh token gives new tokens of the same login, once', async () => {
    const alice = await register(here);
    const reply = await refresh(there, alice.refreshToken);
    assert.equal(reply.status, 200, JSON.stringify(reply.body));
    const next = as(alice, reply.data, there);
    assert.deepEqual(next.user, alice.user);
    assert.notEqual(next.refreshToken, alice.refreshToken);
    assert.equal(claimsOf(next.token).sid, claimsOf(alice.token).sid);
    await assertAlive(next);
    await assertAlive(alice); // the token was good for longer
    const again = await refresh(here, next.refreshToken);
    assert.equal(again.status, 200);
    assert.equal((await alice.read('/api/auth/sessions')).length, 1);
  });

  test('a refresh token that comes again ends the login, whichever of its old ones it is', async () => {
    for (const age of [1, 3]) {
      const alice = await register(here);
      const other = await login(alice);
      let newest = alice;
      for (let i = 0; i < age; i++) newest = as(alice, (await refresh(here, newest.refreshToken)).data);
      const open = await Everything.open(at(newest, there));
      assertFails(await refresh(there, alice.refreshToken), 401, 'UNAUTHORIZED', 'Invalid token');
      await open.closed();
      assertFails(await refresh(here, newest.refreshToken), 401, 'UNAUTHORIZED', 'Invalid token');
      await until(async () => (await newest.get('/api/users/me')).status === 401, 'the end', patienceMs);
      await assertDead(newest);
      await assertAlive(other);
      open.close();
    }
  });

  test('of two who refresh by the same token at once, one at most gets tokens, and they are no good', async () => {
    const alice = await register(here);
    const replies = await Promise.all([here, there, here, there].map(node => refresh(node, alice.refreshToken)));
    const good = replies.filter(reply => reply.status === 200);
    assert.equal(good.length, 1);
    for (const reply of replies) if (reply !== good[0]) assertFails(reply, 401, 'UNAUTHORIZED', 'Invalid token');
    assertFails(await refresh(here, good[0].data.refreshToken), 401, 'UNAUTHORIZED');
    for (const node of nodes) {
      const winner = as(alice, good[0].data, node);
      await until(async () => (await winner.get('/api/users/me')).status === 401, 'the end', patienceMs);
    }
  });

  test('refresh tokens that are not ours, or not any more, are refused and do no harm', async () => {
    const alice = await register(here);
    const { refreshToken } = alice;
    const swapped = character => (character === 'A' ? 'B' : 'A');
    for (const garbage of ['x', 'A'.repeat(88), refreshToken.slice(1), `${refreshToken}A`, alice.token.slice(0, 512),
      swapped(refreshToken[0]) + refreshToken.slice(1), refreshToken.slice(0, 40) + swapped(refreshToken[40]) + refreshToken.slice(41),
      refreshToken.slice(0, -1) + swapped(refreshToken.at(-1)), '\u{1f600}'.repeat(22)]) {
      assertFails(await refresh(here, garbage), 401, 'UNAUTHORIZED', 'Invalid token');
    }
    for (const body of [{}, { refreshToken: '' }, { refreshToken: 7 }, { refreshToken: 'x'.repeat(513) }, { refreshToken: null }]) {
      const reply = await new Client(here).post('/api/auth/refresh', body);
      assertInvalid(reply, 'refreshToken');
      assert.ok(reply.errors.every(error => !('value' in error)));
    }
    await here.query(`UPDATE logins SET expires_at = now() - interval '1 second' WHERE user_id = '${alice.id}'`);
    assertFails(await refresh(here, refreshToken), 401, 'UNAUTHORIZED', 'Invalid token');
    await assertAlive(alice);
    await here.query(`UPDATE logins SET expires_at = now() + interval '1 day' WHERE user_id = '${alice.id}'`);
    assert.equal((await refresh(here, refreshToken)).status, 200);
  });

  test('neither the database nor the log has a token', async () => {
    const alice = await register(here);
    const { data } = await refresh(here, alice.refreshToken);
    assertFails(await refresh(here, `${alice.refreshToken}x`), 401, 'UNAUTHORIZED');
    assert.equal(await here.query(`SELECT encode(refresh_hash, 'hex') = encode(sha256('${data.refreshToken}'), 'hex')
      FROM logins WHERE user_id = '${alice.id}'`), 't');
    await here.waitForLog(line => line.path === '/api/auth/refresh' && line.status === 401);
    for (const secret of [alice.refreshToken, data.refreshToken, alice.token, data.token, password]) {
      assert.ok(!here.logText().includes(secret));
    }
  });

  // --- listing and ending ---

  test('one sees where one is logged in, and nobody else', async () => {
    const alice = await register(here);
    await register(here);
    const phone = await login(alice, { device: 'Alice’s phone', headers: { 'user-agent': 'Phone/1.0' } });
    const strange = await login(alice, { headers: { 'user-agent': `\xff${'x'.repeat(400)}` } });
    const long = await login(alice, { headers: { 'user-agent': 'y'.repeat(400) } });
    const sessions = await phone.read('/api/auth/sessions');
    assert.deepEqual(sessions.map(session => session.id),
      [phone, long, strange, alice].map(client => claimsOf(client.token).sid));
    assert.deepEqual(sessions.map(session => session.current), [true, false, false, false]);
    const [current, longest, odd] = sessions;
    assert.deepEqual([current.device, current.userAgent, current.ip], ['Alice’s phone', 'Phone/1.0', '127.0.0.1']);
    assert.deepEqual([odd.device, odd.userAgent], [null, null]);
    assert.equal(longest.userAgent, 'y'.repeat(256));
    const refreshed = as(phone, (await new Client(here).do('/api/auth/refresh', { refreshToken: phone.refreshToken },
      { 'user-agent': 'Phone/1.1' })));
    const later = (await refreshed.read('/api/auth/sessions'))[0];
    assert.deepEqual([later.device, later.userAgent, later.createdAt], ['Alice’s phone', 'Phone/1.1', current.createdAt]);
    assert.ok(later.lastUsedAt > current.lastUsedAt);
  });

  test('a login that is ended takes its tokens, sockets and streams with it, on every node', async () => {
    const [bob] = await friends(here, 'bob');
    const alice = await register(here);
    await befriend(alice, bob);
    const phone = await login(alice);
    const [hereOpen, thereOpen] = [await Everything.open(phone), await Everything.open(at(phone, there))];
    const spared = await Everything.open(at(alice, there));
    const reply = await endSession(alice, claimsOf(phone.token).sid);
    assert.deepEqual(reply.data, { message: 'Session ended', id: claimsOf(phone.token).sid });
    await assertDead(phone);
    await hereOpen.closed();
    await thereOpen.closed();
    await assertDead(at(phone, there));
    assertFails(await refresh(there, phone.refreshToken), 401, 'UNAUTHORIZED');
    await spared.assertOpen(bob, alice);
    assert.equal((await alice.read('/api/auth/sessions')).length, 1);
    assertFails(await endSession(alice, claimsOf(phone.token).sid), 404, 'NOT_FOUND', 'No such login');
    for (const open of [hereOpen, thereOpen, spared]) open.close();
  });

  test('a client that does not leave by itself is cut off', async () => {
    const alice = await register(here);
    const raw = await RawWebSocket.open(here, '/socket.io/?EIO=4&transport=websocket');
    const next = async () => (await raw.frame()).payload.toString();
    assert.match(await next(), /^0/);
    raw.send(`40${JSON.stringify({ token: alice.token })}`);
    assert.match(await next(), /^40/);
    await alice.post('/api/auth/logout');
    assert.equal(await next(), '41');
    assert.equal((await raw.frame()).opcode, opcodes.close);
    raw.destroy();
  });

  test('logins of others, that never were, or whose id is none, cannot be ended', async () => {
    const [alice, mallory] = [await register(here), await register(here)];
    for (const id of [claimsOf(alice.token).sid, nobody, '00000000-0000-0000-0000-000000000000']) {
      assertFails(await endSession(mallory, id), 404, 'NOT_FOUND', 'No such login');
    }
    for (const id of ['x', '%00', '%ff', alice.id.slice(1), `${alice.id}x`, '1%27%20OR%201=1']) {
      assertInvalid(await endSession(mallory, id), 'id');
    }
    assertInvalid(await remove(mallory, `/api/auth/sessions/${nobody}`, { id: nobody }), 'id');
    for (const pathname of ['/api/auth/sessions/', `/api/auth/sessions/${nobody}/x`]) {
      const response = await fetch(`${here.url}${pathname}`, { method: 'DELETE' });
      assert.equal(response.status, 404, pathname);
    }
    const other = await fetch(`${here.url}/api/auth/sessions/${nobody}`);
    assert.deepEqual([other.status, other.headers.get('allow')], [405, 'DELETE, OPTIONS']);
    await assertAlive(alice);
    await assertAlive(mallory);
  });

  test('logout ends this login, logout-all every one', async () => {
    const alice = await register(here);
    const [phone, tablet] = [await login(alice), await login(alice, { server: there })];
    assert.deepEqual((await phone.post('/api/auth/logout')).data, { message: 'Logged out' });
    await assertDead(phone);
    assertFails(await phone.post('/api/auth/logout'), 401, 'UNAUTHORIZED', 'Invalid token');
    await assertAlive(tablet);
    const open = await Everything.open(tablet);
    assert.deepEqual((await alice.post('/api/auth/logout-all', {})).data, { message: 'Logged out' });
    await open.closed();
    for (const client of [alice, tablet, at(alice, there), at(tablet, here)]) await assertDead(client);
    await assertAlive(await login(alice));
    open.close();
  });

  test('what is revoked in psql ends too, and a hint by NOTIFY is worth no more than that', async () => {
    const alice = await register(here);
    const stranger = '0190a0b0-c0d0-7123-8123-0123456789ab';
    const open = await Everything.open(at(alice, there));
    for (let i = 0; i < 50; i++) {
      await here.query(`SELECT pg_notify('stonechat', '${stranger}' || chr(10) || 'r${stranger}${alice.id}')`);
    }
    await assertAlive(at(alice, there));
    await here.query(`UPDATE logins SET revoked_at = now() WHERE user_id = '${alice.id}'`);
    await here.query(`SELECT pg_notify('stonechat', '${stranger}' || chr(10) || 'r${stranger}${alice.id}')`);
    await open.closed();
    await assertDead(at(alice, there));
    open.close();
  });

  // --- the password ---

  test('a new password ends the other logins, and the old one opens nothing', async () => {
    const alice = await register(here);
    const [phone, tablet] = [await login(alice), await login(alice)];
    const [ended, kept] = [await Everything.open(at(tablet, there)), await PlainSocket.open(phone)];
    const change = (currentPassword, newPassword) => phone.post('/api/auth/password', { currentPassword, newPassword });
    assertFails(await change('not it', 'battery staple'), 400, 'INVALID_CREDENTIALS', 'Invalid credentials');
    assertInvalid(await change(password, 'short'), 'newPassword');
    assertInvalid(await phone.post('/api/auth/password', {}), 'currentPassword', 'newPassword');
    await assertAlive(tablet);
    assert.deepEqual((await change(password, 'battery staple')).data, { message: 'Password changed' });
    await ended.closed();
    for (const client of [alice, tablet, at(alice, there)]) await assertDead(client);
    await assertAlive(phone);
    assert.equal((await refresh(there, phone.refreshToken)).status, 200);
    await kept.tell('stop_typing', { receiverId: nobody });
    await kept.next('operation-error');
    const body = { username: alice.username, password };
    assertFails(await new Client(here).post('/api/auth/login', body), 400, 'INVALID_CREDENTIALS');
    await assertAlive(await login(alice, { secret: 'battery staple' }));
    ended.close();
    kept.close();
  });

  test('wrong passwords with a good token lock the name too', async () => {
    const alice = await register(here);
    const change = currentPassword => alice.post('/api/auth/password', { currentPassword, newPassword: 'battery staple' });
    for (let i = 0; i < 5; i++) assertFails(await change('not it'), 400, 'INVALID_CREDENTIALS');
    assertFails(await change(password), 403, 'ACCOUNT_LOCKED');
    assertFails(await remove(alice, '/api/users/me', { password }), 403, 'ACCOUNT_LOCKED');
    await assertAlive(alice);
    const bob = await register(here);
    const leave = secret => remove(bob, '/api/users/me', { password: secret });
    for (let i = 0; i < 5; i++) assertFails(await leave('not it'), 400, 'INVALID_CREDENTIALS');
    assertFails(await leave(password), 403, 'ACCOUNT_LOCKED');
    await assertAlive(bob);
  });

  test('whoever logs in while the password changes is out, or had the new one', async () => {
    for (let i = 0; i < 5; i++) {
      const alice = await register(here);
      const logins = Promise.all(Array.from({ length: 8 }, (_, n) => new Client(nodes[n % 2]).post('/api/auth/login',
        { username: alice.username, password })));
      const changed = await alice.post('/api/auth/password', { currentPassword: password, newPassword: 'battery staple' });
      assert.equal(changed.status, 200);
      const tokens = (await logins).filter(reply => reply.status === 200).map(reply => as(alice, reply.data));
      for (const client of tokens) {
        await until(async () => (await client.get('/api/users/me')).status === 401, 'the end', patienceMs);
      }
      assert.equal((await alice.read('/api/auth/sessions')).length, 1);
    }
  });

  // --- the end of an account ---

  test('a deleted account is gone, and its messages stay for those who have them', async () => {
    const [bob, carol] = await friends(here, 'bob', 'carol');
    const alice = await register(here, 'alice');
    await befriend(alice, bob);
    await carol.do('/api/contacts/request', { targetId: alice.id });
    const sent = [await alice.send(bob, 'one'), await bob.send(alice, 'two'), await alice.send(bob, 'three')];
    const watcher = await at(bob, there).connect();
    const open = [await Everything.open(alice), await Everything.open(at(alice, there))];
    await until(async () => (await at(bob, there).chat(alice)).user.online, 'Alice to be online', patienceMs);

    assertInvalid(await remove(alice, '/api/users/me', {}), 'password');
    assertFails(await remove(alice, '/api/users/me', { password: 'not it' }), 400, 'INVALID_CREDENTIALS');
    await assertAlive(alice);
    assert.deepEqual((await remove(alice, '/api/users/me', { password })).data, { message: 'Account deleted' });

    for (const one of open) await one.closed();
    assert.equal((await watcher.next('user-offline', data => data.userId === alice.id)).userId, alice.id);
    for (const client of [alice, at(alice, there)]) await assertDead(client);
    assertFails(await refresh(here, alice.refreshToken), 401, 'UNAUTHORIZED');
    for (const username of [alice.username, `deleted user ${alice.id.slice(-12)}`]) {
      const reply = await new Client(here).post('/api/auth/login', { username, password });
      assert.equal(reply.status, 400);
    }

    const chat = await bob.chat(alice);
    assert.equal(chat.user.username, `deleted user ${alice.id.slice(-12)}`);
    assert.deepEqual([chat.user.lastSeen, chat.latestMessage.id, chat.unreadCount], [null, sent[2].id, 2]);
    for (const query of [{ withUserId: alice.id }, { chatId: sent[0].chatId }]) {
      const { messages } = await bob.read('/api/messages', query);
      assert.deepEqual(messages.map(message => [message.id, message.content, message.senderId]),
        sent.map(message => [message.id, message.content, message.senderId]));
    }
    assertFails(await bob.post('/api/messages', { receiverId: alice.id, content: 'hello?' }), 403, 'FORBIDDEN');
    assertFails(await bob.post('/api/contacts/request', { targetId: alice.id }), 404, 'NOT_FOUND', 'User not found');
    assert.ok(!(await bob.read('/api/contacts/profile')).user.contacts.some(contact => contact.id === alice.id));
    assert.deepEqual((await carol.read('/api/contacts/requests')).sent, []);
    assert.deepEqual(await bob.read('/api/users', { search: 'deleted' }), []);
    assertFails(await carol.get('/api/messages', { withUserId: alice.id }), 403, 'FORBIDDEN');

    await bob.do('/api/contacts/remove', { contactId: alice.id }); // and now he has had enough of it
    assert.equal(await bob.chat(alice), undefined);
    assertFails(await bob.get('/api/messages', { withUserId: alice.id }), 403, 'FORBIDDEN');
    assertFails(await bob.post('/api/contacts/remove', { contactId: alice.id }), 404, 'NOT_FOUND');

    const again = await new Client(here).post('/api/auth/register', { username: alice.username, password });
    assert.equal(again.status, 201);
    assert.notEqual(again.data.user.id, alice.id);
    await assertDead(alice);
    assert.equal(await here.query(`SELECT count(*) FROM logins WHERE user_id = '${alice.id}'
      AND (device IS NOT NULL OR ip IS NOT NULL OR user_agent IS NOT NULL OR refresh_hash IS NOT NULL)`), '0');
    watcher.close();
    for (const one of open) one.close();
  });

  test('whoever asks a friend just as he deletes his account is left with nothing', async () => {
    for (let i = 0; i < 10; i++) {
      const [alice, bob] = [await register(here), await register(there)];
      const [, asked] = await Promise.all([
        remove(alice, '/api/users/me', { password }), bob.post('/api/contacts/request', { targetId: alice.id }),
      ]);
      assert.ok([200, 404].includes(asked.status), JSON.stringify(asked.body));
      assert.deepEqual((await bob.read('/api/contacts/requests')).sent, []);
    }
  });

  // --- expiry ---

  test('sockets and streams end with their token', async () => {
    const alice = await register(here);
    const brieflyAlice = Object.assign(at(alice, here), { token: brief(alice, 2) });
    const open = await Everything.open(brieflyAlice);
    const lasting = await PlainSocket.open(alice);
    await open.closed();
    await assertDead(brieflyAlice);
    assert.equal((await lasting.ask('auth-refresh', {})).code, 'VALIDATION_ERROR'); // it is there
    open.close();
    lasting.close();
  });

  test('a socket that presents a fresh token lives on, until that one expires', async () => {
    const [alice, mallory] = [await register(here), await register(here)];
    const other = await login(alice);
    const brieflyAlice = Object.assign(at(alice, here), { token: brief(alice, 3) });
    const device = await brieflyAlice.connect();
    const [socket, left] = [await PlainSocket.open(brieflyAlice), await PlainSocket.open(brieflyAlice)];
    for (const one of [device, socket]) {
      assertRefused(await one.ask('auth-refresh', { token: 'x' }), 'UNAUTHORIZED', 'Invalid token');
      assertRefused(await one.ask('auth-refresh', { token: brief(alice, -1) }), 'UNAUTHORIZED', 'Invalid token');
      assertRefused(await one.ask('auth-refresh', { token: mallory.token }), 'FORBIDDEN');
      assertRefused(await one.ask('auth-refresh', {}), 'VALIDATION_ERROR');
      assertRefused(await one.ask('auth-refresh', { token: 7 }), 'VALIDATION_ERROR');
    }
    assert.deepEqual(await device.ask('auth-refresh', { token: alice.token }), { success: true });
    assert.deepEqual(await socket.ask('auth-refresh', { token: other.token }), { success: true });
    assert.equal((await left.waitForClose()).code, 4401);
    for (const one of [device, socket]) assertRefused(await one.ask('typing', { receiverId: nobody }), 'FORBIDDEN');
    await endSession(alice, claimsOf(other.token).sid); // by whose token it lives now
    assert.equal((await socket.waitForClose()).code, 4401);
    assert.deepEqual(await device.ask('auth-refresh', { token: brief(alice, 1) }), { success: true });
    assert.equal(await device.disconnected(), 'io server disconnect');
    device.close();
  });

  // --- nodes that come and go ---

  test('a node that starts knows what has ended before', async () => {
    const alice = await register(here);
    const phone = await login(alice);
    await phone.post('/api/auth/logout');
    const node = await startServer({ databaseUrl: here.databaseUrl });
    await assertDead(at(phone, node));
    await assertAlive(at(alice, node));
    await node.stop();
  });

  test('a node that heard nothing for a while reads what it missed', async () => {
    const alice = await register(here);
    const phones = await Promise.all([1, 2, 3].map(() => login(alice)));
    for (const phone of phones) {
      const open = await Everything.open(at(phone, there));
      await here.query(`SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database()
        AND (query LIKE 'LISTEN %' OR query LIKE 'SELECT pg_notify%') AND pid <> pg_backend_pid()`);
      await phone.post('/api/auth/logout');
      await open.closed();
      open.close();
    }
  });

  test('what nobody can use any more is taken out', async () => {
    const alice = await register(here);
    const [old, fresh] = [await login(alice), await login(alice)];
    await here.query(`UPDATE logins SET expires_at = now() - interval '2 days', tokens_until = now() - interval '2 days'
      WHERE id = '${claimsOf(old.token).sid}'`);
    await here.query(`UPDATE logins SET tokens_until = now() - interval '2 days' WHERE id = '${claimsOf(fresh.token).sid}'`);
    await here.query('SELECT * FROM prune_logins(ARRAY[5000])');
    const left = await here.query(`SELECT id FROM logins WHERE user_id = '${alice.id}' ORDER BY id`);
    assert.deepEqual(left.split('\n'), [alice, fresh].map(client => claimsOf(client.token).sid).sort());
  });
});

test('a node that does not know yet what has ended believes nobody', async t => {
  const before = await startServer();
  const { databaseUrl } = before;
  const alice = await register(before);
  const phone = await login(alice);
  await phone.post('/api/auth/logout');
  await before.stop();
  // Until it is released, nobody can read what has ended.
  const hold = await holdTable(t, before, 'logins');
  const port = await freePort();
  const starting = startServer({ databaseUrl, env: { PORT: `${port}`, WORKERS: '1' } });
  t.after(async () => (await starting).stop());
  await hold.waiting();
  const node = { url: `http://127.0.0.1:${port}` };
  for (const client of [phone, alice]) assertFails(await at(client, node).get('/api/users/me'), 503, 'UNAVAILABLE');
  await hold.release();
  await starting;
  assertFails(await at(phone, node).get('/api/users/me'), 401, 'UNAUTHORIZED');
  await assertAlive(at(alice, node));
});
