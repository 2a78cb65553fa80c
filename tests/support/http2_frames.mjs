// HTTP/2 by hand (RFC 9113), for what no proper client sends: frames, and a connection that sends them.

import { Connection } from './raw.mjs';

export const types = {
  data: 0, headers: 1, priority: 2, reset: 3, settings: 4, ping: 6, goaway: 7, windowUpdate: 8, continuation: 9,
};
export const flags = { endStream: 1, ack: 1, endHeaders: 4 };

export function frame(type, flag, stream, payload = '') {
  const bytes = Buffer.from(payload);
  const head = Buffer.alloc(9);
  head.writeUIntBE(bytes.length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flag, 4);
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, bytes]);
}

export function number(value) {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

function hpackString(text) {
  const bytes = Buffer.from(text);
  const length = [];
  if (bytes.length < 127) length.push(bytes.length);
  else {
    length.push(127);
    let rest = bytes.length - 127;
    for (; rest >= 128; rest >>= 7) length.push((rest & 127) | 128);
    length.push(rest);
  }
  return Buffer.concat([Buffer.from(length), bytes]);
}

/** A header block (RFC 7541) of literals; with `isKept` they go into the decoder's table. */
export function block(headers, { isKept = false } = {}) {
  return Buffer.concat(Object.entries(headers).flatMap(
    ([name, value]) => [Buffer.from([isKept ? 0x40 : 0]), hpackString(name), hpackString(value)]
  ));
}

export function request(method, path, headers = {}) {
  return block({ ':method': method, ':scheme': 'http', ':path': path, ':authority': 'localhost', ...headers });
}

export class RawHttp2 extends Connection {
  static async open(server) {
    const connection = await RawHttp2.connect(server);
    connection.write(Buffer.concat([Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), frame(types.settings, 0, 0)]));
    return connection;
  }

  /** The frames that have come: `{type, flag, stream, payload}`. */
  frames() {
    const frames = [];
    for (let at = 0; at + 9 <= this.received.length;) {
      const length = this.received.readUIntBE(at, 3);
      if (at + 9 + length > this.received.length) break;
      frames.push({
        type: this.received[at + 3], flag: this.received[at + 4], stream: this.received.readUInt32BE(at + 5) & 0x7fffffff,
        payload: this.received.subarray(at + 9, at + 9 + length),
      });
      at += 9 + length;
    }
    return frames;
  }
}
