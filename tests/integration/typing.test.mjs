// Seeing that somebody types.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { Client, Device, assertRefused, friends, nobody, stopServer } from '../support/api.mjs';
import { startServer } from '../support/server.mjs';

describe('typing', () => {
  let server;

  before(async () => (server = await startServer()));
  after(() => stopServer(server));

  test('a contact sees on every device that somebody types, and stops', async () => {
    const [alice, bob] = await friends(server, 'alice', 'bob');
    const [laptop, tablet] = await Promise.all([alice.connect(), alice.connect()]);
    const phones = await Promise.all([bob.connect(), bob.connect({ transports: ['polling'] })]);
    const who = { senderId: alice.id, senderName: alice.username };
    await laptop.done('typing', { receiverId: bob.id });
    for (const phone of phones) assert.deepEqual(await phone.next('typing'), who);
    laptop.tell('stop_typing', { receiverId: bob.id });
    for (const phone of phones) assert.deepEqual(await phone.next('stop_typing'), who);
    assert.deepEqual(await Device.untilTyping(phones, tablet), [[], []]);
    assert.deepEqual(await Device.untilTyping([laptop, tablet], phones[0]), [[], []]);
  });

  test('who is not a contact is not bothered', async () => {
    const [alice, bob] = await friends(server, 'alice', 'bob');
    const stranger = await Client.register(server, 'stranger');
    const [laptop, phone, other] = await Promise.all([alice.connect(), bob.connect(), stranger.connect()]);
    for (const event of ['typing', 'stop_typing']) {
      for (const receiverId of [bob.id, nobody, stranger.id]) {
        assertRefused(await other.ask(event, { receiverId }), 'FORBIDDEN');
      }
      other.tell(event, { receiverId: bob.id });
      const error = await other.next('operation-error');
      assert.deepEqual([error.code, error.event], ['FORBIDDEN', event]);
      assertRefused(await other.ask(event, { receiverId: 'bob' }), 'VALIDATION_ERROR');
      assertRefused(await other.ask(event, {}), 'VALIDATION_ERROR');
    }
    assert.deepEqual(await Device.untilTyping([phone], laptop), [[]]);
    await bob.do('/api/contacts/remove', { contactId: alice.id });
    assertRefused(await laptop.ask('typing', { receiverId: bob.id }), 'FORBIDDEN');
  });

  test('typing to somebody who is away works, and is not kept', async () => {
    const [alice, bob] = await friends(server, 'alice', 'bob');
    const laptop = await alice.connect();
    await laptop.done('typing', { receiverId: bob.id });
    const phone = await bob.connect();
    await phone.untilMarker(alice);
    assert.deepEqual(phone.untaken().filter(({ event }) => event === 'typing'), []);
    assert.equal(await server.query(`SELECT count(*) FROM events WHERE type LIKE '%typing'`), '0');
  });
});
