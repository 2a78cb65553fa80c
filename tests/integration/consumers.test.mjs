// Devices that stop reading: no more than a bounded queue piles up for each, the others feel nothing, and nothing is lost.
//
// There are two ways by which such a device is served. What happens while it is live waits in its queue, and when that is
// past SEND_QUEUE_MAX_BYTES, it is disconnected. What it has to be told from the log (what it missed, or what its node
// was only given a hint of) is read a page at a time, the next one when the last has left: such a device is left alone
// for as long as it answers pings. Before either is felt, the kernel takes some megabytes for each connection: the more,
// the more of it was read before.

import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { describe, test } from 'node:test';

import { Device, friends, patienceMs, stopServer, upTo } from '../support/api.mjs';
import { EventStream } from '../support/event_stream.mjs';
import { Witness, at, startNodes, typing } from '../support/nodes.mjs';
import { PlainSocket } from '../support/plain_socket.mjs';
import { opcodes } from '../support/raw.mjs';
import { startServer, testedBinary, until } from '../support/server.mjs';

// Nobody is to be taken for dead, and no stream for one that does not read.
const patient = { PING_INTERVAL_MS: '600000', REQUEST_TIMEOUT_SECONDS: '600', PRESENCE_GRACE_MS: '0' };
const content = '😀'.repeat(3990); // 16 KB
const manyMs = 120_000; // for megabytes to be read, on a machine that has other things to do

// A device may have a queue and a page of the log (some 128 KB, as rows and as frames) in the server's memory: less than
// 2 MB with the default queue. What is written in a test is far more than this and what the kernel takes, 5 MB.
const maxGrowthBytes = 12e6;
const floodMessages = 1600, missedMessages = 800;
const warmUpMessages = 300; // so that what is taken once, and kept, is there
const isSanitized = /\/(asan|tsan)\//.test(testedBinary()); // their memory is not the program's

// --- devices that can stop reading ---
//
// `events` is what it was told: `{event, data, offset}`, the offset 0 where there is none. `place` is where it began, for
// another one of its kind to begin there too: that one stops as soon as it was let in, with the least of what it missed.

const stopsAfter = 1000; // bytes: more than the reply and the greeting, and less than a message

class SocketIoReader {
  static async open(client, place) {
    const reader = new this();
    const auth = { token: client.token, ...(place && { pid: place }) };
    reader.events = [];
    reader.device = new Device(client, { transports: ['websocket'], auth, reconnection: true, reconnectionDelay: 50 });
    reader.device.io.onAny((event, data, offset = '0') => reader.events.push({ event, data, offset: Number(offset) }));
    reader.device.io.once('connect', () => place && reader.stop());
    await reader.device.connected();
    reader.place = reader.device.io._pid;
    return reader;
  }

  stop() {
    const { engine } = this.device.io.io;
    clearTimeout(engine._pingTimeoutTimer); // a client that stands still does not give up by itself
    this.socket = engine.transport.ws;
    this.socket.pause();
  }

  goOn() {
    this.socket.resume();
  }

  isConnected() {
    return this.device.reason === undefined;
  }

  /** Reads on, finds that it was disconnected, and has come back. */
  async comeBack() {
    this.goOn();
    await this.device.disconnected();
    await until(() => this.device.io.connected, 'the device to come back', patienceMs);
    assert.equal(this.device.io.recovered, true);
  }

  close() {
    this.device.close();
  }
}

class PlainReader {
  static async open(client, place) {
    const reader = new this();
    reader.client = client;
    reader.sockets = [await PlainSocket.open(client, place ? { query: { since: place }, stopsAfter } : {})];
    reader.place = reader.socket.ready.offset;
    return reader;
  }

  get socket() {
    return this.sockets.at(-1);
  }

  get events() {
    return this.sockets.flatMap(socket => socket.events).filter(({ event }) => event !== 'ready')
      .map(frame => ({ ...frame, offset: Number(frame.offset ?? 0) }));
  }

  stop() {
    this.socket.raw.socket.pause();
  }

  goOn() {
    this.socket.raw.socket.resume();
  }

  isConnected() {
    return this.socket.closed === undefined;
  }

