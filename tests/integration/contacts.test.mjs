// Becoming contacts and ceasing to be, by REST.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { Client, assertFails, assertInvalid, befriend, friends, nobody, stopServer } from '../support/api.mjs';
import { holdAppends } from '../support/hold.mjs';
import { startServer } from '../support/server.mjs';

describe('contacts', () => {
  let server;

  before(async () => (server = await startServer()));
  after(() => stopServer(server));

  const people = (...names) => Promise.all(names.map(name => Client.register(server, name)));
  const ask = (from, to) => from.post('/api/contacts/request', { targetId: to.id });
  const profile = async client => (await client.read('/api/contacts/profile')).user;

  test('a request is seen by both until it is accepted', async () => {
    const [alice, bob] = await people('alice', 'bob');
    const sent = await ask(alice, bob);
    assert.equal(sent.status, 200);
    assert.deepEqual(sent.data, { message: 'Friend request sent', targetId: bob.id });

    const mine = await alice.read('/api/contacts/requests');
    const theirs = await bob.read('/api/contacts/requests');
    assert.deepEqual([mine.received, theirs.sent], [[], []]);
    assert.deepEqual(mine.sent, theirs.received);
    const [request] = mine.sent;
    assert.deepEqual([request.from.id, request.to.id, request.status], [alice.id, bob.id, 'pending']);
    assert.equal((await profile(alice)).sentRequests.length, 1);
    assert.equal((await profile(bob)).friendRequests.length, 1);

    const accepted = await bob.do('/api/contacts/accept', { requesterId: alice.id });
    assert.deepEqual(accepted, { message: 'Friend request accepted', requesterId: alice.id });
    for (const [one, other] of [[alice, bob], [bob, alice]]) {
      assert.deepEqual(await one.read('/api/contacts/requests'), { received: [], sent: [] });
      const user = await profile(one);
      assert.deepEqual([user.id, user.username, user.online], [one.id, one.username, false]);
      assert.deepEqual(user.contacts, [{ id: other.id, username: other.username, online: false, lastSeen: null }]);
      assert.deepEqual([user.friendRequests, user.sentRequests], [[], []]);
    }
  });

  test('a request that makes no sense is refused', async () => {
    const [alice, bob] = await people('alice', 'bob');
    assertFails(await ask(alice, alice), 400, 'INVALID_PAYLOAD');
    assertFails(await ask(alice, { id: nobody }), 404, 'NOT_FOUND', 'User not found');
    assertInvalid(await ask(alice, { id: 'bob' }), 'targetId');
    assertInvalid(await alice.post('/api/contacts/request', {}), 'targetId');
    await ask(alice, bob);
    assertFails(await ask(alice, bob), 409, 'CONFLICT', 'Friend request already sent');
    assertFails(await ask(bob, alice), 409, 'CONFLICT', 'User already sent you a request');
    await bob.do('/api/contacts/accept', { requesterId: alice.id });
    assertFails(await ask(alice, bob), 409, 'CONFLICT', 'You are already friends');
    assertFails(await ask(bob, alice), 409, 'CONFLICT', 'You are already friends');
  });

  test('a rejected request is gone, and may be sent again', async () => {
    const [alice, bob] = await people('alice', 'bob');
    await ask(alice, bob);
    const rejected = await bob.do('/api/contacts/reject', { requesterId: alice.id });
    assert.deepEqual(rejected, { message: 'Friend request rejected', requesterId: alice.id });
    assert.deepEqual((await profile(bob)).contacts, []);
    assert.equal((await ask(alice, bob)).status, 200);
  });

  test('only the one who was asked can answer', async () => {
    const [alice, bob, carol] = await people('alice', 'bob', 'carol');
    await ask(alice, bob);
    for (const answer of ['accept', 'reject']) {
      for (const [who, requester] of [[alice, bob], [carol, alice], [bob, carol], [bob, { id: nobody }]]) {
        const reply = await who.post(`/api/contacts/${answer}`, { requesterId: requester.id });
        assertFails(reply, 400, 'INVALID_PAYLOAD', 'No such friend request');
      }
      assertInvalid(await bob.post(`/api/contacts/${answer}`, { requesterId: 'x' }), 'requesterId');
    }
    assert.deepEqual((await profile(alice)).contacts, []);
  });

  test('of two who ask each other at once, one request stays', async () => {
    const [alice, bob] = await people('alice', 'bob');
    const replies = await Promise.all([ask(alice, bob), ask(bob, alice), ask(alice, bob), ask(bob, alice)]);
    assert.deepEqual(replies.map(reply => reply.status).sort(), [200, 409, 409, 409]);
    const { sent, received } = await alice.read('/api/contacts/requests');
    assert.equal(sent.length + received.length, 1);
  });

  test('a request answered twice at once is answered once', async () => {
    const [alice, bob] = await people('alice', 'bob');
    await ask(alice, bob);
    const answers = ['accept', 'reject', 'accept', 'reject'];
    const replies = await Promise.all(answers.map(a => bob.post(`/api/contacts/${a}`, { requesterId: alice.id })));
    assert.deepEqual(replies.map(reply => reply.status).sort(), [200, 400, 400, 400]);
    const isFriend = answers[replies.findIndex(reply => reply.status === 200)] === 'accept';
    assert.equal((await profile(alice)).contacts.length, isFriend ? 1 : 0);
  });

  test('a removed contact is gone on both sides, and the history waits for a new friendship', async () => {
    const [alice, bob, carol] = await friends(server, 'alice', 'bob', 'carol');
    const message = await alice.send(bob, 'before');
    const removed = await bob.do('/api/contacts/remove', { contactId: alice.id });
    assert.deepEqual(removed, { message: 'Contact removed', contactId: alice.id });
    assert.deepEqual((await profile(alice)).contacts.map(user => user.id), [carol.id]);
    assert.deepEqual((await profile(bob)).contacts.map(user => user.id), [carol.id]);
    const refused = 'Permission denied: You are not allowed to chat with this user';
    for (const [one, other] of [[alice, bob], [bob, alice]]) {
      assertFails(await one.post('/api/messages', { receiverId: other.id, content: 'x' }), 403, 'FORBIDDEN', refused);
      assertFails(await one.get('/api/messages', { withUserId: other.id }), 403, 'FORBIDDEN');
      assertFails(await one.post('/api/contacts/remove', { contactId: other.id }), 404, 'NOT_FOUND', 'No such contact');
    }
    await befriend(bob, alice);
    const after = await bob.send(alice, 'after');
    assert.deepEqual([message.seq, after.seq, after.chatId], [1, 2, message.chatId]);
    assert.deepEqual((await alice.history(bob)).messages.map(m => m.content), ['before', 'after']);
  });

  test('what was written before a contact was removed arrives, though it waited for nothing', async t => {
    const [alice, bob] = await friends(server, 'alice', 'bob');
    const hold = await holdAppends(t, server);
    const sent = alice.post('/api/messages', { receiverId: bob.id, content: 'farewell' });
    await hold.waiting(1);
    const removed = alice.post('/api/contacts/remove', { contactId: bob.id });
    await hold.waiting(2);
    await hold.release();
    assert.deepEqual([(await sent).status, (await removed).status], [201, 200]);
  });

  test('nobody removes whom they do not have', async () => {
    const [alice, bob] = await people('alice', 'bob');
    for (const id of [bob.id, alice.id, nobody]) {
      assertFails(await alice.post('/api/contacts/remove', { contactId: id }), 404, 'NOT_FOUND', 'No such contact');
    }
    assertInvalid(await alice.post('/api/contacts/remove', { contactId: 1 }), 'contactId');
  });
});
