// Friend requests as sockets see them, whether they are made by REST or by socket.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { Client, assertRefused, friends, nobody, stopServer, timePattern } from '../support/api.mjs';
import { startServer } from '../support/server.mjs';

// Each way of doing it: by a device of the user, or by REST.
const bySocket = {
  send: (device, to) => device.done('send_friend_request', { targetUserId: to.id }),
  accept: (device, from) => device.done('accept_friend_request', { senderId: from.id }),
  reject: (device, from) => device.done('reject_friend_request', { senderId: from.id }),
};
const byRest = {
  send: (device, to) => device.client.do('/api/contacts/request', { targetId: to.id }),
  accept: (device, from) => device.client.do('/api/contacts/accept', { requesterId: from.id }),
  reject: (device, from) => device.client.do('/api/contacts/reject', { requesterId: from.id }),
};

describe('friend requests', () => {
  let server;

  before(async () => (server = await startServer()));
  after(() => stopServer(server));

  async function people() {
    const clients = await Promise.all(['alice', 'bob'].map(name => Client.register(server, name)));
    const devices = await Promise.all([clients[0], clients[0], clients[1], clients[1]].map(client => client.connect()));
    return [...clients, ...devices];
  }

  for (const [how, act] of Object.entries({ 'by socket': bySocket, 'by REST': byRest })) {
    test(`sent and accepted ${how}, both sides are told on every device`, async () => {
      const [alice, bob, laptop, tablet, phone, watch] = await people();
      const ack = await act.send(laptop, bob);
      assert.deepEqual([ack.message, ack.targetId], ['Friend request sent', bob.id]);
      for (const device of [phone, watch]) {
        const received = await device.next('friend_request_received');
        assert.match(received.createdAt, timePattern);
        assert.deepEqual(received, { senderId: alice.id, senderName: alice.username, createdAt: received.createdAt });
      }
      await act.accept(phone, alice);
      for (const device of [laptop, tablet]) {
        assert.deepEqual(
          await device.next('friend_request_accepted'), { accepterId: bob.id, accepterName: bob.username }
        );
      }
      for (const device of [phone, watch]) {
        const { newContact } = await device.next('contact_added');
        assert.deepEqual(
          newContact, { id: alice.id, username: alice.username, online: true, lastSeen: newContact.lastSeen }
        );
      }
      for (const device of [laptop, tablet]) assert.deepEqual(await device.untilMarker(bob), []);
      for (const device of [phone, watch]) assert.deepEqual(await device.untilMarker(alice), []);
    });

    test(`rejected ${how}, the one who asked is told`, async () => {
      const [alice, bob, laptop, tablet, phone] = await people();
      await act.send(laptop, bob);
      await phone.next('friend_request_received');
      await act.reject(phone, alice);
      for (const device of [laptop, tablet]) {
        assert.deepEqual(
          await device.next('friend_request_rejected'), { rejecterId: bob.id, rejecterName: bob.username }
        );
      }
      assert.deepEqual(await alice.read('/api/contacts/requests'), { received: [], sent: [] });
      assert.equal(await server.query(`SELECT status FROM friend_requests WHERE from_id = '${alice.id}'`), 'rejected');
    });
  }

  test('what makes no sense is refused as by REST', async () => {
    const [alice, bob, laptop, , phone] = await people();
    const send = (device, id) => device.ask('send_friend_request', { targetUserId: id });
    assertRefused(await send(laptop, alice.id), 'INVALID_PAYLOAD');
    assertRefused(await send(laptop, nobody), 'NOT_FOUND', 'User not found');
    assertRefused(await send(laptop, 'bob'), 'VALIDATION_ERROR');
    assertRefused(
      await laptop.ask('accept_friend_request', { senderId: bob.id }), 'INVALID_PAYLOAD', 'No such friend request'
    );
    await send(laptop, bob.id);
    assertRefused(await send(laptop, bob.id), 'CONFLICT', 'Friend request already sent');
    assertRefused(await send(phone, alice.id), 'CONFLICT', 'User already sent you a request');
    assertRefused(await laptop.ask('accept_friend_request', { senderId: bob.id }), 'INVALID_PAYLOAD');
    await phone.done('accept_friend_request', { senderId: alice.id });
    assertRefused(await send(laptop, bob.id), 'CONFLICT', 'You are already friends');
    phone.tell('reject_friend_request', { senderId: alice.id });
    const error = await phone.next('operation-error');
    assert.deepEqual(
      error, { message: 'No such friend request', code: 'INVALID_PAYLOAD', event: 'reject_friend_request' }
    );
  });

  test('new friends see each other come and may write at once', async () => {
    const [alice, bob, laptop, , phone] = await people();
    await laptop.done('send_friend_request', { targetUserId: bob.id });
    await phone.done('accept_friend_request', { senderId: alice.id });
    await phone.done('private-message', { receiverId: alice.id, content: 'hello friend' });
    assert.equal((await laptop.next('private-message')).content, 'hello friend');
    const [contact] = (await alice.read('/api/contacts/profile')).user.contacts;
    assert.deepEqual([contact.id, contact.online], [bob.id, true]);
  });

  test('a request to a stranger tells nobody else', async () => {
    const [alice, bob, carol] = await friends(server, 'alice', 'bob', 'carol');
    const dora = await Client.register(server, 'dora');
    const [laptop, phone] = await Promise.all([alice.connect(), bob.connect()]);
    await laptop.done('send_friend_request', { targetUserId: dora.id });
    await dora.do('/api/contacts/accept', { requesterId: alice.id });
    assert.deepEqual(await phone.untilMarker(carol), []);
  });
});
