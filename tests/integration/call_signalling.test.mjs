// Calling each other: ring, answer, exchange candidates, hang up.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { Client, assertRefused, befriend, friends, nobody, stopServer, uuidPattern } from '../support/api.mjs';
import { holdAppends } from '../support/hold.mjs';
import { startServer, until } from '../support/server.mjs';

const offer = {
  type: 'offer', sdp: 'v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\n', nested: [1, 2.5, null, { é: '😀' }], big: 12345678901,
};
const callEvents = ['call-user', 'answer-call', 'ice-candidate', 'end-call'];
const answer = { type: 'answer', sdp: 'v=0\r\n' };

describe('calls by socket', () => {
  let server;

  before(async () => (server = await startServer({ env: { PRESENCE_GRACE_MS: '500' } })));
  after(() => stopServer(server));

  // Two friends with two devices each.
  async function people() {
    const [alice, bob] = await friends(server, 'alice', 'bob');
    const devices = await Promise.all([alice, alice, bob, bob].map(client => client.connect()));
    const [laptop, tablet, phone, watch] = devices;
    return { alice, bob, laptop, tablet, phone, watch };
  }

  const call = (device, to, more) => device.ask('call-user', { calleeId: to.id, signal: offer, ...more });
  const take = (device, callId, from, more) => {
    const parties = { callerId: from.id, calleeId: device.client.id };
    return device.ask('answer-call', { callId, ...parties, signal: answer, ...more });
  };

  async function ring(device, to) {
    const ack = await call(device, to);
    assert.equal(ack.success, true, JSON.stringify(ack));
    assert.match(ack.callId, uuidPattern);
    return ack.callId;
  }

  // A call that Bob has taken with his phone; all has been heard.
  async function talk() {
    const who = await people();
    const callId = await ring(who.laptop, who.bob);
    for (const device of [who.phone, who.watch]) await device.next('call-user');
    assert.equal((await take(who.phone, callId, who.alice)).success, true);
    for (const device of [who.laptop, who.tablet]) await device.next('answer-call');
    await who.watch.next('end-call');
    return { ...who, callId };
  }

  const statusOf = async (client, callId) => (await client.read('/api/calls')).find(({ id }) => id === callId)?.status;

  // The events about calls that came and were not taken, once `from` has written to the user of the device.
  const heard = async (device, from) => {
    return (await device.untilMarker(from)).filter(({ event }) => callEvents.includes(event));
  };

  async function nothingMore({ alice, bob, laptop, tablet, phone, watch }) {
    for (const device of [laptop, tablet]) assert.deepEqual(await heard(device, bob), []);
    for (const device of [phone, watch]) assert.deepEqual(await heard(device, alice), []);
  }

  test('a call rings on every device, is answered on one, and the others stop', async () => {
    const who = await people();
    const { alice, bob, laptop, phone, watch } = who;
    const callId = await ring(laptop, bob);
    for (const device of [phone, watch]) {
      assert.deepEqual(await device.next('call-user'), { callId, callerId: alice.id, calleeId: bob.id, signal: offer });
    }
    assert.equal(await statusOf(bob, callId), 'ringing');
    assert.equal((await take(phone, callId, alice)).success, true);
    for (const device of [laptop, who.tablet]) {
      assert.deepEqual(
        await device.next('answer-call'), { callId, callerId: alice.id, calleeId: bob.id, signal: answer }
      );
    }
    assert.deepEqual(await watch.next('end-call'), { callId, status: 'answered-elsewhere' });
    await nothingMore(who);
    assert.equal(await statusOf(alice, callId), 'ongoing');

    assert.equal((await laptop.ask('end-call', { callId, status: 'ended', peerId: bob.id })).success, true);
    for (const device of [phone, watch, who.tablet]) {
      assert.deepEqual(await device.next('end-call'), { callId, status: 'ended', userId: alice.id, peerId: bob.id });
    }
    await nothingMore(who);
    const [record] = await bob.read('/api/calls');
    assert.deepEqual(
      [record.id, record.caller.id, record.callee.id, record.status], [callId, alice.id, bob.id, 'ended']
    );
    assert.ok(record.startedAt <= record.answeredAt && record.answeredAt <= record.endedAt, JSON.stringify(record));
    assert.equal(await server.query(`SELECT status FROM calls WHERE id = '${callId}'`), 'ended');
  });

  test('candidates pass both ways, unchanged', async () => {
    const who = await talk();
    const { alice, bob, laptop, phone, callId } = who;
    const parties = { callerId: alice.id, calleeId: bob.id };
    const candidate = {
      candidate: 'candidate:1 1 UDP 2122252543 192.168.0.2 50000 typ host', sdpMid: '0', sdpMLineIndex: 0,
    };
    for (const payload of [
      { callId, ...parties, candidate },
      { ...parties, candidate },
      { callId, ...parties, signal: offer },
      { callId, ...parties, candidate: 'a text', },
    ]) {
      await laptop.done('ice-candidate', payload);
      assert.deepEqual(await phone.next('ice-candidate'), payload);
      await phone.done('ice-candidate', payload);
      assert.deepEqual(await laptop.next('ice-candidate'), payload);
    }
    phone.tell('ice-candidate', { callId, ...parties, candidate });
    assert.deepEqual(await laptop.next('ice-candidate'), { callId, ...parties, candidate });
  });

  test('a call can be rejected', async () => {
    const who = await people();
    const { alice, bob, laptop, phone, watch } = who;
    const callId = await ring(laptop, bob);
    for (const device of [phone, watch]) await device.next('call-user');
    assert.equal((await phone.ask('end-call', { callId, status: 'rejected', peerId: alice.id })).success, true);
    for (const device of [laptop, who.tablet, watch]) {
      assert.deepEqual(await device.next('end-call'), { callId, status: 'rejected', userId: bob.id, peerId: alice.id });
    }
    await nothingMore(who);
    assert.equal(await statusOf(alice, callId), 'rejected');
  });

  test('the caller can give up', async () => {
    const who = await people();
    const callId = await ring(who.laptop, who.bob);
    for (const device of [who.phone, who.watch]) await device.next('call-user');
    who.laptop.tell('end-call', { callId, status: 'missed' });
    for (const device of [who.phone, who.watch, who.tablet]) {
      assert.equal((await device.next('end-call')).status, 'missed');
    }
    assert.equal(await statusOf(who.bob, callId), 'missed');
  });

  test('a call that was answered is ended, whatever the reason given', async () => {
    const { laptop, phone, callId, alice } = await talk();
    assert.equal((await phone.ask('end-call', { callId, status: 'rejected' })).success, true);
    assert.equal((await laptop.next('end-call')).status, 'ended');
    assert.equal(await statusOf(alice, callId), 'ended');
  });

  test('of two devices that answer at once, one has the call', async () => {
    const { alice, bob, laptop, phone, watch } = await people();
    const callId = await ring(laptop, bob);
    for (const device of [phone, watch]) await device.next('call-user');
    const acks = await Promise.all([phone, watch].map(device => take(device, callId, alice)));
    const loser = [phone, watch][acks.findIndex(ack => !ack.success)];
    assert.equal(acks.filter(ack => ack.success).length, 1);
    assertRefused(acks.find(ack => !ack.success), 'CONFLICT');
    assert.deepEqual(await loser.next('end-call'), { callId, status: 'answered-elsewhere' });
  });

  test('who is in a call is busy, and the call is in the history', async () => {
    const who = await talk();
    const { bob } = who;
    const [carol, dora] = await friends(server, 'carol', 'dora');
    await befriend(carol, bob);
    const desk = await carol.connect();
    assertRefused(await call(desk, bob), 'BUSY', 'One of the two is in another call');
    for (const client of [carol, bob]) {
      const [record] = await client.read('/api/calls');
      assert.deepEqual([record.status, record.caller.id, record.callee.id], ['busy', carol.id, bob.id]);
    }
    assertRefused(await call(who.phone, carol), 'BUSY', 'One of the two is in another call');
    assert.equal((await carol.read('/api/calls'))[0].caller.id, bob.id);
    await nothingMore(who);
    await who.phone.done('end-call', { callId: who.callId, status: 'ended' });
    const callId = await ring(desk, bob);
    assert.equal((await who.phone.next('call-user')).callId, callId);
    assert.equal((await dora.read('/api/calls')).length, 0);
  });

  test('what one device does goes in its order, though it waits for nothing in between', async t => {
    const { alice, bob, laptop, phone } = await people();
    const callId = await ring(laptop, bob);
    await phone.next('call-user');
    const parties = { callerId: alice.id, calleeId: bob.id };
    const hold = await holdAppends(t, server);
    const acks = [
      laptop.ask('ice-candidate', { ...parties, candidate: 'first' }),
      laptop.ask('end-call', { callId, status: 'ended' }),
      call(laptop, bob),
      laptop.ask('ice-candidate', { ...parties, candidate: 'second' }),
    ];
    await hold.waiting(acks.length);
    await hold.release();
    for (const ack of await Promise.all(acks)) assert.equal(ack.success, true, JSON.stringify(ack));
    const events = await heard(phone, alice);
    assert.deepEqual(events.map(({ event }) => event), ['ice-candidate', 'end-call', 'call-user', 'ice-candidate']);
    assert.deepEqual([events[0], events[3]].map(({ data }) => data.candidate), ['first', 'second']);
    assert.equal(events[2].data.callId, (await acks[2]).callId);
  });

  test('an answer or an end that comes too late is refused', async () => {
    const { alice, laptop, phone, watch, callId } = await talk();
    assertRefused(await take(watch, callId, alice), 'CONFLICT');
    await laptop.done('end-call', { callId, status: 'ended' });
    assertRefused(await laptop.ask('end-call', { callId, status: 'ended' }), 'CONFLICT');
    assertRefused(await phone.ask('end-call', { callId, status: 'ended' }), 'CONFLICT');
    assertRefused(await take(phone, callId, alice), 'CONFLICT');
    assertRefused(await take(phone, nobody, alice), 'NOT_FOUND');
    assertRefused(await phone.ask('end-call', { callId: nobody, status: 'ended' }), 'NOT_FOUND');
  });

  test('only contacts can be called', async () => {
    const [alice, bob] = await friends(server, 'alice', 'bob');
    const stranger = await Client.register(server, 'stranger');
    await befriend(stranger, bob);
    const [laptop, other] = await Promise.all([alice.connect(), stranger.connect()]);
    for (const callee of [stranger, alice, { id: nobody }]) assertRefused(await call(laptop, callee), 'FORBIDDEN');
    laptop.tell('call-user', { calleeId: stranger.id, signal: offer });
    const error = await laptop.next('operation-error');
    assert.deepEqual([error.code, error.event], ['FORBIDDEN', 'call-user']);
    assert.deepEqual(await stranger.read('/api/calls'), []);
    assert.deepEqual(await heard(other, bob), []);
  });

  test('nobody takes part in the calls of others', async () => {
    const who = await talk();
    const { alice, bob, callId } = who;
    const mallory = await Client.register(server, 'mallory');
    for (const client of [alice, bob]) await befriend(mallory, client);
    const evil = await mallory.connect();
    const parties = { callerId: alice.id, calleeId: bob.id };
    const attempts = [
      ['end-call', { callId, status: 'ended' }],
      ['ice-candidate', { callId, ...parties, candidate: 'x' }],
      ['ice-candidate', { ...parties, candidate: 'x' }],
      ['ice-candidate', { callId, callerId: mallory.id, calleeId: bob.id, candidate: 'x' }],
      ['answer-call', { callId, ...parties, signal: answer }],
      ['answer-call', { callId, callerId: alice.id, calleeId: mallory.id, signal: answer }],
      ['call-user', { calleeId: bob.id, callerId: alice.id, signal: offer }],
    ];
    for (const [event, payload] of attempts) {
      const ack = await evil.ask(event, payload);
      assertRefused(ack, 'FORBIDDEN');
      evil.tell(event, payload);
      assert.deepEqual([(await evil.next('operation-error')).event], [event]);
    }
    await nothingMore(who);
    assert.equal(await statusOf(alice, callId), 'ongoing');
    assert.deepEqual(await mallory.read('/api/calls'), []);
  });

  test('the caller cannot answer for the callee', async () => {
    const { alice, bob, laptop } = await people();
    const callId = await ring(laptop, bob);
    for (const [caller, callee] of [[alice, bob], [bob, alice]]) {
      const taken = { callId, callerId: caller.id, calleeId: callee.id, signal: answer };
      assertRefused(await laptop.ask('answer-call', taken), 'FORBIDDEN');
    }
    assert.equal(await statusOf(bob, callId), 'ringing');
  });

  test('a signal has 64 KB, and a longer one is refused', async () => {
    const { bob, alice, laptop, phone } = await people();
    const [longest, tooLong] = [65536, 65537].map(bytes => 'x'.repeat(bytes - 2)); // in quotes
    const parties = { callerId: alice.id, calleeId: bob.id };
    assertRefused(await laptop.ask('call-user', { calleeId: bob.id, signal: tooLong }), 'VALIDATION_ERROR');
    const { callId } = await laptop.done('call-user', { calleeId: bob.id, signal: longest });
    assert.equal((await phone.next('call-user')).signal, longest);
    assertRefused(await phone.ask('answer-call', { callId, ...parties, signal: tooLong }), 'VALIDATION_ERROR');
    await phone.done('answer-call', { callId, ...parties, signal: longest });
    assert.equal((await laptop.next('answer-call')).signal, longest);
    for (const name of ['candidate', 'signal']) {
      assertRefused(await laptop.ask('ice-candidate', { ...parties, [name]: tooLong }), 'VALIDATION_ERROR');
      await laptop.done('ice-candidate', { ...parties, [name]: longest });
      assert.equal((await phone.next('ice-candidate'))[name], longest);
    }
  });

  test('fields that make no sense are refused', async () => {
    const { bob, alice, laptop } = await people();
    const cases = [
      ['call-user', {}],
      ['call-user', { calleeId: 'bob', signal: offer }],
      ['call-user', { calleeId: bob.id, signal: offer, callerId: 7 }],
      ['answer-call', { callId: 'x', callerId: alice.id, calleeId: bob.id, signal: answer }],
      ['end-call', { callId: nobody, status: 'exploded' }],
      ['end-call', { status: 'ended' }],
      ['ice-candidate', { callerId: 'x', calleeId: bob.id, candidate: 'x' }],
    ];
    for (const [event, payload] of cases) assertRefused(await laptop.ask(event, payload), 'VALIDATION_ERROR');
    assert.deepEqual(await alice.read('/api/calls'), []);
  });

  test('a call ends when both parties are gone', async () => {
    const { alice, bob, laptop, tablet, phone, watch, callId } = await talk();
    for (const device of [tablet, watch, laptop]) device.close();
    await until(async () => !(await bob.chat(alice)).user.online, 'Alice to be gone');
    assert.equal(await statusOf(bob, callId), 'ongoing');
    phone.close();
    await until(async () => await statusOf(bob, callId) === 'ended', 'the call to end');
    const desk = await alice.connect();
    const again = await ring(desk, bob);
    desk.close();
    await until(async () => await statusOf(bob, again) === 'missed', 'the call that nobody hears to be missed');
  });
});