  async comeBack({ isIdle = false } = {}) {
    this.goOn();
    const { code } = await this.socket.waitForClose();
    // The server does not wait long for its Close to be read. 1008: no pong came.
    assert.ok([null, isIdle ? 1008 : 1013].includes(code), `${code}`);
    this.sockets.push(await PlainSocket.open(this.client, { query: { since: this.socket.offset } }));
  }

  close() {
    for (const socket of this.sockets) socket.close();
  }
}

class StreamReader {
  static async open(client, place) {
    const reader = new this();
    reader.client = client;
    reader.streams = [await EventStream.open(client, place ? { query: { since: place }, stopsAfter } : {})];
    reader.place = place ?? reader.stream.lastEventId;
    return reader;
  }

  get stream() {
    return this.streams.at(-1);
  }

  get events() {
    return this.streams.flatMap(stream => stream.events).map(event => ({ ...event, offset: Number(event.id ?? 0) }));
  }

  stop() {
    this.stream.source.pause();
  }

  goOn() {
    this.stream.source.resume();
  }

  isConnected() {
    return !this.stream.ended;
  }

  async comeBack() {
    this.goOn();
    await this.stream.waitForEnd();
    this.streams.push(await EventStream.open(this.client, { query: { since: this.stream.lastEventId } }));
  }

  close() {
    for (const stream of this.streams) stream.close();
  }
}

const idleReason = 'it has not read what it had missed';
const kinds = [
  { name: 'Socket.IO', Reader: SocketIoReader, transport: 'Socket.IO', idleReason },
  { name: '/ws', Reader: PlainReader, transport: 'WebSocket', idleReason },
  { name: '/api/events', Reader: StreamReader, transport: 'server-sent events' }, // the HTTP server sees to those
];

const messagesOf = reader => reader.events.filter(({ event }) => event === 'private-message').map(({ data }) => data.id);
const count = (reader, event) => reader.events.filter(each => each.event === event).length;

/** Fails unless it has been told of these messages, or will be soon, once and in order, with no hole between the offsets. */
async function hasAll(reader, messages) {
  await until(() => count(reader, 'private-message') >= messages.length, 'all messages', manyMs);
  assert.deepEqual(messagesOf(reader), messages);
  const offsets = reader.events.map(({ offset }) => offset).filter(offset => offset > 0);
  assert.deepEqual(offsets, upTo(offsets.length).map(i => offsets[0] + i - 1));
}

/** The same for a Witness, which was never disconnected either. */
async function sawAll({ device, messages, offsets }, expected) {
  await until(() => messages.length >= expected.length, 'all messages', manyMs);
  assert.deepEqual(messages, expected);
  assert.deepEqual(offsets, upTo(offsets.length).map(i => offsets[0] + i - 1));
  assert.equal(device.reason, undefined);
}

// --- the server ---

async function start(t, env) {
  const server = await startServer({ env: { ...patient, ...env } });
  t.after(() => stopServer(server));
  return server;
}

async function metric(server, name) {
  const text = await (await fetch(`${server.url}/metrics`)).text();
  return Number(new RegExp(`^${name} (\\d+)$`, 'm').exec(text)[1]);
}

const slowCount = server => metric(server, 'stonechat_slow_consumers_total');
const droppedCount = server => metric(server, 'stonechat_ephemeral_events_dropped_total');
const slowLines = server => server.logs.filter(({ msg }) => msg === 'a slow consumer was disconnected');

/** Waits for the line of the log that says of whom the server has let go, and why; and there is but this one. */
async function letGo(server, client, transport, reason) {
  await until(() => slowLines(server).length > 0, 'the server to let go of the slow one', manyMs);
  assert.deepEqual(slowLines(server).map(({ level, reason, transport, user }) => ({ level, reason, transport, user })),
    [{ level: 'warn', reason, transport, user: client.id }]);
  assert.equal(await slowCount(server), 1);
}

function memoryOf(server, name) {
  return 1024 * Number(new RegExp(`${name}:\\s+(\\d+)`).exec(readFileSync(`/proc/${server.pid}/status`, 'utf8'))[1]);
}

/** Gives a function that tells by how many bytes the server's memory has grown since, at its peak. */
function watchMemory(server) {
  const rest = memoryOf(server, 'VmRSS');
  writeFileSync(`/proc/${server.pid}/clear_refs`, '5'); // the peak starts anew
  return () => memoryOf(server, 'VmHWM') - rest;
}

