// The list of chats.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { Client, assertInvalid, befriend, stopServer, upTo } from '../support/api.mjs';
import { startServer } from '../support/server.mjs';

describe('chats', () => {
  let server;

  before(async () => (server = await startServer({ env: { ARGON2_QUEUE_MAX: '1000' } }))); // many register at once
  after(() => stopServer(server));

  // A user with n contacts.
  async function popular(n) {
    const [alice, ...others] = await Promise.all(upTo(n + 1).map(() => Client.register(server, 'user')));
    for (const other of others) await befriend(alice, other);
    return [alice, ...others];
  }

  // All pages of the list, `limit` chats each.
  async function walk(client, limit) {
    const pages = [];
    let cursor;
    do {
      const { status, data, pagination } = await client.get('/api/chats', { limit, ...(cursor && { cursor }) });
      assert.equal(status, 200);
      pages.push(data);
      cursor = pagination.nextCursor;
    } while (cursor !== null);
    return pages;
  }

  test('the newest chat comes first, and contacts never written to are there', async () => {
    const [alice, bob, carol, dan] = await popular(3);
    await alice.send(bob, 'first');
    const second = await carol.send(alice, 'second');
    let chats = await alice.read('/api/chats');
    assert.deepEqual(chats.map(chat => chat.user.id), [carol.id, bob.id, dan.id]);
    assert.deepEqual(chats.map(chat => chat.unreadCount), [1, 0, 0]);
    assert.deepEqual(chats[0].latestMessage, second);
    assert.equal(chats[2].latestMessage, null);
    assert.deepEqual(chats[0].user, { id: carol.id, username: carol.username, online: false, lastSeen: null });

    const third = await bob.send(alice, 'third');
    chats = await alice.read('/api/chats');
    assert.deepEqual(chats.map(chat => chat.user.id), [bob.id, carol.id, dan.id]);
    assert.deepEqual([chats[0].latestMessage, chats[0].chatId, chats[0].unreadCount], [third, third.chatId, 1]);
    assert.deepEqual((await bob.read('/api/chats')).map(chat => [chat.user.id, chat.unreadCount]), [[alice.id, 1]]);
  });

  test('a list of the longest messages comes whole', async () => {
    const [alice, ...others] = await popular(70);
    const longest = '\u{1F600}'.repeat(4000);
    for (const other of others) await other.send(alice, longest);
    const chats = await alice.read('/api/chats');
    assert.equal(chats.length, others.length);
    assert.ok(chats.every(chat => chat.latestMessage.content === longest));
  });

  test('a user without contacts has no chats', async () => {
    const [alice] = await popular(0);
    const { data, pagination } = await alice.get('/api/chats');
    assert.deepEqual([data, pagination], [[], { nextCursor: null }]);
  });

  test('a walk by cursor meets every chat once, in order', async () => {
    const [alice, ...others] = await popular(9);
    const written = [4, 0, 7, 2, 5];
    for (const i of written) await others[i].send(alice, 'hi');
    const whole = await alice.read('/api/chats');
    const order = whole.map(chat => others.findIndex(other => other.id === chat.user.id));
    assert.deepEqual(order.slice(0, 5), [...written].reverse());
    assert.deepEqual([...order].sort(), [0, 1, 2, 3, 4, 5, 6, 7, 8]);
    for (const limit of [1, 2, 4, 9, 200]) {
      const pages = await walk(alice, limit);
      assert.deepEqual(pages.flat(), whole, `limit ${limit}`);
      for (const page of pages) assert.ok(page.length <= limit);
    }
  });

  test('a chat that moves to the front during a walk hides no other', async () => {
    const [alice, ...others] = await popular(6);
    for (const other of others) await other.send(alice, 'hi');
    const first = await alice.get('/api/chats', { limit: 3 });
    await others[0].send(alice, 'again');
    const second = await alice.get('/api/chats', { limit: 3, cursor: first.pagination.nextCursor });
    const met = [...first.data, ...second.data].map(chat => chat.user.id);
    for (const other of others.slice(1)) assert.equal(met.filter(id => id === other.id).length, 1);
  });

  test('limits and cursors that make no sense are refused', async () => {
    const [alice] = await popular(3);
    for (const limit of ['0', '201', '-1', 'x', '1.5', '99999999999999999999']) {
      assertInvalid(await alice.get('/api/chats', { limit }), 'limit');
    }
    const { pagination } = await alice.get('/api/chats', { limit: 1 });
    for (const cursor of [
      'x', '', '0', '-1', '../..', "' OR 1=1", 'A'.repeat(5000), `${pagination.nextCursor}x`, '🙂', 'e30',
    ]) {
      assertInvalid(await alice.get('/api/chats', { cursor }), 'cursor');
    }
  });
});
