// Redis as a cache: the lists of chats, who is online, and who is locked out. Whatever becomes of Redis, what clients
// see is what the database says. A node without Redis tells what that is.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import {
  Client, assertFails, befriend, friends, password, patienceMs, stopServer, unique, upTo,
} from '../support/api.mjs';
import { at, startNodes } from '../support/nodes.mjs';
import { query, startRedis, until } from '../support/server.mjs';

const settings = { PRESENCE_GRACE_MS: '300', PRESENCE_LEASE_SECONDS: '9', WORKERS: '2' };

describe('a cache', () => {
  let redis, nodes, plain;

  before(async () => {
    redis = await startRedis();
    const env = { ...settings, REDIS_URL: redis.url };
    nodes = await startNodes(env, env, settings);
    plain = nodes.pop();
  });
  after(async () => {
    await stopServer(nodes?.[0]);
    await Promise.all([nodes?.[1].stop(), plain?.stop(), redis?.stop()]);
  });

  const chatsKey = client => `stonechat:chats:${client.id}`;
  const isCached = async client => (await redis.command('HEXISTS', chatsKey(client), 'list')) === '1';

  /** Reads the list until it comes from the cache. */
  const fill = client => until(async () => {
    await client.read('/api/chats');
    return isCached(client);
  }, 'the list to be cached', patienceMs);

  // Who is online is news that takes its time from node to node.
  const withoutStatus = ({ data, pagination }) =>
    [data.map(({ user: { id, username }, ...chat }) => ({ user: { id, username }, ...chat })), pagination];

  /** The list is the same everywhere, twice: as it is read, and as it was put. */
  async function assertSame(client) {
    const expected = await at(client, plain).get('/api/chats');
    for (const node of [...nodes, ...nodes]) {
      assert.deepEqual(withoutStatus(await at(client, node).get('/api/chats')), withoutStatus(expected));
    }
    return expected.data;
  }

  test('a list comes from the cache, and lives there for ten minutes', async () => {
    const [alice, bob] = await friends(nodes[0], 'alice', 'bob');
    await bob.send(alice, 'a "quoted"\ttab and \u2028 line');
    await fill(alice);
    const lifetime = Number(await redis.command('TTL', chatsKey(alice)));
    assert.ok(lifetime > 0 && lifetime <= 600, `${lifetime}`);
    await assertSame(alice);
    // A change that goes past the server does not show, so the list that is seen is the one that was put.
    const name = unique('renamed');
    await query(plain.databaseUrl, `UPDATE users SET username = '${name}' WHERE id = '${bob.id}'`);
    for (const node of nodes) assert.equal((await at(alice, node).read('/api/chats'))[0].user.username, bob.username);
    await redis.command('FLUSHALL');
    for (const node of nodes) assert.equal((await at(alice, node).read('/api/chats'))[0].user.username, name);
  });

  test('whatever changes a list shows at once, on every node', async () => {
    const [alice, bob, carol] = await friends(nodes[0], 'alice', 'bob', 'carol');
    const [here, there] = nodes.map(node => at(alice, node));
    await fill(alice);
    const message = await at(bob, plain).send(alice, 'first');
    assert.equal((await assertSame(alice))[0].unreadCount, 1);
    await at(alice, nodes[1]).send(carol, 'second');
    assert.equal((await assertSame(alice))[0].latestMessage.content, 'second');
    const phone = await there.connect();
    await phone.done('message_read', { messageId: message.id });
    phone.close();
    assert.ok((await assertSame(alice)).every(chat => chat.unreadCount === 0));
    assert.equal((await assertSame(bob))[0].latestMessage.seen, true);
    const dan = await Client.register(nodes[1], 'dan');
    await befriend(at(alice, nodes[1]), dan);
    assert.equal((await assertSame(alice)).length, 3);
    await here.do('/api/contacts/remove', { contactId: bob.id });
    assert.equal((await assertSame(alice)).length, 2);
    await assertSame(bob);
    await befriend(here, bob);
    assert.equal((await assertSame(alice)).length, 3);
  });

  test('the chat of a deleted account leaves the list when it is removed', async () => {
    const [alice, bob, carol] = await friends(nodes[0], 'alice', 'bob', 'carol');
    await bob.send(alice, 'farewell');
    assert.equal((await bob.request('DELETE', '/api/users/me', { body: { password } })).status, 200);
    await fill(alice);
    const names = async () => (await assertSame(alice)).map(chat => chat.user.username.split(' ')[0]);
    assert.deepEqual(await names(), ['deleted', carol.username]);
    await at(alice, nodes[1]).do('/api/contacts/remove', { contactId: bob.id });
    assert.deepEqual(await names(), [carol.username]);
    assertFails(await alice.post('/api/contacts/remove', { contactId: bob.id }), 404, 'NOT_FOUND');
  });

  test('a contact who comes and goes is seen to', async () => {
    const [alice, bob] = await friends(nodes[0], 'alice', 'bob');
    await alice.send(bob, 'hello');
    for (const node of nodes) {
      await fill(alice);
      const before = (await at(alice, plain).read('/api/chats'))[0].user.lastSeen;
      const phone = await at(bob, node).connect();
      await until(async () => (await at(alice, plain).read('/api/chats'))[0].user.online, 'bob to come', patienceMs);
      await until(async () => (await alice.read('/api/chats'))[0].user.online, 'bob to come here', patienceMs);
      phone.close();
      await until(async () => {
        const { user } = (await at(alice, plain).read('/api/chats'))[0];
        return !user.online && user.lastSeen !== before;
      }, 'bob to go', patienceMs);
      const { lastSeen } = (await at(alice, plain).read('/api/chats'))[0].user;
      for (const reader of nodes) {
        await until(async () => {
          const { user } = (await at(alice, reader).read('/api/chats'))[0];
          return !user.online && user.lastSeen === lastSeen;
        }, 'everybody to know when he went', patienceMs);
      }
    }
    await assertSame(alice);
  });

  test('while many write at once, nobody reads less than what was acknowledged', async () => {
    const [alice, ...writers] = await friends(nodes[0], 'alice', 'bob', 'carol', 'dan', 'eve');
    const written = new Map();
    const seen = chats => new Map(chats.map(chat => [chat.user.id, chat]));
    let flushes = 0;
    await Promise.all(writers.map(async (writer, i) => {
      for (const n of upTo(25)) {
        const { seq } = await at(writer, nodes[i % 2]).send(alice, unique('much'));
        written.set(writer.id, seq);
        const acknowledged = new Map(written);
        const list = seen(await at(alice, nodes[(i + n) % 2]).read('/api/chats'));
        for (const [id, known] of acknowledged) {
          assert.ok(list.get(id).latestMessage?.seq >= known, `${list.get(id).latestMessage?.seq} of ${known}`);
          assert.equal(list.get(id).unreadCount, list.get(id).latestMessage.seq);
        }
        if (i === 0 && n % 10 === 0) {
          await redis.command('FLUSHALL');
          flushes++;
        }
      }
    }));
    assert.equal(flushes, 2);
    assert.ok((await assertSame(alice)).every(chat => chat.unreadCount === 25));
    await fill(alice);
  });

  test('what somebody else wrote to Redis is not believed', async () => {
    const [alice, bob, mallory] = await friends(nodes[0], 'alice', 'bob', 'mallory');
    await bob.send(alice, 'for alice');
    await fill(alice);
    await fill(mallory);
    const wrong = [
      ['COPY', chatsKey(mallory), chatsKey(alice), 'REPLACE'],
      ['HSET', chatsKey(alice), 'list', ''],
      ['HSET', chatsKey(alice), 'list', 'x'.repeat(31)],
      ['HSET', chatsKey(alice), 'list', `${'x'.repeat(32)}${alice.id}\t2.2\t\n`],
      ['SET', chatsKey(alice), 'no hash'],
      ['EVAL', "redis.call('HSET', KEYS[1], 'list', (redis.call('HGET', KEYS[1], 'list'):gsub('for alice', 'by Malice')))",
        '1', chatsKey(alice)],
      ['EVAL', "redis.call('DEL', KEYS[1]) redis.call('RPUSH', KEYS[1], 'list', 'y')", '1', chatsKey(alice)],
    ];
    for (const command of wrong) {
      await redis.command(...command);
      assert.equal((await assertSame(alice)).find(chat => chat.user.id === bob.id).latestMessage.content, 'for alice');
      await redis.command('DEL', chatsKey(alice));
      await fill(alice);
    }
    // Somebody else's of the same version: who asked somebody and was accepted has one event and one contact.
    const [[one, hers], [other]] = await Promise.all([friends(nodes[0], 'one', 'hers'), friends(nodes[0], 'two', 'his')]);
    await fill(other);
    await redis.command('COPY', chatsKey(other), chatsKey(one), 'REPLACE');
    assert.deepEqual((await assertSame(one)).map(chat => chat.user.id), [hers.id]);
    // An older list of hers: the version is another one.
    const old = await redis.command('EVAL', "redis.call('COPY', KEYS[1], 'old') return 1", '1', chatsKey(alice));
    assert.equal(old, '1');
    await bob.send(alice, 'newer');
    await redis.command('COPY', 'old', chatsKey(alice), 'REPLACE');
    assert.equal((await assertSame(alice))[0].latestMessage.content, 'newer');
  });

  test('a Redis that stands still, or is not there, is done without', async () => {
    const [alice, bob] = await friends(nodes[0], 'alice', 'bob');
    await fill(alice);
    redis.pause();
    await bob.send(alice, 'while it stands still');
    await assertSame(alice);
    redis.resume();
    await redis.kill();
    await bob.send(alice, 'while it is dead');
    await assertSame(alice);
    await redis.start();
    await fill(alice);
    await assertSame(alice);
  });

  test('who is online is there for other programs, and comes back when it was lost', async () => {
    const alice = await Client.register(nodes[0], 'alice');
    const keys = async () => (await redis.command('KEYS', 'stonechat:online:*')).split('\n').filter(Boolean);
    const places = async () => {
      const found = await Promise.all((await keys()).map(key => redis.command('SISMEMBER', key, alice.id)));
      return found.filter(is => is === '1').length;
    };
    const phones = await Promise.all(nodes.map(node => at(alice, node).connect()));
    await until(async () => (await places()) === 2, 'her to be at two nodes', patienceMs);
    for (const key of await keys()) {
      const lifetime = Number(await redis.command('TTL', key));
      assert.ok(lifetime >= 0 && lifetime <= 60, `${lifetime}`);
    }
    await redis.command('FLUSHALL');
    await until(async () => (await places()) === 2, 'her to be written again', patienceMs);
    const losses = () => nodes[0].logs.filter(line => line.msg === 'Redis is lost' && line.use === 'cache').length;
    const before = losses();
    redis.pause();
    await until(() => losses() === before + 2, 'both workers of the node to lose Redis', patienceMs);
    phones[0].close();
    const rows = `SELECT count(*) FROM online WHERE user_id = '${alice.id}'`;
    await until(async () => (await query(plain.databaseUrl, rows)) === '1', 'her to have left one node', patienceMs);
    redis.resume();
    await until(async () => (await places()) === 1, 'her to be at one node', patienceMs);
    phones[1].close();
    await until(async () => (await places()) === 0, 'her to be gone', patienceMs);
  });

  test('a name that is locked out is refused without asking the database, for a minute at most', async () => {
    const alice = await Client.register(nodes[0], 'alice');
    const guest = new Client(nodes[0]);
    const login = (word, node = nodes[0]) =>
      at(guest, node).post('/api/auth/login', { username: alice.username, password: word });
    for (const _ of upTo(5)) assertFails(await login('wrong password'), 400, 'INVALID_CREDENTIALS');
    assertFails(await login(password), 403, 'ACCOUNT_LOCKED');
    const key = `stonechat:lock:${alice.username}`;
    await until(async () => (await redis.command('EXISTS', key)) === '1', 'the lock to be cached', patienceMs);
    const lifetime = Number(await redis.command('TTL', key));
    assert.ok(lifetime > 0 && lifetime <= 60, `${lifetime}`);
    await query(plain.databaseUrl, `DELETE FROM login_failures WHERE username = '${alice.username}'`);
    for (const node of nodes) assertFails(await login(password, node), 403, 'ACCOUNT_LOCKED');
    await redis.command('FLUSHALL');
    for (const node of nodes) assert.equal((await login(password, node)).status, 200);
  });
});
