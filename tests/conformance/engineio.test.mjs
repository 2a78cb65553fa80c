// Engine.IO 4 on /engine.io/, which echoes: handshakes and their refusals, polling, WebSocket, the way from one to the other,
// the heartbeat, and the end. Every request has a connection of its own, so that it lands on any worker.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import http2 from 'node:http2';
import net from 'node:net';
import { after, before, test } from 'node:test';

import { frame, opcodes, openWebSocket, patient, PollingSession, RawWebSocket, request, startConformance, within }
  from './client.mjs';

const many = 24; // enough that both workers and all ways between them are met
let program;

before(async () => {
  program = await startConformance();
});
after(() => program.stop());

const repeat = work => Promise.all(Array.from({ length: many }, (_, i) => work(i)));
const open = () => PollingSession.open(program.port);

// --- handshakes ---

test('an opening tells just what clients need', async () => {
  const { opening } = await open();
  assert.deepEqual(Object.keys(opening).sort(), ['maxPayload', 'pingInterval', 'pingTimeout', 'sid', 'upgrades']);
  assert.match(opening.sid, /^[A-Za-z0-9_-]{20}$/);
  assert.deepEqual(opening.upgrades, ['websocket']);
  assert.equal(opening.maxPayload, 1000000);
  const [socket, second] = await openWebSocket(program.port);
  assert.deepEqual(second.upgrades, []);
  assert.notEqual(second.sid, opening.sid);
  await socket.close();
});

test('the intervals are those of the public suites', async () => {
  const suites = await startConformance({});
  const { opening } = await PollingSession.open(suites.port);
  assert.equal(opening.pingInterval, 300);
  assert.equal(opening.pingTimeout, 200);
  await suites.stop();
});

test('what is wrong with a request is told by its code', async () => {
  const unknown = 'AAAAAAAAAAAAAAAAAAAA';
  const cases = [
    ['GET', '?EIO=4', 0, 'Transport unknown'],
    ['GET', '?EIO=4&transport=abc', 0, 'Transport unknown'],
    ['GET', '?EIO=4&transport=pollingpollingpolling', 0, 'Transport unknown'],
    ['GET', `?EIO=4&transport=polling&sid=${unknown}`, 1, 'Session ID unknown'],
    ['GET', '?EIO=4&transport=polling&sid=short', 1, 'Session ID unknown'],
    ['GET', `?EIO=4&transport=polling&sid=${'_'.repeat(20)}`, 1, 'Session ID unknown'],
    ['GET', `?EIO=4&transport=polling&sid=${'A'.repeat(3000)}`, 1, 'Session ID unknown'],
    ['POST', '?EIO=4&transport=polling', 2, 'Bad handshake method'],
    ['PUT', '?EIO=4&transport=polling', 2, 'Bad handshake method'],
    ['GET', '?EIO=4&transport=websocket', 3, 'Bad request'],
    ['GET', '?transport=polling', 5, 'Unsupported protocol version'],
    ['GET', '?EIO=3&transport=polling', 5, 'Unsupported protocol version'],
    ['GET', '?EIO=abc&transport=polling', 5, 'Unsupported protocol version'],
  ];
  for (const [method, query, code, message] of cases) {
    const { status, headers, text } = await request(program.port, `/engine.io/${query}`, { method });
    assert.equal(status, 400, query);
    assert.deepEqual(JSON.parse(text), { code, message }, query);
    assert.equal(headers['content-type'], 'application/json');
  }
});

test('a method that polling does not have is refused', async () => {
  const session = await open();
  for (const method of ['PUT', 'DELETE', 'HEAD']) {
    assert.equal((await request(program.port, session.query, { method })).status, 400);
  }
  await session.send('4still there');
});

test('pages of other origins may use it, with a preflight', async () => {
  const headers = { Origin: 'http://elsewhere.example' };
  const opening = await request(program.port, '/engine.io/?EIO=4&transport=polling', { headers });
  assert.equal(opening.status, 200);
  assert.equal(opening.headers['access-control-allow-origin'], headers.Origin);
  assert.equal(opening.headers['cache-control'], 'no-store');
  const preflight = await request(program.port, '/engine.io/?EIO=4&transport=polling', { method: 'OPTIONS',
    headers: { ...headers, 'Access-Control-Request-Method': 'POST', 'Access-Control-Request-Headers': 'x-own' } });
  assert.equal(preflight.status, 204);
  assert.match(preflight.headers['access-control-allow-methods'], /POST/);
  assert.equal(preflight.headers['access-control-allow-headers'], 'x-own');
});

