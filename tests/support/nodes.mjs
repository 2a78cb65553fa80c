// Several servers on one database, and what has to hold between them whatever bus they have.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Client, befriend, friends, patienceMs, unique, upTo } from './api.mjs';
import { startServer, until } from './server.mjs';

/** As many servers on one database as there are environments. */
export async function startNodes(...environments) {
  const first = await startServer({ env: environments[0] });
  const others = environments.slice(1).map(env => startServer({ env, databaseUrl: first.databaseUrl }));
  const nodes = [first, ...(await Promise.all(others))];
  await meet(nodes);
  return nodes;
}

/** Waits until every node hears all others: while it does not, what is not kept is told to nobody. */
export async function meet(nodes) {
  const [alice, bob] = await friends(nodes[0], 'alice', 'bob');
  const phones = await Promise.all(nodes.map(node => at(bob, node).connect()));
  for (const node of nodes) {
    const device = await at(alice, node).connect();
    for (const phone of phones) await typing(device, phone);
    device.close();
  }
  for (const phone of phones) phone.close();
}

/** The same user as a client of another node. */
export function at(client, server) {
  return Object.assign(new Client(server), { token: client.token, user: client.user });
}

/** Waits until a node knows that the user is online, perhaps at another one: it tells nobody else of who comes to it. */
export function seen(client, server) {
  const isOnline = async () => (await at(client, server).read('/api/users/me')).online;
  return until(isOnline, `${client.username} to be online`, patienceMs);
}

/** Types until the other device sees it. */
export async function typing(from, to) {
  await until(() => {
    from.tell('typing', { receiverId: to.client.id });
    return to.untaken().some(({ event, data }) => event === 'typing' && data.senderId === from.client.id);
  }, 'somebody typing', patienceMs);
  await to.next('typing', data => data.senderId === from.client.id);
}

/** What a device receives, each with its place in the log. */
export class Witness {
  constructor(device) {
    this.device = device;
    this.offsets = [];
    this.messages = [];
    device.io.onAny((event, data, offset) => {
      if (offset === undefined) return;
      this.offsets.push(Number(offset));
      if (event === 'private-message') this.messages.push(data.id);
    });
  }
}

/** Two friends of Bob write to him through every node, until they are stopped; he has a device on each. */
export class Traffic {
  static async start(nodes) {
    const traffic = new Traffic();
    const [bob, ...writers] = await friends(nodes[0], 'bob', 'alice', 'carol');
    traffic.bob = bob;
    traffic.witnesses = await Promise.all(nodes.map(async node => new Witness(await at(bob, node).connect())));
    traffic.acknowledged = [];
    traffic.isOver = false;
    traffic.writing = Promise.all(writers.flatMap(writer => nodes.map(node => traffic.write(at(writer, node)))));
    traffic.writing.catch(() => {}); // stop() tells
    await traffic.progress(20);
    return traffic;
  }

  async write(writer) {
    while (!this.isOver) this.acknowledged.push((await writer.send(this.bob, unique('traffic'))).id);
  }

  /** Waits for so many more messages that every device has got. */
  async progress(count) {
    const goal = Math.min(...this.witnesses.map(witness => witness.messages.length)) + count;
    await until(() => this.witnesses.every(witness => witness.messages.length >= goal), 'more messages', patienceMs);
  }

  /** Ends it: every device has got everything, once, in order. */
  async stop() {
    this.isOver = true;
    await this.writing;
    for (const { device, messages, offsets } of this.witnesses) {
      await until(() => messages.length >= this.acknowledged.length, 'the last message', patienceMs);
      assert.deepEqual(offsets, upTo(offsets.length).map(i => offsets[0] + i - 1));
      assert.deepEqual([...messages].sort(), [...this.acknowledged].sort());
      device.close();
    }
    assert.deepEqual(this.witnesses[0].messages, this.witnesses.at(-1).messages);
  }
}

