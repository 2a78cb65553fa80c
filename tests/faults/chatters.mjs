// People who chat while things break: in a ring, each with both neighbours, on two devices of the stock client. What they
// send they send again, with the same clientId, until it is acknowledged: by the same device, by REST, by their other
// device. All of it goes into a Ledger.
//
//   await underLoad(t, cluster, async load => { … });      // breaks something; again for each round

import assert from 'node:assert/strict';
import { io } from 'socket.io-client';

import { Client, befriend, unique } from '../support/api.mjs';
import { checkAck, checkEvent } from '../support/asyncapi.mjs';
import { until } from '../support/server.mjs';
import { rounds } from './cluster.mjs';
import { Ledger, check, missing } from './ledger.mjs';

const people = 5;
const ackTimeoutMs = 2000;
const patienceMs = 40_000;
const acksABreak = 60; // acknowledged before each fault, and after
const messagesMax = 20_000 * rounds; // of a scenario: a fault that never takes hold is an error
const giveUpOneIn = 10; // of what failed once

const pause = ms => new Promise(resolve => setTimeout(resolve, ms));
const oneIn = n => Math.random() * n < 1;

/** A device of the stock client. */
export class Handset {
  constructor(ledger, cluster, person, name, options = {}) {
    this.person = person;
    this.name = name;
    this.record = ledger.device(name, person.id);
    this.io = io(cluster.url, {
      auth: { token: person.token },
      forceNew: true,
      reconnectionDelay: 50,
      reconnectionDelayMax: 250,
      timeout: 3000,
      ...options,
    });
    this.io.io.on('reconnect_attempt', () => (this.io.io.uri = cluster.url));
    this.io.onAny((event, data, offset) => {
      checkEvent('socketio', event, data, offset);
      const isDurable = typeof offset === 'string' || ['private-message', 'message_read'].includes(event);
      if (isDurable) this.record.onEvent(event, data, offset);
      if (event === 'private-message') this.onMessage?.(data);
    });
    this.io.on('connect', () => this.record.onBack(this.io.recovered));
    this.io.on('disconnect', reason => this.#onGone(reason));
    this.io.on('connect_error', error => (this.trouble = error.message));
  }

  #onGone(reason) {
    this.trouble = reason;
    this.record.onGone();
  }

  get isUp() {
    return this.io.connected;
  }

  /** What became of it, for a failure to tell. */
  get state() {
    if (this.isUp) return `${this.name} is connected`;
    return `${this.name} is ${this.io.active ? 'connecting' : 'not coming back'} (${this.trouble})`;
  }

  /** The ack; null when there is none, or when it says that it should be tried again. */
  async ask(event, data) {
    const ack = await this.io.timeout(ackTimeoutMs).emitWithAck(event, data).catch(() => null);
    if (ack !== null) checkAck(event, data, ack);
    if (ack === null || ack.code === 'UNAVAILABLE') return null;
    assert.equal(ack.success, true, `${event} ${JSON.stringify(data)}: ${JSON.stringify(ack)}`);
    return ack;
  }
}

class Person {
  devices = [];
  toRead = [];

  constructor(client, load) {
    this.client = client;
    this.id = client.id;
    this.token = client.token;
    this.load = load;
  }

  /** One more device; `cluster` is whatever has a `url`. */
  add(name, options, cluster = this.load.cluster) {
    const handset = new Handset(this.load.ledger, cluster, this, `${name} of ${this.client.username}`, options);
    this.devices.push(handset);
    return handset;
  }

