// HTTP in the hands of those who mean harm: each attack is refused, or its connection cut, at little cost; others are served
// meanwhile, and the server's memory stays where it was.

import assert from 'node:assert/strict';
import http from 'node:http';
import http2 from 'node:http2';
import { after, before, describe, test } from 'node:test';

import { friends, patienceMs, stopServer, upTo } from '../support/api.mjs';
import { endure } from '../support/endure.mjs';
import { EventStream } from '../support/event_stream.mjs';
import { holdTable } from '../support/hold.mjs';
import { requestHttp2 } from '../support/http2.mjs';
import { RawHttp2, block, flags, frame, number, request, types } from '../support/http2_frames.mjs';
import { Connection, RawWebSocket, exchange } from '../support/raw.mjs';
import { startServer, until } from '../support/server.mjs';

const bundle = '/api/docs/swagger-ui-bundle.js';
const MAX_HELD_BYTES = String(32 << 20); // with what the buffers take beside it, far below what endure allows
const repeat = (count, bytes) => Buffer.concat(Array(count).fill(bytes));

/** The status of one request by HTTP/1 on a connection of its own, and whether the server has closed that. */
async function statusOf(server, bytes) {
  const connection = await Connection.connect(server);
  connection.write(bytes);
  const { status, body } = await connection.response();
  return { status, body, connection };
}