/** The tests of what goes from node to node; `getNodes` gives two. */
export function testDelivery(getNodes) {
  test('messages and receipts reach every device, on whichever node it is', async () => {
    const [here, there] = getNodes();
    const [alice, bob] = await friends(here, 'alice', 'bob');
    const [laptop, tablet, phone, watch] = await Promise.all(
      [alice, at(alice, there), at(bob, here), at(bob, there)].map(client => client.connect()));
    const ack = await laptop.done('private-message', { receiverId: bob.id, content: 'é\n"😀"' });
    for (const device of [tablet, phone, watch]) assert.deepEqual(await device.next('private-message'), ack.message);
    assert.equal(ack.message.content, 'é\n"😀"');
    await watch.done('message-seen', { messageId: ack.message.id });
    for (const device of [laptop, tablet, phone]) {
      assert.equal((await device.next('message-seen')).messageId, ack.message.id);
    }
    assert.deepEqual(await watch.untilMarker(alice), []);
    assert.deepEqual(await laptop.untilMarker(bob), []);
    for (const device of [laptop, tablet, phone, watch]) device.close();
  });

  test('contacts are told and change on every node', async () => {
    const [here, there] = getNodes();
    const [alice, bob] = [await Client.register(here, 'alice'), await Client.register(there, 'bob')];
    const [laptop, phone] = await Promise.all([alice.connect(), bob.connect()]);
    await alice.do('/api/contacts/request', { targetId: bob.id });
    assert.equal((await phone.next('friend_request_received')).senderId, alice.id);
    await phone.done('accept_friend_request', { senderId: alice.id });
    assert.equal((await laptop.next('friend_request_accepted')).accepterId, bob.id);
    laptop.close();
    phone.close();
  });

  test('typing is seen on every node, and only by whom it is for', async () => {
    const [here, there] = getNodes();
    const [alice, bob, carol] = await friends(here, 'alice', 'bob', 'carol');
    const [laptop, phone, watch, onlooker] = await Promise.all(
      [alice, at(bob, there), at(bob, here), at(carol, there)].map(client => client.connect()));
    await typing(laptop, phone);
    await watch.next('typing');
    laptop.tell('stop_typing', { receiverId: bob.id });
    for (const device of [phone, watch]) {
      assert.deepEqual(await device.next('stop_typing'), { senderId: alice.id, senderName: alice.username });
    }
    assert.deepEqual(await onlooker.untilMarker(alice), []);
    for (const device of [laptop, phone, watch, onlooker]) device.close();
  });

  test('users come with their first socket anywhere, and go with the last', async () => {
    const [here, there] = getNodes();
    const [alice, bob, marker] = await friends(here, 'alice', 'bob', 'marker');
    const watchers = await Promise.all([bob, at(bob, there)].map(client => client.connect()));
    const laptop = await at(alice, there).connect();
    for (const watcher of watchers) {
      assert.deepEqual(await watcher.next('user-online'), { userId: alice.id });
    }
    for (const node of [here, there]) {
      await until(async () => (await at(bob, node).chat(alice)).user.online, 'Alice to be online', patienceMs);
    }
    const tablet = await alice.connect();
    const tell = await at(marker, there).connect();
    for (const watcher of watchers) assert.equal((await watcher.next('user-online')).userId, marker.id);
    laptop.close();
    tell.close();
    for (const watcher of watchers) assert.equal((await watcher.next('user-offline')).userId, marker.id);
    tablet.close();
    const [offline, again] = await Promise.all(watchers.map(watcher => watcher.next('user-offline')));
    assert.equal(offline.userId, alice.id);
    assert.deepEqual(again, offline);
    for (const node of [here, there]) {
      await until(async () => !(await at(bob, node).chat(alice)).user.online, 'Alice to be offline', patienceMs);
    }
    for (const watcher of watchers) {
      assert.deepEqual(watcher.untaken(), []);
      watcher.close();
    }
  });

  test('users who leave both nodes at once are gone, and that is told once', async () => {
    const [here, there] = getNodes();
    const bob = await Client.register(here, 'bob');
    const crowd = await Promise.all(upTo(12).map(() => Client.register(here, 'leaver')));
    for (const user of crowd) await befriend(user, bob);
    const watchers = await Promise.all([bob, at(bob, there)].map(client => client.connect()));
    const devices = await Promise.all(crowd.flatMap(user => [user, at(user, there)].map(client => client.connect())));
    for (const node of [here, there]) {
      await until(async () => (await at(bob, node).read('/api/chats', { limit: 50 })).every(({ user }) => user.online),
        'all to be online', patienceMs);
    }
    for (const device of devices) device.close();
    const ids = crowd.map(({ id }) => id).sort();
    for (const watcher of watchers) {
      const gone = [];
      while (gone.length < crowd.length) gone.push((await watcher.next('user-offline')).userId);
      assert.deepEqual(gone.sort(), ids);
    }
    const count = `SELECT count(*) FROM users WHERE last_seen_at IS NOT NULL AND id IN ('${ids.join("', '")}')`;
    assert.equal(await here.query(count), `${crowd.length}`);
    for (const watcher of watchers) {
      await watcher.untilMarker(crowd[0]);
      assert.deepEqual(watcher.untaken().filter(({ event }) => event === 'user-offline'), []);
      watcher.close();
    }
  });

  test('a call rings, is answered, carries candidates and ends across nodes', async () => {
    const [here, there] = getNodes();
    const [alice, bob] = await friends(here, 'alice', 'bob');
    const [laptop, phone, watch] = await Promise.all(
      [alice, at(bob, there), at(bob, here)].map(client => client.connect()));
    await typing(laptop, phone); // so that both nodes know of each other's users
    const signal = { type: 'offer', sdp: 'v=0\r\n' };
    const { callId } = await laptop.done('call-user', { calleeId: bob.id, signal });
    for (const device of [phone, watch]) {
      assert.deepEqual(await device.next('call-user'), { callId, callerId: alice.id, calleeId: bob.id, signal });
    }
    const parties = { callId, callerId: alice.id, calleeId: bob.id };
    await phone.done('answer-call', { ...parties, signal });
    assert.deepEqual(await laptop.next('answer-call'), { ...parties, signal });
    assert.deepEqual(await watch.next('end-call'), { callId, status: 'answered-elsewhere' });
    await laptop.done('ice-candidate', { ...parties, candidate: { candidate: 'a b c', sdpMid: '0' } });
    assert.deepEqual((await phone.next('ice-candidate')).candidate, { candidate: 'a b c', sdpMid: '0' });
    await phone.done('end-call', { callId, status: 'ended', peerId: alice.id });
    assert.deepEqual(await laptop.next('end-call'), { callId, status: 'ended', userId: bob.id, peerId: alice.id });
    for (const device of [laptop, phone, watch]) device.close();
  });

  test('what several people write through several nodes comes in one order', async () => {
    const traffic = await Traffic.start(getNodes());
    await traffic.progress(100);
    await traffic.stop();
  });
}