  /** A message by REST, or null as of Handset.ask. */
  async post(message) {
    const { receiverId, content, clientId } = message;
    const reply = await fetch(`${this.load.cluster.url}/api/messages`, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${this.token}`,
        'content-type': 'application/json',
        'idempotency-key': clientId,
      },
      body: JSON.stringify({ receiverId, content }),
      signal: AbortSignal.timeout(ackTimeoutMs),
    }).then(async response => ({ status: response.status, body: await response.json() })).catch(() => null);
    if (reply === null || reply.status === 503) return null;
    assert.ok([200, 201].includes(reply.status), JSON.stringify(reply));
    return reply.body.data;
  }

  /** One try: by a device, or by REST when it is null. */
  async try(message, device) {
    message.tries.add(device?.name ?? 'rest');
    if (!device) return this.post(message);
    const { receiverId, content, clientId } = message;
    return (await device.ask('private-message', { receiverId, content, clientId }))?.message ?? null;
  }

  /** Sends until it is acknowledged, by each of `ways` in turn; now and then gives up, if it may. */
  async say(to, content, ways, { mayGiveUp = true } = {}) {
    const message = this.load.ledger.sending(unique('client'), this.id, to.id, content);
    for (let i = 0; ; i++) {
      const reply = await this.try(message, ways[i % ways.length]);
      if (reply) return this.load.ledger.acked(message, reply);
      if (this.load.isClosed || (mayGiveUp && oneIn(giveUpOneIn))) return;
      await pause(50);
    }
  }

  /** Marks read, one after the other, what the first device was told, and tries until it is acknowledged. */
  async read() {
    while ((!this.load.isOver || this.toRead.length > 0) && !this.load.isClosed) {
      const message = this.toRead.shift();
      if (!message) {
        await pause(20);
        continue;
      }
      const receipt = this.load.ledger.reading(message, this.id);
      receipt.tries.add(this.devices[0].name);
      while (!receipt.isAcked && !this.load.isClosed) {
        receipt.isAcked = (await this.devices[0].ask('message_read', { messageId: message.id })) !== null;
        if (!receipt.isAcked) await pause(50);
      }
    }
  }
}

export class Load {
  ledger = new Ledger();
  people = [];
  away = []; // until the end
  isOver = false;
  isClosed = false; // whatever was not done is not done any more
  #loops = [];
  #failure = null;

  constructor(cluster) {
    this.cluster = cluster;
  }

  /** `prepare` adds devices before anybody writes. */
  static async start(cluster, prepare = () => {}) {
    const load = new Load(cluster);
    try {
      await load.#gather();
      await prepare(load);
      await load.allUp();
      for (const [i, person] of load.people.entries()) load.#occupy(person, i);
    } catch (error) {
      load.close();
      throw error;
    }
    return load;
  }

  async #gather() {
    const clients = [];
    for (let i = 0; i < people; i++) clients.push(await Client.register(this.cluster, 'chatter'));
    for (const [i, client] of clients.entries()) await befriend(client, clients[(i + 1) % people]);
    this.people = clients.map(client => new Person(client, this));
    for (const person of this.people) {
      person.add('laptop');
      person.add('phone', { transports: ['websocket'] });
    }
    // Two are away until the end: one has been told of something before, the other of nothing yet.
    const [first, second] = this.people;
    const tablet = first.add('tablet');
    await this.allUp();
    await second.say(first, 'before it all', [null]);
    await until(() => tablet.record.received.length > 0, 'the first message', patienceMs);
    const watch = second.add('watch', { transports: ['websocket'] });
    await this.allUp();
    this.away = [tablet, watch];
    for (const handset of this.away) handset.io.disconnect();
  }

  // The last one writes by REST alone.
  #occupy(person, i) {
    const [laptop, phone] = person.devices;
    const neighbours = [1, people - 1].map(step => this.people[(i + step) % people]);
    laptop.onMessage = message => message.senderId !== person.id && message.seq % 5 === 0 && person.toRead.push(message);
    const ways = i === people - 1 ? [[null]] : [[laptop], [laptop, null, phone], [phone, null]];
    for (const way of ways) this.#run(this.#chat(person, neighbours, way));
    this.#run(person.read());
  }

  async #chat(person, neighbours, ways) {
    for (let i = 1; !this.isOver && this.ledger.messages.size < messagesMax; i++) {
      await person.say(neighbours[i % 2], `${i} 漢😀 ${'.'.repeat(Math.random() * 200)}`, ways);
      await pause(Math.random() * 20);
    }
  }

  #run(loop) {
    this.#loops.push(loop.catch(error => (this.#failure ??= error)));
  }

  get handsets() {
    return this.people.flatMap(person => person.devices);
  }

  /** Waits like `until`, and says in what state everybody is if that takes too long. */
  async until(probe, what) {
    const check = async () => {
      if (this.#failure) throw this.#failure;
      return probe();
    };
    await until(check, what, patienceMs).catch(error => {
      const down = this.present.filter(handset => !handset.isUp).map(handset => handset.state);
      throw new Error([error.message, ...down].join('\n'), { cause: error });
    });
  }

  /** Those that are not away. */
  get present() {
    return this.handsets.filter(handset => this.isOver || !this.away.includes(handset));
  }

  allUp() {
    return this.until(() => this.present.every(handset => handset.isUp), 'all devices to be connected');
  }

  /** Waits until those who are not away have all noticed that they are cut off. */
  allDown() {
    return this.until(() => this.present.every(handset => !handset.isUp), 'all devices to notice');
  }

  /** Waits until the nodes know of those who are there, and of nobody else. */
  async counted() {
    const here = this.present.length;
    await this.until(async () => (await this.cluster.countSessions()) === here, `${here} sessions`);
  }

  /** Waits until so many more have been acknowledged. */
  async acks(count = acksABreak) {
    const goal = this.ledger.ackedCount + count;
    await this.until(() => this.ledger.ackedCount >= goal, `${count} acknowledgements`);
  }

  async #readHistories() {
    const histories = [];
    for (const [i, { client }] of this.people.entries()) {
      const other = this.people[(i + 1) % people].client;
      histories.push({ members: [client.id, other.id], messages: await client.wholeHistory(other) });
    }
    this.ledger.histories = histories;
    return histories.reduce((sum, { messages }) => sum + messages.length, 0);
  }

  // What was given up may still arrive: the histories are the whole truth once they don't grow any more.
  async #settle() {
    for (let count = -1, now = await this.#readHistories(); now !== count; now = await this.#readHistories()) {
      count = now;
      await this.until(() => missing(this.ledger).length === 0, 'everything to arrive').catch(error => {
        const list = missing(this.ledger);
        throw new Error(`${error.message}\n${list.length} are missing: ${list.slice(0, 5).join(', ')}`, { cause: error });
      });
    }
  }

  /** Lets everybody finish and the absent come back; gives the report, which is in order. */
  async finish() {
    this.isOver = true;
    this.ledger.healed();
    for (const handset of this.away) handset.io.connect();
    await Promise.all(this.#loops);
    await this.allUp();
    await this.#settle(); // before anything else is sent that would shake loose what is stuck
    for (const [i, person] of this.people.entries()) {
      await person.say(this.people[(i + 1) % people], 'the last', [null], { mayGiveUp: false });
    }
    await this.#settle();
    return check(this.ledger);
  }

  close() {
    this.isOver = this.isClosed = true;
    for (const { io } of this.handsets) io.disconnect();
  }
}

/** Has `strike(load)` break something and mend it, for each round, while everybody chats; nothing may come of it. */
export async function underLoad(t, cluster, strike, { times = rounds, prepare } = {}) {
  const load = await Load.start(cluster, prepare);
  try {
    for (let i = 0; i < times; i++) {
      await load.acks();
      await strike(load, i);
      load.ledger.healed();
      await load.acks();
    }
    const report = await load.finish();
    t.diagnostic(`${report}`);
    return { load, report };
  } finally {
    load.close();
  }
}
