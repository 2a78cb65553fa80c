// What the conformance tests talk with: the program under test, and clients that can also do what no client should.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import http from 'node:http';
import net from 'node:net';
import path from 'node:path';
import readline from 'node:readline';
import { fileURLToPath } from 'node:url';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
const sanitizerReport = /ERROR: (Address|Leak)Sanitizer|WARNING: ThreadSanitizer|runtime error:|Assertion .* failed/;
const waitMs = 30_000;

/** Pings that a busy machine is not late for; the tests of the heartbeat have their own. */
export const patient = { PING_INTERVAL_MS: '60000', PING_TIMEOUT_MS: '60000', CONNECT_TIMEOUT_MS: '60000' };

/** Fails with `what` when the promise takes too long. */
export function within(promise, what) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited ${waitMs} ms for ${what}`)), waitMs);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** Starts the program on a free port: `{port, reasons(count), stop()}`. */
export async function startConformance(env = patient) {
  const program = path.resolve(root, process.env.STONECHAT_CONFORMANCE ?? 'build/release/conformance');
  const support = path.join(root, 'tests/support');
  const child = spawn('setpriv', ['--pdeathsig=KILL', program, '0'], {
    env: {
      LSAN_OPTIONS: `suppressions=${support}/lsan.supp:print_suppressions=0`,
      TSAN_OPTIONS: `suppressions=${support}/tsan.supp`,
      ...process.env,
      ...env,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const ended = new Promise(resolve => child.once('close', (code, signal) => resolve(code ?? signal)));
  let errors = '';
  child.stderr.on('data', chunk => {
    errors += chunk;
  });
  const reasons = () => [...errors.matchAll(/"msg":"disconnect".*"reason":"([^"]*)"/g)].map(found => found[1]);
  const lines = readline.createInterface({ input: child.stdout });
  const port = await within(new Promise((resolve, reject) => {
    lines.once('line', line => resolve(Number(line)));
    ended.then(code => reject(new Error(`the program ended with ${code}:\n${errors}`)));
  }), 'the program');
  return {
    port,
    /** Waits until `count` sockets have been left, and gives the reasons (needs LOG_LEVEL). */
    async reasons(count) {
      while (reasons().length < count) {
        await within(new Promise(resolve => child.stderr.once('data', resolve)), `${count} disconnects`);
      }
      return reasons();
    },
    async stop() {
      child.kill('SIGTERM');
      const code = await within(ended, 'the end of the program');
      assert.doesNotMatch(errors, sanitizerReport);
      assert.equal(code, 0, errors);
    },
  };
}

/** One request on a connection of its own: `{status, headers, text}`. */
export function request(port, target, { method = 'GET', body, headers = {} } = {}) {
  const promise = new Promise((resolve, reject) => {
    const outgoing = http.request({ port, host: '127.0.0.1', path: target, method, headers, agent: false }, response => {
      const chunks = [];
      response.on('data', chunk => chunks.push(chunk));
      response.on('end', () => resolve({
        status: response.statusCode,
        headers: response.headers,
        text: Buffer.concat(chunks).toString(),
      }));
      response.on('error', reject);
    });
    outgoing.on('error', reject);
    outgoing.end(body);
  });
  return within(promise, `the answer to ${method} ${target}`);
}

export const opcodes = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 };

/** The bytes of a client's frame; every rule can be broken. */
export function frame(opcode, payload = '', { fin = true, rsv = 0, mask = randomBytes(4), lengthBytes, length } = {}) {
  const bytes = Buffer.from(payload);
  const size = length ?? bytes.length;
  const extra = lengthBytes ?? (size < 126 ? 0 : size < 65536 ? 2 : 8);
  const header = Buffer.alloc(2 + extra);
  header[0] = (fin ? 0x80 : 0) | (rsv << 4) | opcode;
  header[1] = (mask ? 0x80 : 0) | (extra === 8 ? 127 : extra === 2 ? 126 : size);
  if (extra === 2) header.writeUInt16BE(size, 2);
  if (extra === 8) header.writeBigUInt64BE(BigInt(size), 2);
  if (!mask) return Buffer.concat([header, bytes]);
  const masked = Buffer.allocUnsafe(bytes.length);
  for (let i = 0; i < bytes.length; i++) masked[i] = bytes[i] ^ mask[i & 3];
  return Buffer.concat([header, mask, masked]);
}

/** A WebSocket over a plain TCP connection, without manners of its own. */
export class RawWebSocket {
  /** Gives the socket once the server has switched; rejects with the status otherwise. `early` is sent with the request. */
  static async connect(port, target, headers = {}, early = Buffer.alloc(0)) {
    const socket = new RawWebSocket(net.connect(port, '127.0.0.1'));
    const lines = Object.entries({
      Host: `127.0.0.1:${port}`,
      Connection: 'Upgrade',
      Upgrade: 'websocket',
      'Sec-WebSocket-Version': '13',
      'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
      ...headers,
    }).filter(([, value]) => value !== null).map(([name, value]) => `${name}: ${value}\r\n`);
    socket.tcp.write(Buffer.concat([Buffer.from(`GET ${target} HTTP/1.1\r\n${lines.join('')}\r\n`), early]));
    await within(socket.opened, `the upgrade of ${target}`);
    return socket;
  }

  constructor(tcp) {
    this.tcp = tcp;
    this.frames = [];
    this.waiting = [];
    this.parts = [];
    this.size = 0;
    this.isEnded = false;
    this.hasClosed = false;
    this.head = null;
    tcp.setNoDelay(true);
    this.opened = new Promise((resolve, reject) => Object.assign(this, { resolveOpen: resolve, rejectOpen: reject }));
    this.opened.catch(() => {});
    tcp.on('data', chunk => this.take(chunk));
    tcp.on('error', () => {});
    tcp.on('end', () => tcp.end());
    tcp.on('close', () => {
      this.isEnded = true;
      this.rejectOpen(new Error('closed before the upgrade'));
      for (const resolve of this.waiting.splice(0)) resolve(null);
    });
  }

  take(chunk) {
    this.parts.push(chunk);
    this.size += chunk.length;
    if (this.needed && this.size < this.needed) return;
    let bytes = Buffer.concat(this.parts);
    if (this.head === null) {
      const end = bytes.indexOf('\r\n\r\n');
      if (end >= 0) {
        this.head = bytes.subarray(0, end).toString();
        bytes = bytes.subarray(end + 4);
        this.status = Number(this.head.split(' ')[1]);
        if (this.status === 101) this.resolveOpen();
        else this.rejectOpen(Object.assign(new Error(`status ${this.status}`), { status: this.status }));
      }
    }
    if (this.head !== null && this.status === 101) bytes = this.takeFrames(bytes);
    this.parts = [bytes];
    this.size = bytes.length;
  }

  takeFrames(bytes) {
    for (;;) {
      this.needed = 0;
      if (bytes.length < 2) return bytes;
      const short = bytes[1] & 0x7f;
      const header = 2 + (short === 127 ? 8 : short === 126 ? 2 : 0);
      assert.equal(bytes[1] & 0x80, 0, 'servers do not mask');
      assert.equal(bytes[0] & 0x70, 0, 'no extension was agreed on');
      if (bytes.length < header) return bytes;
      const length = short === 127 ? Number(bytes.readBigUInt64BE(2)) : short === 126 ? bytes.readUInt16BE(2) : short;
      if (bytes.length < header + length) {
        this.needed = header + length;
        return bytes;
      }
      this.give({ fin: (bytes[0] & 0x80) !== 0, opcode: bytes[0] & 0x0f, payload: bytes.subarray(header, header + length) });
      bytes = bytes.subarray(header + length);
    }
  }

  give(found) {
    const resolve = this.waiting.shift();
    if (resolve) resolve(found);
    else this.frames.push(found);
  }

  /** The next frame; null at the connection's end. */
  next() {
    if (this.frames.length > 0) return Promise.resolve(this.frames.shift());
    if (this.isEnded) return Promise.resolve(null);
    return within(new Promise(resolve => this.waiting.push(resolve)), 'a frame');
  }

  /** The next message, which must be text. */
  async text() {
    const found = await this.next();
    assert.notEqual(found, null, 'the connection has ended');
    assert.equal(found.opcode, opcodes.text);
    return found.payload.toString();
  }

  async binary() {
    const found = await this.next();
    assert.notEqual(found, null, 'the connection has ended');
    assert.equal(found.opcode, opcodes.binary);
    return found.payload;
  }

  write(bytes) {
    return this.tcp.write(bytes);
  }

  send(payload) {
    this.write(frame(typeof payload === 'string' ? opcodes.text : opcodes.binary, payload));
  }

  /** Reads on to the server's Close, answers it, and waits for the connection's end; gives the code (0: none). */
  async closeCode() {
    let code = null;
    for (let found = await this.next(); found !== null; found = await this.next()) {
      assert.equal(code, null, 'nothing comes after a Close');
      if (found.opcode !== opcodes.close) continue;
      code = found.payload.length > 0 ? found.payload.readUInt16BE(0) : 0;
      if (!this.isEnded && !this.hasClosed) this.write(frame(opcodes.close, found.payload));
    }
    return code;
  }

  /** Sends a Close with this payload, and gives the code of the answer. */
  sendClose(payload = Buffer.alloc(0)) {
    this.hasClosed = true;
    this.write(frame(opcodes.close, payload));
    return this.closeCode();
  }

  /** A clean end from this side. */
  async close() {
    assert.equal(await this.sendClose(Buffer.from([0x03, 0xe8])), 1000);
  }
}

/** A polling session of Engine.IO; each request has a connection of its own, so that workers mix. */
export class PollingSession {
  static async open(port, target = '/engine.io/') {
    const { status, text } = await request(port, `${target}?EIO=4&transport=polling`);
    assert.equal(status, 200);
    assert.equal(text[0], '0');
    return Object.assign(new PollingSession(), { port, target, opening: JSON.parse(text.slice(1)) });
  }

  get sid() {
    return this.opening.sid;
  }

  get query() {
    return `${this.target}?EIO=4&transport=polling&sid=${this.sid}`;
  }

  poll(options) {
    return request(this.port, this.query, options);
  }

  post(body, headers) {
    return request(this.port, this.query, { method: 'POST', body, headers });
  }

  /** The packets of the next poll. */
  async packets() {
    const { status, text } = await this.poll();
    assert.equal(status, 200);
    return text.split('\x1e');
  }

  async send(body) {
    const { status, text } = await this.post(body);
    assert.equal(status, 200);
    assert.equal(text, 'ok');
  }

  /** A WebSocket that may take the session over. */
  probe() {
    return RawWebSocket.connect(this.port, `${this.target}?EIO=4&transport=websocket&sid=${this.sid}`);
  }

  async upgrade() {
    const socket = await this.probe();
    socket.send('2probe');
    assert.equal(await socket.text(), '3probe');
    socket.send('5');
    return socket;
  }

  /** The session is no longer there. */
  async assertGone() {
    const { status, text } = await this.poll();
    assert.equal(status, 400);
    assert.deepEqual(JSON.parse(text), { code: 1, message: 'Session ID unknown' });
  }
}

/** A session that begins with a WebSocket: `[socket, opening]`. */
export async function openWebSocket(port, target = '/engine.io/') {
  const socket = await RawWebSocket.connect(port, `${target}?EIO=4&transport=websocket`);
  const text = await socket.text();
  assert.equal(text[0], '0');
  return [socket, JSON.parse(text.slice(1))];
}
