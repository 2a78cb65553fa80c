// RFC 6455 on /ws-echo, by frames made by hand: what is allowed comes back, what is not is answered with its close code.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, test } from 'node:test';

import { frame, opcodes, RawWebSocket, request, startConformance, within } from './client.mjs';

const { continuation, text, binary, close, ping, pong } = opcodes;
let program;

before(async () => {
  program = await startConformance();
});
after(() => program.stop());

const connect = headers => RawWebSocket.connect(program.port, '/ws-echo', headers);

test('the handshake proves that the key was read', async () => {
  const socket = await connect();
  assert.match(socket.head, /^HTTP\/1\.1 101 /);
  assert.match(socket.head, /sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK\+xOo=/i);
  assert.doesNotMatch(socket.head, /sec-websocket-extensions/i);
  await socket.close();
});

test('what is no handshake is refused', async () => {
  for (const headers of [{ 'Sec-WebSocket-Version': '8' }, { 'Sec-WebSocket-Key': null }, { 'Sec-WebSocket-Key': 'short' },
    { Upgrade: 'h2c' }, { Connection: 'close' }]) {
    await assert.rejects(connect(headers), /status 400|closed before/, JSON.stringify(headers));
  }
  assert.equal((await request(program.port, '/ws-echo')).status, 400);
});

test('text and bytes of every length come back', async () => {
  const socket = await connect();
  for (const length of [0, 1, 125, 126, 127, 65535, 65536, 1 << 20]) {
    const bytes = randomBytes(length);
    socket.send(bytes);
    assert.deepEqual(await socket.binary(), bytes);
    socket.send('é'.repeat(length >> 1));
    assert.equal(await socket.text(), 'é'.repeat(length >> 1));
  }
  await socket.close();
});

test('a message of 16 MiB comes back, a longer one is refused with 1009', async () => {
  const socket = await connect();
  const bytes = Buffer.alloc(16 << 20, 'stonechat');
  socket.send(bytes);
  assert.ok((await socket.binary()).equals(bytes));
  socket.write(frame(binary, '', { length: (16 << 20) + 1 }));
  assert.equal(await socket.closeCode(), 1009);
});

test('a message of 65,537 fragments comes back, one more is refused with 1008', async () => {
  const socket = await connect();
  const middle = Buffer.concat(Array.from({ length: 65535 }, () => frame(continuation, 'x', { fin: false })));
  socket.write(frame(text, 'a', { fin: false }));
  socket.write(middle);
  socket.write(frame(continuation, 'z'));
  assert.equal(await socket.text(), `a${'x'.repeat(65535)}z`);
  socket.write(frame(text, 'a', { fin: false }));
  socket.write(middle);
  socket.write(frame(continuation, 'x', { fin: false }));
  socket.write(frame(continuation, 'z'));
  assert.equal(await socket.closeCode(), 1008);
});

test('control frames may come between fragments', async () => {
  const socket = await connect();
  socket.write(frame(text, 'one ', { fin: false }));
  socket.write(frame(ping, 'here?'));
  socket.write(frame(pong, 'unasked'));
  socket.write(frame(continuation, 'two'));
  const answer = await socket.next();
  assert.equal(answer.opcode, pong);
  assert.equal(answer.payload.toString(), 'here?');
  assert.equal(await socket.text(), 'one two');
  await socket.close();
});

test('frames that come one byte at a time', async () => {
  const socket = await connect();
  const bytes = Buffer.concat([frame(text, 'héllo', { fin: false }), frame(ping, 'p'), frame(continuation, '…'),
    frame(binary, randomBytes(300)), frame(text, '')]);
  for (const byte of bytes) {
    socket.write(Buffer.from([byte]));
    await new Promise(setImmediate);
  }
  assert.equal((await socket.next()).opcode, pong);
  assert.equal(await socket.text(), 'héllo…');
  assert.equal((await socket.binary()).length, 300);
  assert.equal(await socket.text(), '');
  await socket.close();
});

test('frames that come in one piece, with the handshake', async () => {
  const count = 2000;
  const frames = Buffer.concat(Array.from({ length: count }, (_, i) => frame(text, `${i}`)));
  const socket = await RawWebSocket.connect(program.port, '/ws-echo', {}, frames);
  for (let i = 0; i < count; i++) assert.equal(await socket.text(), `${i}`);
  await socket.close();
});

