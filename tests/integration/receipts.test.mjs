// Seeing that a message was read.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { assertRefused, friends, nobody, stopServer } from '../support/api.mjs';
import { startServer } from '../support/server.mjs';

describe('receipts', () => {
  let server;

  before(async () => (server = await startServer()));
  after(() => stopServer(server));

  for (const event of ['message-seen', 'message_read']) {
    test(`the sender, and the reader's other devices, learn of ${event}`, async () => {
      const [alice, bob, carol] = await friends(server, 'alice', 'bob', 'carol');
      const [laptop, tablet, phone, watch, onlooker] = await Promise.all(
        [alice, alice, bob, bob, carol].map(client => client.connect()));
      const message = await alice.send(bob, 'read me');
      for (const device of [laptop, tablet, phone, watch]) await device.next('private-message');
      const ack = await phone.ask(event, { messageId: message.id });
      assert.deepEqual(ack, { success: true });
      const receipt = { messageId: message.id, userId: bob.id, readerId: bob.id, chatId: message.chatId, seq: 1 };
      for (const device of [laptop, tablet, watch]) assert.deepEqual(await device.next(event), receipt);
      assert.deepEqual(await phone.untilMarker(alice), []);
      assert.deepEqual(await laptop.untilMarker(bob), []);
      assert.deepEqual(await onlooker.untilMarker(alice), []);
      assert.equal((await alice.history(bob, { page: 1, limit: 1 })).messages[0].seen, true);
    });
  }

  test('a message read marks those before it', async () => {
    const [alice, bob] = await friends(server, 'alice', 'bob');
    const [laptop, phone] = await Promise.all([alice.connect(), bob.connect()]);
    const sent = [];
    for (let i = 0; i < 5; i++) sent.push(await alice.send(bob, `message ${i}`));
    phone.tell('message-seen', { messageId: sent[3].id, userId: bob.id });
    assert.equal((await laptop.next('message-seen')).seq, 4);
    assert.deepEqual((await alice.history(bob)).messages.map(message => message.seen), [true, true, true, true, false]);
    assert.equal(await server.query(`SELECT read_seq FROM members WHERE user_id = '${bob.id}'`), '4');
  });

  test('what cannot be read by the user is refused, and has no effect', async () => {
    const [alice, bob, mallory] = await friends(server, 'alice', 'bob', 'mallory');
    const [laptop, phone, other] = await Promise.all([alice.connect(), bob.connect(), mallory.connect()]);
    const message = await alice.send(bob, 'for Bob alone');
    await phone.next('private-message');
    await laptop.next('private-message');
    for (const event of ['message-seen', 'message_read']) {
      const ack = await other.ask(event, { messageId: message.id });
      assert.ok(['NOT_FOUND', 'FORBIDDEN'].includes(ack.code), JSON.stringify(ack));
      assertRefused(await phone.ask(event, { messageId: nobody }), 'NOT_FOUND');
      assertRefused(await laptop.ask(event, { messageId: message.id }), 'FORBIDDEN');
      assertRefused(await phone.ask(event, { messageId: 'x' }), 'VALIDATION_ERROR');
      assertRefused(await phone.ask(event, {}), 'VALIDATION_ERROR');
    }
    assertRefused(await other.ask('message-seen', { messageId: message.id, userId: bob.id }), 'FORBIDDEN');
    other.tell('message-seen', { messageId: message.id, userId: bob.id });
    assert.equal((await other.next('operation-error')).code, 'FORBIDDEN');
    assert.deepEqual(await laptop.untilMarker(bob), []);
    assert.equal((await alice.history(bob)).messages[0].seen, false);
    assert.equal((await bob.chat(alice)).unreadCount, 1);
  });
});
