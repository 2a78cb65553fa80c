// Calls between nodes, of which one may die: the call is in the database, and whoever is left sees to it.

import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';

import { friends, patienceMs, stopServer } from '../support/api.mjs';
import { at, meet, startNodes, typing } from '../support/nodes.mjs';
import { startPostgres, startServer, until } from '../support/server.mjs';

const env = { PRESENCE_GRACE_MS: '500', PRESENCE_LEASE_SECONDS: '2' };
const signal = { type: 'offer', sdp: 'v=0\r\n' };

const call = async (device, to) => (await device.done('call-user', { calleeId: to.id, signal })).callId;
const take = (device, callId, from) =>
  device.done('answer-call', { callId, callerId: from.id, calleeId: device.client.id, signal });
const statusOf = async (client, callId) => (await client.read('/api/calls')).find(({ id }) => id === callId).status;
const becomes = (client, callId, status) =>
  until(async () => (await statusOf(client, callId)) === status, `the call to be ${status}`, patienceMs);

describe('calls and a node that dies', () => {
  let nodes, alice, bob, laptop, phone, watch;

  before(async () => (nodes = await startNodes(env, env)));
  after(async () => {
    await stopServer(nodes?.[0]);
    await nodes?.[1].stop();
  });

  // Alice is here; Bob's phone is there, and his watch is here.
  beforeEach(async () => {
    const [here, there] = nodes;
    [alice, bob] = await friends(here, 'alice', 'bob');
    [laptop, phone, watch] = await Promise.all([alice, at(bob, there), bob].map(client => client.connect()));
    await typing(laptop, phone);
    await typing(laptop, watch);
  });

  test('the callee\'s node dies while it rings: another device answers', async () => {
    const callId = await call(laptop, bob);
    for (const device of [phone, watch]) assert.equal((await device.next('call-user')).callId, callId);
    await nodes[1].kill();
    await take(watch, callId, alice);
    assert.equal((await laptop.next('answer-call')).callId, callId);
    await nodes[1].start();
    const { _pid: pid, _lastOffset: offset } = phone.io;
    const back = await at(bob, nodes[1]).connect({ auth: { token: bob.token, pid, offset } });
    assert.deepEqual(await back.next('end-call'), { callId, status: 'answered-elsewhere' });
    await laptop.done('end-call', { callId, status: 'ended' });
    for (const device of [back, watch]) {
      assert.equal((await device.next('end-call', ({ status }) => status === 'ended')).callId, callId);
    }
    back.close();
  });

  test('the node of one party dies: the call goes on, and can be ended', async () => {
    const callId = await call(laptop, bob);
    await take(phone, callId, alice);
    watch.close();
    await laptop.next('answer-call');
    await nodes[1].kill();
    assert.equal((await laptop.next('user-offline')).userId, bob.id);
    assert.equal(await statusOf(alice, callId), 'ongoing');
    await laptop.done('end-call', { callId, status: 'ended' });
    assert.equal(await statusOf(bob, callId), 'ended');
    await nodes[1].start();
  });

  test('both parties are gone, one of them with its node: the call ends by itself', async () => {
    const callId = await call(laptop, bob);
    await take(phone, callId, alice);
    watch.close();
    laptop.close();
    await until(async () => !(await bob.chat(alice)).user.online, 'Alice to be gone', patienceMs);
    assert.equal(await statusOf(bob, callId), 'ongoing');
    await nodes[1].kill();
    await becomes(bob, callId, 'ended');
    await nodes[1].start();
  });

  test('the caller dies with its node while it rings, and so does the callee: the call is missed', async () => {
    const caller = await at(alice, nodes[1]).connect();
    laptop.close();
    const callId = await call(caller, bob);
    assert.equal((await watch.next('call-user')).callId, callId);
    watch.close();
    await nodes[1].kill();
    await becomes(bob, callId, 'missed');
    await nodes[1].start();
  });
});