test('the peer\'s Close is answered with its code, and the connection ends', async () => {
  for (const code of [1000, 1001, 1003, 1007, 1011, 1014, 3000, 4999]) {
    const socket = await connect();
    socket.send('last words');
    assert.equal(await socket.text(), 'last words');
    assert.equal(await socket.sendClose(Buffer.concat([Buffer.from([code >> 8, code & 0xff]), Buffer.from('grüße')])), code);
  }
  assert.equal(await (await connect()).sendClose(), 0);
});

test('nothing is answered after the Close', async () => {
  const socket = await connect();
  socket.write(Buffer.concat([frame(close, Buffer.from([0x03, 0xe8])), frame(text, 'late'), frame(ping, 'late')]));
  assert.equal(await socket.closeCode(), 1000);
});

const violations = {
  'a frame without a mask': [1002, frame(text, 'x', { mask: null })],
  'reserved bit 1': [1002, frame(text, 'x', { rsv: 4 })],
  'reserved bit 2': [1002, frame(text, 'x', { rsv: 2 })],
  'reserved bit 3': [1002, frame(ping, 'x', { rsv: 1 })],
  'a reserved data opcode': [1002, frame(3, 'x')],
  'another reserved data opcode': [1002, frame(7)],
  'a reserved control opcode': [1002, frame(11, 'x')],
  'another reserved control opcode': [1002, frame(15)],
  'a fragmented ping': [1002, frame(ping, 'x', { fin: false })],
  'a fragmented Close': [1002, frame(close, '', { fin: false })],
  'a ping of 126 bytes': [1002, frame(ping, 'x'.repeat(126))],
  'a continuation of nothing': [1002, frame(continuation, 'x')],
  'an unfinished continuation of nothing': [1002, frame(continuation, 'x', { fin: false })],
  'a new message within another': [1002, Buffer.concat([frame(text, 'x', { fin: false }), frame(text, 'y')])],
  'a short length in two bytes': [1002, frame(text, 'x', { lengthBytes: 2 })],
  'a short length in eight bytes': [1002, frame(text, 'x', { lengthBytes: 8 })],
  'a length past 63 bits': [1002, Buffer.from([0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])],
  'a length of almost 63 bits': [1009, Buffer.from([0x82, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0])],
  'a Close of one byte': [1002, frame(close, 'x')],
  'a Close whose reason is not UTF-8': [1007, frame(close, Buffer.from([0x03, 0xe8, 0xff]))],
  'text that is not UTF-8': [1007, frame(text, Buffer.from([0x61, 0xff]))],
  'text that is cut inside a character': [1007, frame(text, Buffer.from([0xe2, 0x82]))],
  'a surrogate': [1007, frame(text, Buffer.from([0xed, 0xa0, 0x80]))],
  'an overlong form': [1007, frame(text, Buffer.from([0xc0, 0xaf]))],
  'fragments whose text is cut inside a character': [1007, Buffer.concat([
    frame(text, Buffer.from([0xe2, 0x82]), { fin: false }), frame(continuation, '')])],
  'a bad byte before the rest has come': [1007, frame(text, Buffer.from([0x61, 0xff]), { length: 1000 })],
};
for (const code of [0, 999, 1004, 1005, 1006, 1015, 1016, 2000, 2999, 5000, 65535]) {
  violations[`close code ${code}`] = [1002, frame(close, Buffer.from([code >> 8, code & 0xff]))];
}
for (const [what, [code, bytes]] of Object.entries(violations)) {
  test(`${what} is answered with ${code}`, async () => {
    const socket = await connect();
    socket.send('before');
    assert.equal(await socket.text(), 'before');
    socket.write(bytes);
    assert.equal(await socket.closeCode(), code);
  });
}

test('a client that breaks off costs nobody else anything', async () => {
  const other = await connect();
  for (const bytes of [Buffer.alloc(0), Buffer.from([0x81]), frame(text, 'x', { length: 100 }), frame(text, 'x', { fin: false })]) {
    const socket = await connect();
    socket.write(bytes);
    socket.tcp.resetAndDestroy();
    await within(new Promise(resolve => socket.tcp.once('close', resolve)), 'the reset');
  }
  other.send('still here');
  assert.equal(await other.text(), 'still here');
  await other.close();
});

test('a stopping server says 1001', async () => {
  const stopping = await startConformance();
  const sockets = await Promise.all(Array.from({ length: 8 }, () => RawWebSocket.connect(stopping.port, '/ws-echo')));
  const codes = sockets.map(async socket => {
    const found = await socket.next();
    assert.equal(found.opcode, close);
    socket.write(frame(close, found.payload));
    assert.equal(await socket.next(), null);
    return found.payload.readUInt16BE(0);
  });
  await stopping.stop();
  assert.deepEqual(await Promise.all(codes), codes.map(() => 1001));
});