test('of other origins only those that are allowed may open sessions', async () => {
  const strict = await startConformance({ ...patient, ALLOWED_ORIGIN: 'https://good.example' });
  const polling = '/engine.io/?EIO=4&transport=polling', websocket = '/engine.io/?EIO=4&transport=websocket';
  const bad = await request(strict.port, polling, { headers: { Origin: 'https://bad.example' } });
  assert.equal(bad.status, 403);
  assert.deepEqual(JSON.parse(bad.text), { code: 4, message: 'Forbidden' });
  for (const Origin of ['https://bad.example', `http://127.0.0.1:${strict.port}.bad.example`, 'null']) {
    await assert.rejects(RawWebSocket.connect(strict.port, websocket, { Origin }), { status: 403 });
  }
  for (const Origin of ['https://good.example', `http://127.0.0.1:${strict.port}`]) {
    assert.equal((await request(strict.port, polling, { headers: { Origin } })).status, 200);
    const socket = await RawWebSocket.connect(strict.port, websocket, { Origin });
    assert.match(await socket.text(), /^0\{/);
    await socket.close();
  }
  await strict.stop();
});

// --- polling ---

test('messages go and come in order', () => repeat(async () => {
  const session = await open();
  await session.send('4one\x1e4two\x1ebAQIDBA==\x1e4');
  assert.deepEqual(await session.packets(), ['4one', '4two', 'bAQIDBA==', '4']);
}));

test('a poll waits for a message', () => repeat(async i => {
  const session = await open();
  const poll = session.packets();
  await session.send(`4hello ${i}`);
  assert.deepEqual(await poll, [`4hello ${i}`]);
}));

test('a poll may wait for a limited time', async () => {
  const holding = await startConformance({ ...patient, POLLING_HOLD_MS: '50' });
  const session = await PollingSession.open(holding.port);
  assert.deepEqual(await session.packets(), ['6']);
  await session.send('4then');
  assert.deepEqual(await session.packets(), ['4then']);
  await holding.stop();
});

test('a large message by polling', async () => {
  const session = await open();
  const text = '4' + 'é'.repeat(400000);
  await session.send(text);
  assert.deepEqual(await session.packets(), [text]);
});

test('a body that is no payload closes the session', async () => {
  for (const body of ['abc', '', '4a\x1e', '7', 'b####', 'bYQ', '0{}', Buffer.from([0x34, 0xff])]) {
    const session = await open();
    const { status } = await session.post(body);
    assert.ok(status === 400 || body === '0{}', `${body}: ${status}`);
    await session.assertGone();
  }
});

test('a ping from the client closes the session', async () => {
  const session = await open();
  await session.post('2');
  await session.assertGone();
});

test('a body past maxPayload is refused with 413 and closes the session', () => repeat(async i => {
  if (i % 4 !== 0) return;
  const session = await open();
  assert.equal((await session.post('4' + 'x'.repeat(1000000))).status, 413);
  await session.assertGone();
}));

test('a body of maxPayload is taken', async () => {
  const session = await open();
  await session.send('4' + 'x'.repeat(999999));
  assert.equal((await session.packets())[0].length, 1000000);
});

test('a second poll ends the session: the first gets a close, the second 400', () => repeat(async () => {
  const session = await open();
  const statuses = await Promise.all([session.poll(), session.poll()]);
  const [good, bad] = statuses[0].status === 200 ? statuses : statuses.reverse();
  assert.equal(good.status, 200);
  assert.equal(good.text, '1');
  assert.equal(bad.status, 400);
  await session.assertGone();
}));

test('a poll that is broken off ends the session', () => repeat(async () => {
  const session = await open();
  const tcp = net.connect(program.port, '127.0.0.1');
  await within(new Promise(resolve => tcp.write(`GET ${session.query} HTTP/1.1\r\nHost: x\r\n\r\n`, resolve)), 'the request');
  tcp.destroy();
  // a poll that overtakes it is the first of two, and gets the close
  const { status, text } = await session.poll();
  assert.ok(status === 400 || text === '1', `${status} ${text}`);
  await session.assertGone();
}));

test('a close packet ends the session: a poll gets a noop', () => repeat(async () => {
  const session = await open();
  const [poll] = await Promise.all([session.poll(), session.send('1')]);
  assert.equal(poll.status, 200);
  assert.equal(poll.text, '6');
  await session.assertGone();
}));

test('all of it by HTTP/2, on one connection', async () => {
  const client = http2.connect(`http://127.0.0.1:${program.port}`);
  const send = (method, path, body) => {
    const stream = client.request({ ':method': method, ':path': path });
    stream.setEncoding('utf8');
    const answer = new Promise((resolve, reject) => {
      let status, text = '';
      stream.on('response', headers => { status = headers[':status']; });
      stream.on('data', chunk => { text += chunk; });
      stream.on('close', () => resolve({ status, text }));
      stream.on('error', reject);
    });
    stream.end(body);
    return Object.assign(within(answer, `${method} ${path}`), { stream });
  };
  const open2 = async () => {
    const { text } = await send('GET', '/engine.io/?EIO=4&transport=polling');
    return `/engine.io/?EIO=4&transport=polling&sid=${JSON.parse(text.slice(1)).sid}`;
  };
  await repeat(async i => {
    const session = await open2();
    const poll = send('GET', session);
    assert.deepEqual(await send('POST', session, `4${i}`), { status: 200, text: 'ok' });
    assert.deepEqual(await poll, { status: 200, text: `4${i}` });
    const cancelled = send('GET', session);
    await new Promise(resolve => client.ping(resolve)); // the request has arrived
    cancelled.stream.close(http2.constants.NGHTTP2_CANCEL);
    await cancelled;
    assert.equal((await send('GET', session)).status, 400);
  });
  await new Promise(resolve => client.close(resolve));
});

// --- WebSocket ---

test('messages by WebSocket', async () => {
  const [socket] = await openWebSocket(program.port);
  const bytes = randomBytes(70000);
  socket.send('4hello');
  socket.send(bytes);
  socket.send('4');
  assert.equal(await socket.text(), '4hello');
  assert.deepEqual(await socket.binary(), bytes);
  assert.equal(await socket.text(), '4');
  await socket.close();
});

test('what is no packet closes the WebSocket', async () => {
  for (const text of ['abc', '', '7', '2', '0{}', 'bAQID']) {
    const [socket] = await openWebSocket(program.port);
    socket.send(text);
    assert.equal(await socket.closeCode(), 1008, text);
  }
  const [socket] = await openWebSocket(program.port);
  socket.send('1');
  assert.equal(await socket.closeCode(), 1000);
});

test('a message past maxPayload closes the WebSocket', async () => {
  const [socket] = await openWebSocket(program.port);
  socket.send(Buffer.alloc(1000000));
  assert.equal((await socket.binary()).length, 1000000);
  socket.send(Buffer.alloc(1000001));
  assert.equal(await socket.closeCode(), 1009);
});

test('a WebSocket session has no polls', () => repeat(async () => {
  const [socket, { sid }] = await openWebSocket(program.port);
  const { status, text } = await request(program.port, `/engine.io/?EIO=4&transport=polling&sid=${sid}`);
  assert.equal(status, 400);
  assert.equal(JSON.parse(text).code, 3);
  await socket.close();
  assert.equal((await request(program.port, `/engine.io/?EIO=4&transport=polling&sid=${sid}`)).status, 400);
}));

test('a reader that does not read is closed when its queue is full', async () => {
  const small = await startConformance({ ...patient, QUEUE_MAX_BYTES: '1000000' });
  const [socket] = await openWebSocket(small.port);
  socket.tcp.pause();
  const message = frame(opcodes.binary, Buffer.alloc(500000));
  const closed = new Promise(resolve => socket.tcp.once('close', resolve));
  const write = () => {
    while (!socket.tcp.destroyed && socket.write(message));
    if (!socket.tcp.destroyed) socket.tcp.once('drain', write);
  };
  write();
  await within(closed, 'the end of the slow reader');
  const [other] = await openWebSocket(small.port);
  other.send('4alive');
  assert.equal(await other.text(), '4alive');
  await other.close();
  await small.stop();
});

// --- from polling to WebSocket ---

test('a session moves to a WebSocket, and nothing is lost on the way', () => repeat(async () => {
  const session = await open();
  await session.send('4before');
  const socket = await session.upgrade();
  assert.equal(await socket.text(), '4before');
  socket.send('4hello');
  assert.equal(await socket.text(), '4hello');
  assert.equal((await session.poll()).status, 400);
  socket.send('4still');
  assert.equal(await socket.text(), '4still');
  await socket.close();
  await session.assertGone();
}));

test('a probe that is answered ends the poll with a noop', () => repeat(async () => {
  const session = await open();
  const poll = session.packets();
  const socket = await session.probe();
  socket.send('2probe');
  assert.equal(await socket.text(), '3probe');
  assert.deepEqual(await poll, ['6']);
  assert.deepEqual(await session.packets(), ['6']);
  await session.send('4by polling still');
  assert.deepEqual(await session.packets(), ['4by polling still']);
  socket.send('5');
  socket.send('4now here');
  assert.equal(await socket.text(), '4now here');
  await socket.close();
}));

test('a probe that fails leaves the session where it is', () => repeat(async i => {
  const session = await open();
  const socket = await session.probe();
  const wrong = ['5', '4hello', '2', 'abc'][i % 4];
  socket.send(wrong);
  assert.equal(await socket.closeCode(), 1008);
  await session.send('4hello');
  assert.deepEqual(await session.packets(), ['4hello']);
  const second = await session.probe();
  second.send('2probe');
  assert.equal(await second.text(), '3probe');
  second.tcp.destroy();
  await session.send('4again');
  const packets = await session.packets();
  assert.deepEqual(packets.length === 1 && packets[0] === '6' ? await session.packets() : packets, ['4again']);
}));

test('one WebSocket at a time may probe, and none after the move', () => repeat(async () => {
  const session = await open();
  const socket = await session.probe();
  socket.send('2probe');
  assert.equal(await socket.text(), '3probe');
  const second = await session.probe();
  assert.equal(await second.closeCode(), 1008);
  socket.send('5');
  socket.send('4moved');
  assert.equal(await socket.text(), '4moved');
  const third = await session.probe();
  assert.equal(await third.closeCode(), 1008);
  socket.send('4hello');
  assert.equal(await socket.text(), '4hello');
  await socket.close();
}));

test('a WebSocket for a session that is not there is refused', async () => {
  await assert.rejects(RawWebSocket.connect(program.port, `/engine.io/?EIO=4&transport=websocket&sid=${'A'.repeat(20)}`),
    { status: 400 });
  const session = await open();
  const { status, text } = await request(program.port, `/engine.io/?EIO=4&transport=websocket&sid=${session.sid}`);
  assert.equal(status, 400);
  assert.equal(JSON.parse(text).code, 3);
});

test('a session that closes takes its probe with it', () => repeat(async () => {
  const session = await open();
  const socket = await session.probe();
  socket.send('2probe');
  assert.equal(await socket.text(), '3probe');
  await session.send('1');
  assert.equal(await socket.closeCode(), 1000);
}));

// --- heartbeat ---

test('a session whose pings are answered lives; one that is silent is closed', async () => {
  const quick = await startConformance({ PING_INTERVAL_MS: '100', PING_TIMEOUT_MS: '5000' });
  const session = await PollingSession.open(quick.port);
  const [socket] = await openWebSocket(quick.port);
  for (let i = 0; i < 3; i++) {
    assert.deepEqual(await session.packets(), ['2']);
    await session.send('3');
    assert.equal(await socket.text(), '2');
    socket.send('3');
  }
  await socket.close();
  await quick.stop();
  const strict = await startConformance({ PING_INTERVAL_MS: '50', PING_TIMEOUT_MS: '50' });
  const silent = await PollingSession.open(strict.port);
  const [mute] = await openWebSocket(strict.port);
  assert.equal(await mute.closeCode(), 1000);
  for (let text = ''; text !== '1';) {
    const poll = await silent.poll();
    if (poll.status === 400) break;
    text = poll.text;
    assert.match(text, /^(1|2)$/);
  }
  await silent.assertGone();
  await strict.stop();
});

// --- the end ---

test('a stopping server closes WebSockets with 1001 and answers the polls', async () => {
  const stopping = await startConformance();
  const sessions = await repeat(() => PollingSession.open(stopping.port));
  const sockets = await repeat(() => openWebSocket(stopping.port));
  const moved = await repeat(async () => (await PollingSession.open(stopping.port)).upgrade());
  for (const socket of moved) {
    socket.send('4moved');
    assert.equal(await socket.text(), '4moved');
  }
  const polls = sessions.map(session => session.poll());
  await Promise.all(sessions.map(session => session.send('3'))); // when these are answered the polls are there, or nearly
  const ends = [...sockets.map(([socket]) => socket), ...moved].map(async socket => {
    const found = await socket.next();
    socket.write(frame(opcodes.close, found.payload));
    return found.payload.readUInt16BE(0);
  });
  await stopping.stop();
  assert.deepEqual(await Promise.all(ends), ends.map(() => 1001));
  for (const { status, text } of await Promise.all(polls.map(poll => poll.catch(() => ({ status: 503, text: '' }))))) {
    assert.ok((status === 200 && text === '1') || status === 400 || status === 503, `${status} ${text}`);
  }
});