describe('heads', () => {
  let server, alice;

  before(async () => {
    server = await startServer();
    [alice] = await friends(server, 'alice');
  });
  after(() => stopServer(server));

  test('that can be read in two ways are refused, and nothing behind them is read', async () => {
    const next = 'GET /health HTTP/1.1\r\nHost: x\r\n\r\n';
    const post = 'POST /api/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n';
    for (const [what, bytes] of Object.entries({
      'no Host': 'GET /health HTTP/1.1\r\n\r\n',
      'two Hosts': 'GET /health HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n',
      'two Content-Lengths': `${post}Content-Length: 2\r\nContent-Length: 5\r\n\r\n{}`,
      'the same Content-Length twice': `${post}Content-Length: 2\r\ncontent-length: 2\r\n\r\n{}`,
      'both lengths': `${post}Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
      'both lengths, turned around': `${post}Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n0\r\n\r\n`,
    })) {
      const { status, body, connection } = await statusOf(server, bytes + next);
      assert.deepEqual([status, JSON.parse(body).code], [400, 'INVALID_PAYLOAD'], what);
      await connection.waitForEnd();
      assert.equal(connection.received.length, 0, `${what}: ${connection.received}`);
    }
    assert.equal((await statusOf(server, 'GET /health HTTP/1.0\r\n\r\n')).status, 200);
  });

  test('that are too large are refused, by either version', async () => {
    const session = http2.connect(server.url);
    const get = (path, headers) => requestHttp2(session, { ':path': path, authorization: `Bearer ${alice.token}`, ...headers });
    const many = count => Object.fromEntries(upTo(count).map(i => [`x-${i}`, 'x']));
    const long = length => Object.fromEntries(upTo(4).map(i => [`x-${i}`, 'x'.repeat(length / 4)]));
    for (const [path, headers, status] of [
      [`/api/chats?x=${'x'.repeat(8000)}`, {}, 200],
      [`/api/chats?x=${'x'.repeat(8200)}`, {}, 414],
      ['/api/chats', many(90), 200],
      ['/api/chats', many(101), 431],
      ['/api/chats', long(31_000), 200],
      ['/api/chats', long(33_000), 431],
    ]) {
      const what = `${path.slice(0, 20)} ${Object.keys(headers).length} ${status}`;
      assert.equal(await get(path, headers), status, `${what} by HTTP/2`);
      const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`).join('');
      const one = await statusOf(server,
        `GET ${path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${alice.token}\r\n${lines}\r\n`);
      // libh2o itself knows no more than 100 headers by HTTP/1
      assert.equal(one.status, Object.keys(headers).length > 100 ? 400 : status, what);
      one.connection.destroy();
    }
    session.close();
  });
});

describe('floods by HTTP/2', () => {
  let server, alice;

  before(async () => {
    server = await startServer({ env: { WORKERS: '1', MAX_HELD_BYTES } });
    [alice] = await friends(server, 'alice', 'bob');
  });
  after(() => stopServer(server));

  const get = path => request('GET', path, { authorization: `Bearer ${alice.token}` });
  const post = request('POST', '/api/auth/login', { 'content-type': 'application/json' });
  const open = frame(types.headers, flags.endHeaders, 1, post);

  // What is sent first, and then for ever.
  const floods = {
    'of PING': ['', frame(types.ping, 0, 0, Buffer.alloc(8))],
    'of SETTINGS': ['', frame(types.settings, 0, 0)],
    'of WINDOW_UPDATE': ['', frame(types.windowUpdate, 0, 0, number(1))],
    'of PRIORITY': ['', frame(types.priority, 0, 3, Buffer.concat([number(0), Buffer.from([7])]))],
    'of CONTINUATION without bytes': [frame(types.headers, 0, 1, post), frame(types.continuation, 0, 1)],
    'of CONTINUATION': [frame(types.headers, 0, 1, post), frame(types.continuation, 0, 1, block({ 'x-more': 'x'.repeat(1000) }))],
    'of DATA without bytes': [open, frame(types.data, 0, 1)],
    'of a body without an end': [open, frame(types.data, 0, 1, 'x'.repeat(16000))],
  };
  for (const [what, [first, rest]] of Object.entries(floods)) {
    for (const isRead of [true, false]) {
      test(`${what}, ${isRead ? 'answers read' : 'no answer read'}`, { timeout: 120_000 }, t => endure(t, server, alice, async () => {
        for (let i = 0; i < 3; i++) {
          const connection = await RawHttp2.open(server);
          if (!isRead) connection.socket.pause();
          connection.write(first);
          const bytes = repeat(Math.ceil(16_000 / rest.length), rest);
          let sent = 0;
          await connection.flood(() => {
            sent += bytes.length;
            return sent < 20e6 ? bytes : assert.fail('nobody minds');
          });
          connection.destroy();
        }
      }));
    }
  }

  // Streams that come to nothing: in each of these ways the server is made to drop what it had begun.
  const resets = {
    'that are broken off': stream => [
      frame(types.headers, flags.endHeaders | flags.endStream, stream, get('/api/chats')),
      frame(types.reset, 0, stream, number(8)),
    ],
    'that the server is made to break off': stream => [
      frame(types.headers, flags.endHeaders | flags.endStream, stream, get('/api/chats')),
      frame(types.windowUpdate, 0, stream, number(0)),
    ],
    'that get DATA behind their end': stream => [
      frame(types.headers, flags.endHeaders | flags.endStream, stream, get('/api/chats')),
      frame(types.data, 0, stream, 'x'),
    ],
    'that are broken off before they are whole': stream => [
      frame(types.headers, flags.endHeaders, stream, post), frame(types.reset, 0, stream, number(8)),
    ],
    'that lack a path': stream => [
      frame(types.headers, flags.endHeaders | flags.endStream, stream, block({ ':method': 'GET', ':scheme': 'http' })),
    ],
  };
  for (const [what, frames] of Object.entries(resets)) {
    test(`of requests ${what}`, { timeout: 120_000 }, t => endure(t, server, alice, async () => {
      const handled = () => server.logs.filter(line => line.path === '/api/chats' && line.status !== 200).length;
      const before = handled();
      const connections = await Promise.all(upTo(3).map(() => RawHttp2.open(server)));
      await Promise.all(connections.map(async connection => {
        let stream = -1;
        await connection.flood(() => {
          if (stream > 1e6) assert.fail('nobody minds');
          return Buffer.concat(upTo(100).flatMap(() => frames(stream += 2)));
        });
      }));
      // a hundred of each connection were worked on, and what was under way when that was enough
      assert.ok(handled() - before <= 3 * 250, `${handled() - before} reached the handler`);
    }));
  }

  test('of headers that are one byte each', { timeout: 120_000 }, t => endure(t, server, alice, async () => {
    const first = Buffer.concat([request('POST', '/api/auth/login'), block({ 'x-bomb': 'x'.repeat(3900) }, { isKept: true })]);
    for (let i = 0; i < 20; i++) {
      const connection = await RawHttp2.open(server);
      let stream = -1, part = 0;
      await connection.flood(() => {
        if (stream > 200) assert.fail('nobody minds');
        part = (part + 1) % 25;
        if (part === 1) return frame(types.headers, 0, stream += 2, first);
        return frame(types.continuation, part === 0 ? flags.endHeaders : 0, stream, Buffer.alloc(16_000, 0x80 | 62));
      });
    }
  }));

  test('of headers that are one byte each, in few bytes', { timeout: 120_000 }, t => endure(t, server, alice, async () => {
    const cuts = () => server.logs.filter(line => line.reason === 'it sends too many headers').length;
    const before = cuts();
    const connections = await Promise.all(upTo(20).map(() => RawHttp2.open(server)));
    for (const connection of connections) {
      connection.write(frame(types.headers, 0, 1, Buffer.concat([request('POST', '/api/auth/login'), block({ x: 'x' }, { isKept: true })])));
      connection.write(frame(types.continuation, flags.endHeaders, 1, Buffer.alloc(8000, 0x80 | 62))); // 8000 times that
    }
    await until(() => connections.every(connection => connection.ended), 'all of them to be cut off', patienceMs);
    await until(() => cuts() - before === connections.length, 'the log to say why', patienceMs);
  }));

  test('of bodies, on many connections', { timeout: 120_000 }, t => endure(t, server, alice, async () => {
    const connections = await Promise.all(upTo(60).map(() => RawHttp2.open(server)));
    await Promise.all(connections.map(async connection => {
      let stream = -1;
      await connection.flood(() => {
        if (stream >= 19) return null; // less than one connection may have
        return Buffer.concat([
          frame(types.headers, flags.endHeaders, stream += 2, post), ...upTo(12).map(() => frame(types.data, 0, stream, 'x'.repeat(16_000))),
        ]);
      });
    }));
    await until(() => connections.some(connection => connection.ended), 'somebody to be cut', patienceMs);
    for (const connection of connections) connection.destroy();
  }));

  test('proper use is let be: many requests, bodies, and a download', { timeout: 120_000 }, async () => {
    const session = http2.connect(server.url);
    const ask = (headers, body) => {
      const stream = session.request({ authorization: `Bearer ${alice.token}`, ...headers });
      stream.resume();
      stream.end(body);
      return new Promise((resolve, reject) => {
        let status;
        stream.on('response', answer => (status = answer[':status'])).on('error', reject).on('close', () => resolve(status));
      });
    };
    for (let i = 0; i < 50; i++) {
      assert.deepEqual(new Set(await Promise.all(upTo(80).map(() => ask({ ':path': '/api/users/me' })))), new Set([200]));
    }
    const body = JSON.stringify({ receiverId: 'x'.repeat(200_000), content: 'x' });
    const headers = { ':path': '/api/messages', ':method': 'POST', 'content-type': 'application/json' };
    for (let i = 0; i < 10; i++) {
      assert.deepEqual(new Set(await Promise.all(upTo(5).map(() => ask(headers, body)))), new Set([400]));
    }
    assert.deepEqual(new Set(await Promise.all(upTo(10).map(() => ask({ ':path': bundle })))), new Set([200]));
    for (let i = 0; i < 100; i++) await new Promise(resolve => session.ping(resolve));
    session.close();
  });
});

describe('floods by HTTP/1', () => {
  let server, alice;

  before(async () => {
    server = await startServer();
    [alice] = await friends(server, 'alice', 'bob');
  });
  after(() => stopServer(server));

  const head = 'POST /api/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n';

  // What is sent first, and then for ever.
  const floods = {
    'of chunks': [`${head}Transfer-Encoding: chunked\r\n\r\n`, `${(16_000).toString(16)}\r\n${'x'.repeat(16_000)}\r\n`],
    'of what comes before a head': ['', '\r\n'.repeat(8000)],
    'of one head': ['GET /health HTTP/1.1\r\nHost: x\r\n', 'X-More: x\r\n'.repeat(1000)],
    'of one header': ['GET /health HTTP/1.1\r\nHost: x\r\nX-More: ', 'x'.repeat(16_000)],
  };
  for (const [what, [first, rest]] of Object.entries(floods)) {
    test(what, { timeout: 120_000 }, t => endure(t, server, alice, async () => {
      const connections = await Promise.all(upTo(10).map(() => Connection.connect(server)));
      await Promise.all(connections.map(async connection => {
        connection.write(first);
        let sent = 0;
        await connection.flood(() => {
          sent += rest.length;
          return sent < 20e6 ? rest : assert.fail('nobody minds');
        });
      }));
    }));
  }
});

describe('more connections than there are places', () => {
  const connect = async server => {
    const connection = await Connection.connect(server);
    connection.write('GET /health HTTP/1.1\r\nHost: x\r\n\r\n');
    const response = await connection.response().catch(() => ({ status: null })); // it was reset
    if (response.status === 503) {
      const { code, requestId } = JSON.parse(response.body);
      assert.deepEqual([code, response.headers['retry-after']], ['UNAVAILABLE', '10']);
      assert.equal(requestId, response.headers['x-request-id']);
    }
    return { connection, status: response.status };
  };
  const isFull = ({ status }) => status === 503 || status === null;

  // Each fills the places with one kind of connection; they are free again when these have gone.
  const kinds = {
    'by HTTP': async server => (await connect(server)).connection,
    'WebSockets': async server => {
      const socket = await RawWebSocket.open(server);
      assert.equal(socket.upgrade.status, 101);
      return socket;
    },
    'WebSockets of sessions that polled': async server => {
      const target = '/socket.io/?EIO=4&transport=';
      const { sid } = JSON.parse((await exchange(server, `GET ${target}polling HTTP/1.1`)).body.slice(1));
      const socket = await RawWebSocket.open(server, `${target}websocket&sid=${sid}`); // maybe on another thread
      assert.equal(socket.upgrade.status, 101);
      return socket;
    },
  };
  const fill = async (t, env) => {
    const server = await startServer({ env });
    t.after(() => server.stop());
    for (const [what, open] of Object.entries(kinds)) {
      const open16 = [];
      await until(async () => {
        while (open16.length < 16) {
          const opened = await open(server).catch(() => null);
          if (opened === null || opened.ended) return false; // those before have not gone yet
          open16.push(opened);
        }
        return true;
      }, `sixteen ${what}`);
      await until(async () => {
        const more = [await connect(server), await connect(server), await connect(server)]; // there is one place
        for (const { connection } of more) connection.destroy();
        return more.filter(isFull).length >= 2;
      }, `no place beside sixteen ${what}`);
      for (const connection of open16) connection.destroy();
      await until(async () => {
        const { connection, status } = await connect(server);
        connection.destroy();
        return status === 200;
      }, `places when sixteen ${what} have gone`);
    }
    await server.waitForLog(line => /turned away/.test(line.msg));
    return server;
  };

  test('are turned away, and others come when these have gone', t => fill(t, { MAX_CONNECTIONS: '17' }));

  test('of one address are turned away, of another they are not', async t => {
    const server = await fill(t, { MAX_CONNECTIONS_PER_IP: '17' });
    const crowd = await Promise.all(upTo(20).map(() => connect(server)));
    assert.ok(crowd.some(isFull));
    const other = await new Promise((resolve, reject) => {
      http.get(`${server.url}/health`, { localAddress: '127.0.0.2', agent: false }, resolve).on('error', reject);
    });
    assert.equal(other.statusCode, 200);
    for (const { connection } of crowd) connection.destroy();
  });

  test('through a proxy that is trusted are not counted', async t => {
    const server = await startServer({ env: { MAX_CONNECTIONS_PER_IP: '2', TRUST_PROXY: '127.0.0.1' } });
    t.after(() => server.stop());
    const crowd = await Promise.all(upTo(20).map(() => connect(server)));
    assert.deepEqual(new Set(crowd.map(({ status }) => status)), new Set([200]));
    for (const { connection } of crowd) connection.destroy();
  });
});

describe('clients that take their time', () => {
  let server, alice;

  before(async () => {
    server = await startServer({ env: { REQUEST_TIMEOUT_SECONDS: '2', MAX_HELD_BYTES } });
    [alice] = await friends(server, 'alice', 'bob');
  });
  after(() => stopServer(server));

  const post = request('POST', '/api/auth/login', { 'content-type': 'application/json', 'content-length': '1000' });
  const head = 'POST /api/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n';

  // What is sent first, and then a little at a time, for longer than a request may take.
  const drips = {
    'headers by HTTP/1': [Connection, 'GET /api/chats HTTP/1.1\r\nHost: x\r\n', i => `X-${i}: x\r\n`],
    'a body by HTTP/1': [Connection, `${head}Content-Length: 1000\r\n\r\n`, () => ' '],
    'chunks by HTTP/1': [Connection, `${head}Transfer-Encoding: chunked\r\n\r\n`, () => '1\r\n \r\n'],
    'headers by HTTP/2': [RawHttp2, frame(types.headers, 0, 1, post), i => frame(types.continuation, 0, 1, block({ [`x-${i}`]: 'x' }))],
    'a body by HTTP/2': [RawHttp2, frame(types.headers, flags.endHeaders, 1, post), () => frame(types.data, 0, 1, ' ')],
  };
  for (const [what, [Kind, first, more]] of Object.entries(drips)) {
    test(`with ${what} are cut off`, { timeout: 120_000 }, t => endure(t, server, alice, async () => {
      const connections = await Promise.all(upTo(100).map(() => (Kind === RawHttp2 ? Kind.open(server) : Kind.connect(server))));
      for (const connection of connections) connection.write(first);
      let i = 0;
      await until(() => {
        for (const connection of connections) if (!connection.ended) connection.write(more(++i));
        return connections.every(connection => connection.ended);
      }, 'all of them to be cut off', patienceMs);
    }));
  }

  // libh2o has a limit of its own by HTTP/1, ten seconds, which would do for those above: what is set has to count.
  test('by HTTP/1 have as long as REQUEST_TIMEOUT_SECONDS says', { timeout: 120_000 }, async t => {
    const patient = await startServer({ env: { REQUEST_TIMEOUT_SECONDS: '9' } });
    t.after(() => patient.stop());
    const slow = await Connection.connect(patient);
    slow.write('GET /health HTTP/1.1\r\nHost: x\r\n');
    const first = await exchange(patient, 'GET /health HTTP/1.1');
    assert.equal(first.status, 200); // what comes now begins later
    const starts = Object.values(drips).filter(([Kind]) => Kind === Connection).map(([, start]) => start);
    const connections = await Promise.all(starts.map(() => Connection.connect(server)));
    for (const [i, connection] of connections.entries()) connection.write(starts[i]);
    for (const connection of connections) await connection.waitForEnd();
    slow.write('\r\n');
    assert.equal((await slow.response()).status, 200);
    slow.destroy();
  });

  test('with bodies that nobody finishes take no memory from others', { timeout: 120_000 }, t => endure(t, server, alice, async () => {
    const connections = await Promise.all(upTo(200).map(() => Connection.connect(server)));
    for (const connection of connections) connection.write(`${head}Content-Length: 1000000\r\n\r\n${'x'.repeat(900_000)}`);
    await until(() => connections.every(connection => connection.ended), 'all of them to be cut off', patienceMs);
  }));

  /** A connection that sends this request a hundred times, and has room for no byte of a reply. */
  async function askWithoutWindow(server, bytes) {
    const connection = await RawHttp2.connect(server);
    const noWindow = frame(types.settings, 0, 0, Buffer.concat([Buffer.from([0, 4]), number(0)]));
    connection.write(Buffer.concat([Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), noWindow,
      ...upTo(100).map(i => frame(types.headers, flags.endHeaders | flags.endStream, 2 * i - 1, bytes))]));
    return connection;
  }

  test('with replies by HTTP/2 take no memory from others', { timeout: 120_000 }, t => endure(t, server, alice, async () => {
    const connections = await Promise.all(upTo(10).map(() => askWithoutWindow(server, request('GET', bundle))));
    await until(() => connections.every(connection => connection.ended), 'all of them to be cut off', patienceMs);
  }));

  test('with streams of what they have missed take no memory from others', { timeout: 120_000 }, async t => {
    const patient = await startServer({ env: { WORKERS: '1', MAX_HELD_BYTES: `${16 << 20}`, REQUEST_TIMEOUT_SECONDS: '600' } });
    t.after(() => stopServer(patient));
    const [carol, dave] = await friends(patient, 'carol', 'dave');
    const laptop = await carol.connect();
    for (const _ of upTo(3)) {
      const { callId } = await laptop.done('call-user', { calleeId: dave.id, signal: 'x'.repeat(65_000) });
      await laptop.done('end-call', { callId, status: 'ended' });
    }
    const stream = await EventStream.open(dave);
    await endure(t, patient, carol, async () => {
      const missed = request('GET', '/api/events?since=0', { authorization: `Bearer ${dave.token}` });
      const connections = await Promise.all(upTo(5).map(() => askWithoutWindow(patient, missed))); // 500 pages of 195 KB
      await patient.waitForLog(line => line.msg === 'a connection was cut' && line.reason === 'it holds the most memory');
      await until(() => connections.every(({ ended }) => ended), 'all of them to be cut off', patienceMs);
    });
    const message = await carol.send(dave, 'still there');
    assert.deepEqual(await stream.next('private-message'), message);
    stream.close();
  });

  test('with replies by HTTP/1 take no memory from others', { timeout: 120_000 }, t => endure(t, server, alice, async () => {
    const connections = await Promise.all(upTo(200).map(() => Connection.connect(server)));
    for (const connection of connections) {
      connection.socket.pause();
      connection.write(`GET ${bundle} HTTP/1.1\r\nHost: x\r\n\r\n`.repeat(5));
    }
    await server.waitForLog(line => line.msg === 'a connection was cut' && /holds|read/.test(line.reason));
    for (const connection of connections) connection.destroy();
  }));
});

test('a CONTINUATION behind the farewell does not keep the server from ending', { timeout: 120_000 }, async t => {
  const server = await startServer({ env: { DRAIN_SECONDS: '8' } });
  const [alice] = await friends(server, 'alice');
  // A request that is worked on for that long keeps the connection open behind the farewell.
  const hold = await holdTable(t, server, 'users');
  const connection = await RawHttp2.open(server);
  const me = request('GET', '/api/users/me', { authorization: `Bearer ${alice.token}` });
  connection.write(frame(types.headers, flags.endHeaders | flags.endStream, 1, me));
  connection.write(frame(types.headers, 0, 3, request('GET', '/health')));
  await until(() => connection.frames().length >= 2, 'the server to speak', patienceMs);
  const stopped = server.stop();
  const farewells = () => connection.frames().filter(({ type }) => type === types.goaway).length;
  await until(() => farewells() === 2 || connection.ended, 'the second farewell', patienceMs);
  assert.equal(connection.ended, false);
  connection.write(frame(types.continuation, 0, 3));
  await hold.release();
  await stopped;
});
