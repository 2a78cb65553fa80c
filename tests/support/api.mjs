// What a front end does, for the tests: REST by fetch, sockets by the stock client. Every REST reply is held against
// swagger/openapi.yaml, every event and ack against swagger/asyncapi.yaml.
//
//   const [alice, bob] = await friends(server, 'alice', 'bob');
//   const phone = await bob.connect();
//   const message = await alice.send(bob, 'hi');
//   assert.deepEqual(await phone.next('private-message'), message);
//   assert.deepEqual(await phone.untilMarker(alice), []);   // and nothing else came

import assert from 'node:assert/strict';
import { io } from 'socket.io-client';

import { checkAck, checkEvent } from './asyncapi.mjs';
import { checkReply } from './openapi.mjs';
import { until } from './server.mjs';

export const password = 'correct horse';
export const patienceMs = 30_000;

// fetch lets a connection go that has been idle for half a second, instead of four: not one that the server ends in that
// moment, after a REQUEST_TIMEOUT_SECONDS of 1 or 2.
const dispatcher = Symbol.for('undici.globalDispatcher.1');
await fetch('data:,'); // makes it
globalThis[dispatcher] = new globalThis[dispatcher].constructor({ keepAliveTimeout: 500 });

let count = 0;
const devices = new Set();

/** A name, or any other text, that nobody else has. */
export function unique(prefix) {
  return `${prefix}_${++count}`;
}

/** A well-formed id that belongs to nothing. */
export const nobody = '0190a0b0-c0d0-7123-8123-0123456789ab';

export const uuidPattern = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
export const timePattern = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;

/** A user of one server. */
export class Client {
  constructor(server) {
    this.server = server;
  }

  static async register(server, name = 'user') {
    const client = new Client(server);
    const reply = await client.post('/api/auth/register', { username: unique(name), password });
    assert.equal(reply.status, 201, JSON.stringify(reply.body));
    client.token = reply.data.token;
    client.user = reply.data.user;
    return client;
  }

  get id() {
    return this.user.id;
  }

  get username() {
    return this.user.username;
  }

  /** The reply: `{status, headers, body}`, and the fields of the body (data, message, code, errors, pagination). */
  async request(method, pathname, { query = {}, body, headers = {} } = {}) {
    const url = new URL(pathname, this.server.url);
    for (const [name, value] of Object.entries(query)) url.searchParams.append(name, value);
    const isText = typeof body === 'string' || body instanceof Uint8Array;
    const response = await fetch(url, {
      method,
      headers: {
        ...(this.token !== undefined && { authorization: `Bearer ${this.token}` }),
        ...(body !== undefined && { 'content-type': 'application/json' }),
        ...headers,
      },
      body: isText ? body : JSON.stringify(body),
    });
    const text = await response.text();
    const parsed = checkReply(method, url.pathname, response.status, response.headers.get('content-type'), text);
    return {
      ...(typeof parsed === 'object' ? parsed : {}), status: response.status, headers: response.headers, body: parsed,
    };
  }

  get(pathname, query) {
    return this.request('GET', pathname, { query });
  }

  post(pathname, body, headers) {
    return this.request('POST', pathname, { body, headers });
  }

  /** The data of a GET that has to work. */
  async read(pathname, query) {
    const reply = await this.get(pathname, query);
    assert.equal(reply.status, 200, JSON.stringify(reply.body));
    return reply.data;
  }

  /** The data of a POST that has to work. */
  async do(pathname, body, headers) {
    const reply = await this.post(pathname, body, headers);
    assert.ok(reply.status === 200 || reply.status === 201, JSON.stringify(reply.body));
    return reply.data;
  }

  /** Writes to `to`; gives the Message. */
  send(to, content, more = {}) {
    return this.do('/api/messages', { receiverId: to.id, content, ...more });
  }

  /** What the user sees of the chat with `to`: `{messages, pagination}`. */
  history(to, query = { limit: 100 }) {
    return this.read('/api/messages', { withUserId: to.id, ...query });
  }

  /** The whole chat with `to`, from its first message. */
  async wholeHistory(to) {
    const messages = [];
    for (let after = 0; after !== null; ) {
      const page = await this.history(to, { after, limit: 100 });
      messages.push(...page.messages);
      after = page.pagination.hasNext ? page.pagination.after : null;
    }
    return messages;
  }

  /** The entry of the chat with `to` in the list of chats. */
  async chat(to) {
    return (await this.read('/api/chats')).find(chat => chat.user.id === to.id);
  }

  /** A connected Device. */
  async connect(options) {
    const device = new Device(this, options);
    await device.connected();
    return device;
  }
}

/** A socket of the stock client, and what it has received. */
export class Device {
  #untaken = [];

