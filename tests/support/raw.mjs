// Bytes on the wire, for what no proper client sends: HTTP and WebSocket by hand over a TCP connection.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';

import { patienceMs } from './api.mjs';
import { checkText } from './asyncapi.mjs';
import { until } from './server.mjs';

/**
 * A TCP connection that keeps what it received in `received`, and knows whether it has `ended`. With `stopsAfter` it is
 * paused in the very moment in which that many bytes have come, with what has come beside them.
 */
export class Connection {
  static async connect(server, { stopsAfter, ...options } = {}) {
    const socket = net.connect({ port: server.port, host: '127.0.0.1', allowHalfOpen: true, ...options });
    const connection = new this(socket, stopsAfter);
    await once(connection.socket, 'connect');
    return connection;
  }

  constructor(socket, stopsAfter = Infinity) {
    this.socket = socket;
    this.received = Buffer.alloc(0);
    this.ended = false;
    socket.on('data', data => {
      this.received = Buffer.concat([this.received, data]);
      if (socket.bytesRead >= stopsAfter) {
        socket.pause();
        stopsAfter = Infinity;
      }
    });
    socket.on('error', () => (this.ended = true));
    socket.on('end', () => (this.ended = true));
    socket.on('close', () => (this.ended = true));
  }

  write(bytes) {
    this.socket.write(bytes);
  }

  /**
   * Writes what `next` gives, as fast as it is taken, until the server has ended the connection or it gives null. Fails
   * when the server neither takes more nor ends the connection.
   */
  async flood(next) {
    for (;;) {
      const bytes = this.ended || this.socket.destroyed ? null : next();
      if (bytes === null) return;
      if (!this.socket.write(bytes)) await this.#drained();
      else await new Promise(resolve => setImmediate(resolve));
    }
  }

  #drained() {
    const events = ['drain', 'close', 'error', 'end'];
    return new Promise((resolve, reject) => {
      const settle = (done, result) => {
        clearTimeout(late);
        for (const event of events) this.socket.off(event, onEvent);
        done(result);
      };
      const onEvent = () => settle(resolve);
      const late = setTimeout(() => settle(reject, new Error('the server neither takes more nor ends it')), patienceMs);
      for (const event of events) this.socket.on(event, onEvent);
    });
  }

  /** Takes the connection away, as a client does that dies. Node 20 spins at its exit when what was ended is reset. */
  destroy() {
    if (this.socket.writableEnded) this.socket.destroy();
    else this.socket.resetAndDestroy();
  }

  waitForEnd() {
    return until(() => this.ended, `the server to close the connection; it sent ${this.received}`, patienceMs);
  }

  /** Takes the next HTTP response from what was received: `{status, headers, body}`. */
  async response({ isHead = false } = {}) {
    const end = await until(() => {
      const at = this.received.indexOf('\r\n\r\n');
      if (at < 0 && this.ended) assert.fail(`the connection ended after ${this.received}`);
      return at + 1;
    }, 'a response', patienceMs);
    const [first, ...lines] = this.received.subarray(0, end - 1).toString('latin1').split('\r\n');
    const headers = Object.fromEntries(lines.map(line => {
      const colon = line.indexOf(':');
      return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
    }));
    const status = Number(first.split(' ')[1]);
    this.received = this.received.subarray(end + 3);
    const body = isHead || status === 101 || status === 204 ? '' : await this.#body(headers);
    return { status, headers, body };
  }

  async #body(headers) {
    const length = headers['content-length'];
    if (length !== undefined) return (await this.take(Number(length))).toString();
    if (headers['transfer-encoding'] !== 'chunked') {
      await this.waitForEnd();
      return (await this.take(this.received.length)).toString();
    }
    const parts = [];
    for (;;) {
      const line = await until(() => this.received.indexOf('\r\n') + 1, 'a chunk', patienceMs);
      const size = parseInt(this.received.subarray(0, line - 1).toString(), 16);
      this.received = this.received.subarray(line + 1);
      parts.push((await this.take(size + 2)).subarray(0, size));
      if (size === 0) return Buffer.concat(parts).toString();
    }
  }

  /** Takes the next `size` bytes. */
  async take(size) {
    await until(() => this.received.length >= size || this.ended, `${size} bytes`, patienceMs);
    if (this.received.length < size) assert.fail(`the connection ended after ${this.received}`);
    const bytes = this.received.subarray(0, size);
    this.received = this.received.subarray(size);
    return bytes;
  }
}