function assertFlat(t, growth) {
  t.diagnostic(`memory +${(growth / 1e6).toFixed(1)} MB`);
  if (!isSanitized) assert.ok(growth < maxGrowthBytes, `the memory grew by ${growth}`);
}

/** Writes messages, some at a time, until there are `goal` of them or `isEnough`; `written` gets their ids. */
async function write(laptop, to, written, goal, isEnough = async () => false) {
  while (written.length < goal && !(await isEnough())) {
    const acks = await Promise.all(upTo(10).map(() => laptop.done('private-message', { receiverId: to.id, content })));
    written.push(...acks.map(({ message }) => message.id));
  }
}

const byWebSocket = { transports: ['websocket'] };

for (const { name, Reader, transport, idleReason } of kinds) {
  describe(name, () => {
    test('what is not read while it happens ends the connection; the others feel nothing, and it comes back', async t => {
      const server = await start(t);
      const [alice, bob, carol] = await friends(server, 'alice', 'bob', 'carol');
      const [laptop, phone, watch] = await Promise.all([alice, bob, carol].map(client => client.connect(byWebSocket)));
      const [good, other] = [new Witness(phone), new Witness(watch)];
      const slow = await Reader.open(bob);
      t.after(() => slow.close());
      const [toBob, toCarol] = [[], []];
      await write(laptop, bob, toBob, warmUpMessages);
      await hasAll(slow, toBob);
      slow.stop();
      const growth = watchMemory(server);
      let lasted;
      const isOver = async () => {
        if ((await slowCount(server)) > 0) lasted ??= toBob.length - warmUpMessages;
        return false;
      };
      await Promise.all([write(laptop, bob, toBob, floodMessages, isOver), write(laptop, carol, toCarol, 500)]);
      await sawAll(good, toBob);
      await sawAll(other, toCarol);
      assertFlat(t, growth());
      await letGo(server, bob, transport, 'its queue is past SEND_QUEUE_MAX_BYTES');
      t.diagnostic(`gone after ${lasted} messages`);
      assert.ok(count(slow, 'private-message') < toBob.length);
      await slow.comeBack();
      await hasAll(slow, toBob);
      assert.equal(await slowCount(server), 1);
      for (const device of [laptop, phone, watch]) assert.equal(device.reason, undefined);
    });

    test('typing is dropped first: messages still come, and so does typing when they have been read', async t => {
      const server = await start(t);
      const [alice, bob] = await friends(server, 'alice', 'bob');
      const [laptop, phone] = await Promise.all([alice, bob].map(client => client.connect(byWebSocket)));
      const good = new Witness(phone);
      const slow = await Reader.open(bob);
      t.after(() => slow.close());
      const toBob = [];
      let typed = 0;
      const type = async () => {
        await laptop.done('typing', { receiverId: bob.id });
        typed++;
      };
      await type();
      await until(() => count(slow, 'typing') === 1, 'typing', patienceMs);
      slow.stop();
      while ((await droppedCount(server)) === 0 && toBob.length < floodMessages) {
        await write(laptop, bob, toBob, toBob.length + 10);
        await type();
      }
      await write(laptop, bob, toBob, toBob.length + 10);
      await type();
      await sawAll(good, toBob);
      await until(() => phone.received.filter(({ event }) => event === 'typing').length === typed, 'all typing', patienceMs);
      await until(async () => (await droppedCount(server)) >= 2, 'typing to be dropped', patienceMs);
      slow.goOn();
      await hasAll(slow, toBob);
      await until(async () => count(slow, 'typing') + (await droppedCount(server)) === typed, 'the other typing', patienceMs);
      const seen = count(slow, 'typing');
      t.diagnostic(`${typed - seen} of ${typed} were dropped, and none of ${toBob.length} messages`);
      await until(async () => {
        await type();
        return count(slow, 'typing') > seen;
      }, 'typing again', patienceMs);
      assert.equal(slow.isConnected(), true);
      assert.equal(await slowCount(server), 0);
    });

    test('what was missed and is not read is told no further; it comes back and has it all', async t => {
      const server = await start(t, { PING_INTERVAL_MS: '1000', PING_TIMEOUT_MS: '5000', REQUEST_TIMEOUT_SECONDS: '5' });
      const [alice, bob] = await friends(server, 'alice', 'bob');
      const [laptop, phone] = await Promise.all([alice, bob].map(client => client.connect(byWebSocket)));
      const good = new Witness(phone);
      const early = await Reader.open(bob);
      early.close();
      const toBob = [];
      await write(laptop, bob, toBob, missedMessages);
      const slow = await Reader.open(bob, early.place);
      t.after(() => slow.close());
      if (idleReason) await letGo(server, bob, transport, idleReason);
      else await server.waitForLog(({ reason }) => reason === 'it does not read its replies', manyMs);
      await write(laptop, bob, toBob, toBob.length + 10);
      await sawAll(good, toBob);
      await slow.comeBack({ isIdle: true });
      await hasAll(slow, toBob);
      assert.equal(laptop.reason, undefined);
    });
  });
}

