// The history of calls, and the call that nobody answers.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { assertInvalid, friends, stopServer, upTo } from '../support/api.mjs';
import { startServer } from '../support/server.mjs';

describe('call history', () => {
  let server;

  before(async () => (server = await startServer({ env: { CALL_RING_SECONDS: '1' } })));
  after(() => stopServer(server));

  test('a call that nobody answers is missed on both sides by itself', async () => {
    const [alice, bob] = await friends(server, 'alice', 'bob');
    const [laptop, tablet, phone, watch] = await Promise.all([alice, alice, bob, bob].map(client => client.connect()));
    const { callId } = await laptop.done('call-user', { calleeId: bob.id, signal: {} });
    for (const device of [phone, watch]) assert.equal((await device.next('call-user')).callId, callId);
    for (const device of [laptop, tablet, phone, watch]) {
      const end = await device.next('end-call');
      assert.deepEqual([end.callId, end.status], [callId, 'missed']);
      assert.deepEqual([end.userId, end.peerId].sort(), [alice.id, bob.id].sort());
    }
    for (const client of [alice, bob]) {
      const [call] = await client.read('/api/calls');
      assert.deepEqual([call.id, call.status, call.answeredAt], [callId, 'missed', null]);
      assert.ok(call.endedAt > call.startedAt);
    }
    const next = await laptop.done('call-user', { calleeId: bob.id, signal: {} });
    assert.equal((await phone.next('call-user')).callId, next.callId);
  });

  test('somebody who is away misses the call, and finds it', async () => {
    const [alice, bob] = await friends(server, 'alice', 'bob');
    const laptop = await alice.connect();
    const { callId } = await laptop.done('call-user', { calleeId: bob.id, signal: {} });
    assert.equal((await laptop.next('end-call')).status, 'missed');
    const [call] = await bob.read('/api/calls');
    assert.deepEqual([call.id, call.status, call.caller.username], [callId, 'missed', alice.username]);
  });

  test('the history is newest first, and a walk by cursor meets every call once', async () => {
    const [alice, bob, carol] = await friends(server, 'alice', 'bob', 'carol');
    const laptop = await alice.connect();
    const phone = await bob.connect();
    const made = [];
    for (const i of upTo(7)) {
      const [device, to] = i % 2 ? [laptop, bob] : [phone, alice];
      const { callId } = await device.done('call-user', { calleeId: to.id, signal: {} });
      await device.ask('end-call', { callId, status: i % 3 ? 'missed' : 'ended' });
      made.unshift(callId);
    }
    const whole = await alice.read('/api/calls');
    assert.deepEqual(whole.map(call => call.id), made);
    assert.deepEqual((await bob.read('/api/calls')).map(call => call.id), made);
    assert.deepEqual(await carol.read('/api/calls'), []);
    for (const limit of [1, 3, 7, 100]) {
      const met = [];
      let cursor;
      do {
        const reply = await alice.get('/api/calls', { limit, ...(cursor && { cursor }) });
        assert.ok(reply.data.length <= limit);
        met.push(...reply.data);
        cursor = reply.pagination.nextCursor;
      } while (cursor !== null);
      assert.deepEqual(met, whole);
    }
  });

  test('limits and cursors that make no sense are refused', async () => {
    const [alice] = await friends(server, 'alice');
    for (const limit of ['0', '101', '-1', 'x']) assertInvalid(await alice.get('/api/calls', { limit }), 'limit');
    for (const cursor of ['x', '', '-1', 'A'.repeat(5000)]) {
      assertInvalid(await alice.get('/api/calls', { cursor }), 'cursor');
    }
  });
});