  constructor(client, options = {}) {
    this.client = client;
    this.received = [];
    this.io = io(client.server.url, {
      auth: { token: client.token },
      forceNew: true,
      reconnection: false,
      timeout: patienceMs,
      ...options,
    });
    this.io.onAny((event, data, ...rest) => {
      checkEvent('socketio', event, data, ...rest);
      this.received.push({ event, data });
      this.#untaken.push({ event, data });
    });
    this.io.on('disconnect', reason => (this.reason = reason));
    devices.add(this);
  }

  /** Waits for the connection; fails with what the server said when it is refused. */
  async connected() {
    await new Promise((resolve, reject) => {
      this.io.once('connect', resolve);
      this.io.once('connect_error', reject);
      this.io.once('disconnect', reason => reject(new Error(`${reason} before there was an answer`)));
    });
  }

  /** Waits until it is disconnected; gives the reason that the client tells. */
  disconnected() {
    return until(() => this.reason, `the end of the connection of ${this.client.username}`, patienceMs);
  }

  /** Emits, and gives the ack. */
  async ask(event, data) {
    const ack = await this.io.timeout(patienceMs).emitWithAck(event, data);
    checkAck(event, data, ack);
    return ack;
  }

  /** Emits, and gives the ack, which has to be a success. */
  async done(event, data) {
    const ack = await this.ask(event, data);
    assert.equal(ack.success, true, `${event}: ${JSON.stringify(ack)}`);
    return ack;
  }

  /** Emits without asking for an ack. */
  tell(event, data) {
    this.io.emit(event, data);
  }

  /** The data of the first event of that name that no other call has taken; waits for it. */
  async next(event, matches = () => true) {
    const find = () => this.#untaken.findIndex(r => r.event === event && matches(r.data)) + 1;
    const place = await until(find, event, patienceMs).catch(error => {
      const state = this.io.connected ? 'who is connected' : `who is gone (${this.reason})`;
      throw new Error(`${error.message} at ${this.client.username}, ${state}; there is ${JSON.stringify(this.#untaken)}`);
    });
    return this.#untaken.splice(place - 1, 1)[0].data;
  }

  /** The events that `next` has not taken. */
  untaken() {
    return [...this.#untaken];
  }

  /**
   * Has `from` write to this user, waits for that, and gives the other events that came and were not taken, but for
   * other markers and for who came and went: what is not among them won't come.
   */
  async untilMarker(from) {
    const marker = await from.send(this.client, unique('marker'));
    await this.next('private-message', message => message.id === marker.id);
    return this.#untaken.filter(isOfInterest);
  }

  /** As untilMarker, for what is not kept, and for all devices of one user: the marker is that `from`, a Device, types. */
  static async untilTyping(devices, from) {
    from.tell('typing', { receiverId: devices[0].client.id });
    return Promise.all(devices.map(async device => {
      await device.next('typing', data => data.senderId === from.client.id);
      return device.#untaken.filter(isOfInterest);
    }));
  }

  close() {
    devices.delete(this);
    this.io.disconnect();
  }
}

function isOfInterest({ event, data }) {
  return !/^marker_\d+$/.test(data?.content) && !['user-online', 'user-offline'].includes(event);
}

/** Closes the sockets of a test file, and stops its server. */
export async function stopServer(server) {
  for (const device of devices) device.close();
  await server?.stop();
}

export async function befriend(one, other) {
  await one.do('/api/contacts/request', { targetId: other.id });
  await other.do('/api/contacts/accept', { requesterId: one.id });
}

/** Users of these names, everybody a contact of everybody. */
export async function friends(server, ...names) {
  const clients = await Promise.all(names.map(name => Client.register(server, name)));
  for (const [i, one] of clients.entries()) {
    for (const other of clients.slice(i + 1)) await befriend(one, other);
  }
  return clients;
}

/** Fails unless the reply is this failure; `message` is a text or a pattern. */
export function assertFails(reply, status, code, message) {
  assert.equal(reply.status, status, JSON.stringify(reply.body));
  assert.equal(reply.body.success, false);
  assert.equal(reply.code, code);
  assert.equal(reply.body.requestId, reply.headers.get('x-request-id'));
  assertText(reply.body.message, message);
}

/** Fails unless the reply finds fault with exactly these fields. */
export function assertInvalid(reply, ...paths) {
  assertFails(reply, 400, 'VALIDATION_ERROR', 'Validation error');
  assert.deepEqual(
    [...new Set(reply.errors.map(error => error.path))].sort(), paths.sort(), JSON.stringify(reply.errors)
  );
}

/** Fails unless an ack is this refusal. */
export function assertRefused(ack, code, message) {
  assert.equal(ack?.success, false, JSON.stringify(ack));
  assert.equal(ack.code, code, JSON.stringify(ack));
  assert.equal(typeof ack.message, 'string');
  assertText(ack.message, message);
}

function assertText(text, expected) {
  if (expected instanceof RegExp) assert.match(text, expected);
  else if (expected !== undefined) assert.equal(text, expected);
}

/** 1, 2, … n */
export function upTo(n) {
  return Array.from({ length: n }, (_, i) => i + 1);
}