describe('a session that has to read the log', () => {
  // What is written on the other node is told here as hints, so that all sessions here read the log.
  test('has no queue to overflow: it is left alone, and memory stays where it is', async t => {
    const env = { ...patient, SEND_QUEUE_MAX_BYTES: '262144' };
    const [here, there] = await startNodes(env, env);
    t.after(() => there.stop());
    t.after(() => stopServer(here));
    const [alice, bob] = await friends(here, 'alice', 'bob');
    const [laptop, phone] = await Promise.all([alice, at(bob, there)].map(client => client.connect(byWebSocket)));
    const good = new Witness(phone);
    const open = async place => {
      const readers = await Promise.all(kinds.map(({ Reader }, i) => Reader.open(at(bob, there), place?.[i])));
      t.after(() => readers.forEach(reader => reader.close()));
      return readers;
    };
    const live = await open();
    const toBob = [];
    await write(laptop, bob, toBob, warmUpMessages);
    for (const reader of live) await hasAll(reader, toBob);
    for (const reader of live) reader.stop();
    const growth = watchMemory(there);
    await write(laptop, bob, toBob, warmUpMessages + missedMessages);
    await sawAll(good, toBob);
    const late = await open(live.map(({ place }) => place));
    const last = await SocketIoReader.open(at(bob, there), late[0].place);
    t.after(() => last.close());
    last.goOn();
    await hasAll(last, toBob);
    const readers = [...live, ...late];
    for (const { socket } of [live[1], late[1]]) socket.raw.send('', { opcode: opcodes.ping });
    await write(laptop, bob, toBob, toBob.length + 10);
    await sawAll(good, toBob);
    assertFlat(t, growth());
    assert.equal(await metric(there, 'stonechat_sessions'), readers.length + 2);
    for (const reader of readers) reader.goOn();
    for (const reader of readers) await hasAll(reader, toBob);
    for (const { socket } of [live[1], late[1]]) await until(() => socket.pongs === 1, 'the pong', patienceMs);
    for (const reader of readers) assert.equal(reader.isConnected(), true);
    assert.equal(await slowCount(there), 0);
    assert.equal(laptop.reason, undefined);
  });
});

describe('Socket.IO by polling', () => {
  test('a client that does not poll any more is let go of, and comes back', async t => {
    const server = await start(t);
    const [alice, bob] = await friends(server, 'alice', 'bob');
    const laptop = await alice.connect(byWebSocket);
    const url = `${server.url}/socket.io/?EIO=4&transport=polling`;
    const poll = async sid => {
      const response = await fetch(sid ? `${url}&sid=${sid}` : url);
      return { status: response.status, text: await response.text() };
    };
    const { sid } = JSON.parse((await poll()).text.slice(1));
    const body = `40${JSON.stringify({ token: bob.token })}`;
    assert.equal((await fetch(`${url}&sid=${sid}`, { method: 'POST', body })).status, 200);
    const [connected] = (await poll(sid)).text.split('\x1e'); // behind it may be that Alice is online
    const { pid } = JSON.parse(connected.slice(2));
    const toBob = [];
    await write(laptop, bob, toBob, floodMessages, async () => (await slowCount(server)) > 0);
    await letGo(server, bob, 'Socket.IO', 'its queue is past SEND_QUEUE_MAX_BYTES');
    assert.ok(toBob.length < 100, `${toBob.length} messages were queued`); // 1 MiB, whatever the kernel does
    assert.deepEqual(await poll(sid), { status: 400, text: '{"code":1,"message":"Session ID unknown"}' });
    const back = await SocketIoReader.open(bob, pid);
    back.goOn();
    await hasAll(back, toBob);
  });
});