describe('a call that nobody answers', () => {
  let nodes;

  before(async () => (nodes = await startNodes({ ...env, CALL_RING_SECONDS: '1' }, { ...env, CALL_RING_SECONDS: '1' })));
  after(async () => {
    await stopServer(nodes?.[0]);
    await nodes?.[1].stop();
  });

  async function people() {
    const [here, there] = nodes;
    const [alice, bob] = await friends(here, 'alice', 'bob');
    const devices = await Promise.all([at(alice, there), bob, at(bob, there)].map(client => client.connect()));
    await typing(devices[0], devices[1]);
    return { alice, bob, devices };
  }

  async function missed(device, callId) {
    const end = await device.next('end-call');
    assert.deepEqual([end.callId, end.status], [callId, 'missed']);
  }

  test('is missed on every node, once', async () => {
    const { alice, bob, devices } = await people();
    const callId = await call(devices[0], bob);
    for (const device of devices) await missed(device, callId);
    for (const device of devices.slice(1)) {
      const more = await device.untilMarker(alice);
      assert.deepEqual(more.filter(({ event }) => event === 'end-call'), []);
      device.close();
    }
    devices[0].close();
  });

  test('is missed although the caller\'s node has died', async () => {
    const { bob, devices } = await people();
    const callId = await call(devices[0], bob);
    await nodes[1].kill();
    await missed(devices[1], callId);
    await nodes[1].start();
    for (const device of devices) device.close();
  });
});

describe('calls, people, and a PostgreSQL that goes away', () => {
  let postgres, nodes;

  before(async () => {
    postgres = await startPostgres();
    // Long leases: whoever has looked again first sees nobody else for seconds.
    const settings = { ...env, PRESENCE_GRACE_MS: '0', PRESENCE_LEASE_SECONDS: '9' };
    nodes = [await startServer({ env: settings, postgres })];
    nodes.push(await startServer({ env: settings, databaseUrl: nodes[0].databaseUrl }));
    await meet(nodes);
  });
  after(async () => {
    await Promise.all((nodes ?? []).map(node => node.stop()));
    await postgres?.destroy();
  });

  test('calls go on after a crash, on whichever node they are', async () => {
    const calls = await Promise.all(nodes.map(async node => {
      const [alice, bob] = await friends(node, 'alice', 'bob');
      const [laptop, phone] = [await alice.connect(), await bob.connect()];
      const callId = await call(laptop, bob);
      await take(phone, callId, alice);
      await laptop.next('answer-call');
      return { alice, bob, laptop, phone, callId };
    }));
    await postgres.kill();
    await postgres.start();
    // Both have written themselves and their users down again, and have looked at the calls since.
    const users = calls.flatMap(({ alice, bob }) => [alice.id, bob.id]);
    await until(async () => (await nodes[0].query(
      `SELECT count(*) FROM online WHERE user_id IN ('${users.join("', '")}')`).catch(() => '')) === `${users.length}`,
    'all to be written down again', patienceMs);
    const looks = async () => Number(
      await nodes[0].query("SELECT coalesce(seq_scan, 0) + coalesce(idx_scan, 0) FROM pg_stat_user_tables WHERE relname = 'calls'"));
    const before = await looks();
    await until(async () => (await looks()) >= before + 6, 'both to look at the calls', patienceMs);
    for (const { alice, bob, laptop, phone, callId } of calls) {
      assert.equal(await statusOf(alice, callId), 'ongoing');
      await laptop.done('end-call', { callId, status: 'ended' });
      assert.equal((await phone.next('end-call')).callId, callId);
      assert.equal(await statusOf(bob, callId), 'ended');
      laptop.close();
      phone.close();
    }
  });

  test('who leaves meanwhile is gone when it is back', async () => {
    const [here, there] = nodes;
    const [alice, bob] = await friends(here, 'alice', 'bob');
    const laptop = await at(alice, there).connect();
    const isWritten = async () => here.query(`SELECT count(*) FROM online WHERE user_id = '${alice.id}'`).catch(() => '');
    const isOnline = async () => (await bob.chat(alice)).user.online;
    const areReady = async () => (await Promise.all(nodes.map(node => fetch(`${node.url}/health/ready`)))).every(reply => reply.ok);
    await until(async () => (await isWritten()) === '1' && (await isOnline()), 'Alice to be online', patienceMs);
    await postgres.stop();
    await until(async () => !(await areReady()), 'it to be missed', patienceMs);
    laptop.close();
    await until(async () => /^stonechat_sessions 0$/m.test(
      await (await fetch(`${there.url}/metrics`)).text()), 'her session to end', patienceMs);
    await postgres.start();
    await until(areReady, 'both to have it back', patienceMs);
    await until(async () => (await isWritten()) === '0', 'the row to go', patienceMs);
    await until(async () => !(await isOnline()), 'Alice to be offline', patienceMs);
  });
});
