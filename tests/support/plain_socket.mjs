// A client of the plain WebSocket at /ws. Every frame is held against swagger/asyncapi.yaml.
//
//   const socket = await PlainSocket.open(alice);
//   const { message } = await socket.done('private-message', { receiverId: bob.id, content: 'hi' });
//   await socket.next('typing');
//   socket.close();

import assert from 'node:assert/strict';

import { patienceMs, unique } from './api.mjs';
import { checkAck, checkFrame } from './asyncapi.mjs';
import { RawWebSocket, opcodes } from './raw.mjs';
import { until } from './server.mjs';

export class PlainSocket {
  #untaken = [];
  #count = 0;

  /** A socket that was let in: its `ready` is there. */
  static async open(client, options) {
    const socket = await this.connect(client, options);
    socket.ready = await socket.next('ready');
    return socket;
  }

  /** A socket that may be refused; a query that is a text is sent as it is. For `stopsAfter` see Connection. */
  static async connect(client, { token = client.token, query = {}, headers = {}, stopsAfter } = {}) {
    const all = typeof query === 'string' ? query : new URLSearchParams({ ...(token && { token }), ...query });
    const raw = await RawWebSocket.open(client.server, `/ws?${all}`, headers, { stopsAfter });
    return new this(client, raw);
  }

  constructor(client, raw) {
    this.client = client;
    this.raw = raw;
    this.upgrade = raw.upgrade;
    /** `{event, data, offset?}` in order. */
    this.events = [];
    this.acks = new Map();
    this.pings = 0;
    this.pongs = 0;
    this.isMute = false;
    if (raw.upgrade.status === 101) this.reading = this.#read();
  }

  async #read() {
    for (;;) {
      await until(() => this.raw.received.length > 0 || this.raw.ended, 'a frame', 600_000);
      const frame = await this.raw.frame().catch(() => null);
      if (frame === null) break;
      if (!this.#take(frame)) break;
    }
    this.closed ??= { code: null };
  }

  #take({ opcode, payload }) {
    if (opcode === opcodes.close) {
      this.closed = { code: payload.length >= 2 ? payload.readUInt16BE() : 1005, reason: payload.subarray(2).toString() };
      this.raw.send(payload, { opcode: opcodes.close });
      this.raw.socket.end();
      return false;
    }
    if (opcode === opcodes.ping) {
      this.pings++;
      if (!this.isMute) this.raw.send(payload, { opcode: opcodes.pong });
      return true;
    }
    if (opcode === opcodes.pong) {
      this.pongs++;
      return true;
    }
    assert.equal(opcode, opcodes.text);
    const frame = JSON.parse(payload);
    checkFrame(frame);
    if ('ack' in frame) {
      assert.deepEqual(Object.keys(frame), ['ack', 'data']);
      assert.ok(!this.acks.has(frame.ack), `two acks of ${frame.ack}`);
      this.acks.set(frame.ack, frame.data);
    } else {
      assert.deepEqual(Object.keys(frame).filter(name => name !== 'offset'), ['event', 'data']);
      if (frame.offset !== undefined) this.offset = frame.offset;
      if (frame.event === 'ready' || frame.event === 'reset') this.offset = frame.data.offset;
      this.events.push(frame);
      this.#untaken.push(frame);
    }
    return true;
  }

  /** Sends a frame, given as an object or as text. */
  send(frame) {
    this.raw.send(typeof frame === 'string' ? frame : JSON.stringify(frame));
  }

  tell(event, data) {
    this.send({ event, data });
  }

  /** Sends an event, and gives the ack. */
  async ask(event, data, id = ++this.#count) {
    this.send({ event, data, id });
    const ack = await until(() => this.acks.get(id), `the ack of ${event}`, patienceMs);
    checkAck(event, data, ack);
    return ack;
  }

  /** Sends an event, and gives the ack, which has to be a success. */
  async done(event, data) {
    const ack = await this.ask(event, data);
    assert.equal(ack.success, true, `${event}: ${JSON.stringify(ack)}`);
    return ack;
  }

  /** Takes the first frame of that event that was not taken; waits for it. */
  async take(event, matches = () => true) {
    const find = () => this.#untaken.findIndex(frame => frame.event === event && matches(frame.data)) + 1;
    const place = await until(() => {
      const found = find();
      if (!found && this.closed) assert.fail(`closed with ${JSON.stringify(this.closed)} before ${event}`);
      return found;
    }, event, patienceMs);
    return this.#untaken.splice(place - 1, 1)[0];
  }

  /** Its data. */
  async next(event, matches) {
    return (await this.take(event, matches)).data;
  }

  /** Has `from` write, waits for that, and gives what else came and was not taken, but who came and went. */
  async untilMarker(from) {
    const marker = await from.send(this.client, unique('marker'));
    await this.next('private-message', message => message.id === marker.id);
    return this.#untaken.filter(({ event, data }) => {
      return !/^marker_\d+$/.test(data?.content) && !['user-online', 'user-offline'].includes(event);
    });
  }

  /** Waits for the end: `{code, reason}`; the code is null when the server just hung up. */
  waitForClose() {
    return until(() => this.closed, 'the socket to be closed', patienceMs);
  }

  close() {
    this.raw.destroy();
  }
}