/** One request, given as text without its final empty line, on a connection of its own; gives the response. */
export async function exchange(server, head, body = '', options) {
  const connection = await Connection.connect(server);
  connection.write(Buffer.concat([Buffer.from(`${head}\r\nHost: localhost\r\n\r\n`), Buffer.from(body)]));
  const response = await connection.response(options);
  connection.destroy();
  return response;
}

export const opcodes = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 };

/** A WebSocket of which every bit can be chosen. */
export class RawWebSocket extends Connection {
  static async open(server, target = '/socket.io/?EIO=4&transport=websocket', headers = {}, options = {}) {
    const socket = await RawWebSocket.connect(server, options);
    const lines = Object.entries({
      Host: 'localhost',
      Connection: 'Upgrade',
      Upgrade: 'websocket',
      'Sec-WebSocket-Version': 13,
      'Sec-WebSocket-Key': 'c3RvbmVjaGF0IHRlc3RzIQ==',
      ...headers,
    }).filter(([, value]) => value !== undefined).map(([name, value]) => `${name}: ${value}\r\n`);
    socket.write(`GET ${target} HTTP/1.1\r\n${lines.join('')}\r\n`);
    socket.upgrade = await socket.response();
    return socket;
  }

  /** A Socket.IO session of `client`, as far as its CONNECT. */
  static async session(client) {
    const socket = await RawWebSocket.open(client.server);
    assert.equal(socket.upgrade.status, 101, socket.upgrade.body);
    assert.match(await socket.text(), /^0\{/);
    socket.send(`40${JSON.stringify({ token: client.token })}`);
    assert.match(await socket.text(), /^40\{/);
    return socket;
  }

  send(payload, { opcode = opcodes.text, fin = true, rsv = 0, isMasked = true, length } = {}) {
    const bytes = Buffer.from(payload);
    const size = length ?? bytes.length;
    const head = [(fin ? 0x80 : 0) | (rsv << 4) | opcode];
    const masked = isMasked ? 0x80 : 0;
    if (size < 126) head.push(masked | size);
    else if (size < 65536) head.push(masked | 126, size >> 8, size & 255);
    else head.push(masked | 127, ...Buffer.from(BigInt(size).toString(16).padStart(16, '0'), 'hex'));
    const mask = [0x12, 0x34, 0x56, 0x78];
    if (!isMasked) return this.write(Buffer.concat([Buffer.from(head), bytes]));
    return this.write(Buffer.concat([Buffer.from([...head, ...mask]), bytes.map((byte, i) => byte ^ mask[i % 4])]));
  }

  /** The next frame: `{opcode, payload}`. */
  async frame() {
    const [first, second] = await this.take(2);
    let size = second & 127;
    if (size === 126) size = (await this.take(2)).readUInt16BE();
    else if (size === 127) size = Number((await this.take(8)).readBigUInt64BE());
    return { opcode: first & 15, payload: await this.take(size) };
  }

  /** The next text message; answers pings of Engine.IO on the way. */
  async text() {
    for (;;) {
      const { opcode, payload } = await this.frame();
      const text = payload.toString();
      assert.equal(opcode, opcodes.text, `frame ${opcode} ${text}`);
      checkText(text);
      if (text !== '2') return text;
      this.send('3');
    }
  }

  /** Waits for the server to close, and gives its code; null when it just hangs up. */
  async closeCode() {
    for (;;) {
      const frame = await this.frame().catch(() => null);
      if (frame === null) return null;
      if (frame.opcode !== opcodes.close) continue;
      this.send(frame.payload, { opcode: opcodes.close });
      this.socket.end();
      await this.waitForEnd();
      return frame.payload.length >= 2 ? frame.payload.readUInt16BE() : 1005;
    }
  }
}
