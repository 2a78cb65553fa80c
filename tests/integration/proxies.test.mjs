// Who a client is, behind proxies that are trusted and for those who only pretend: what the log says of the request.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import http2 from 'node:http2';
import https from 'node:https';
import { after, before, describe, test } from 'node:test';

import { Client, patienceMs, stopServer, unique, upTo } from '../support/api.mjs';
import { requestHttp2 } from '../support/http2.mjs';
import { RawHttp2, frame, types } from '../support/http2_frames.mjs';
import { block, line, local, proxyAddress, rawBlock, startProxy } from '../support/proxy_protocol.mjs';
import { Connection } from '../support/raw.mjs';
import { startServer, temporaryCertificate, until } from '../support/server.mjs';

/** The address that the log has for a request with these headers. */
async function addressOf(server, headers) {
  const id = unique('address');
  await (await fetch(`${server.url}/health`, { headers: { ...headers, 'x-request-id': id } })).text();
  return (await server.waitForLog(line => line.requestId === id)).address;
}

describe('a proxy that is trusted', () => {
  let server;

  before(async () => {
    server = await startServer({ env: { TRUST_PROXY: '127.0.0.0/8, 2001:db8::/32' } });
  });
  after(() => stopServer(server));

  test('tells who the client is, and nobody else does', async () => {
    for (const [forwarded, address] of [
      [undefined, '127.0.0.1'],
      ['203.0.113.9', '203.0.113.9'],
      ['198.51.100.7, 203.0.113.9', '203.0.113.9'],
      ['203.0.113.9, 2001:db8::7', '203.0.113.9'],
      ['::ffff:203.0.113.9', '203.0.113.9'],
      ['2001:0DB9:0:0::1', '2001:db9::1'],
      ['no address', '127.0.0.1'],
      ['203.0.113.9, no address', '127.0.0.1'],
    ]) {
      const headers = forwarded === undefined ? {} : { 'x-forwarded-for': forwarded };
      assert.equal(await addressOf(server, headers), address, forwarded);
    }
  });

  test('several headers are one list, by HTTP/2 too', async () => {
    const session = http2.connect(server.url);
    const id = unique('address');
    const stream = session.request({
      ':path': '/health', 'x-request-id': id, 'x-forwarded-for': ['203.0.113.1', '203.0.113.2', '127.0.0.9'],
    });
    stream.resume();
    await new Promise(resolve => stream.on('close', resolve));
    session.close();
    assert.equal((await server.waitForLog(line => line.requestId === id)).address, '203.0.113.2');
  });
});

test('without TRUST_PROXY nobody is believed', async t => {
  const server = await startServer();
  t.after(() => stopServer(server));
  assert.equal(await addressOf(server, { 'x-forwarded-for': '203.0.113.9' }), '127.0.0.1');
});

// From here on by the PROXY protocol: what comes from proxyAddress begins with a header, what comes from 127.0.0.1 does not.

const proxyEnv = { TRUST_PROXY: `${proxyAddress}, 10.0.0.0/8`, PROXY_PROTOCOL: '1' };

/** A connection as a proxy makes it, which has sent `header`. */
async function connectProxied(server, header, Kind = Connection) {
  const connection = await Kind.connect(server, { localAddress: proxyAddress });
  connection.socket.setNoDelay(true);
  if (header.length > 0) connection.write(header);
  return connection;
}

const get = (path, more = '') => `GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n${more}\r\n`;

/** The status of a request in the same packet as the header, and the address that the log has for it. */
async function askProxied(server, header, more = '') {
  const id = unique('proxied');
  const connection = await connectProxied(server, Buffer.concat([Buffer.from(header), Buffer.from(get('/health', `X-Request-Id: ${id}\r\n${more}`))]));
  const { status } = await connection.response();
  connection.destroy();
  return [status, (await server.waitForLog(entry => entry.requestId === id)).address];
}

describe('a proxy that speaks the PROXY protocol', () => {
  let server;

  before(async () => {
    server = await startServer({ env: proxyEnv });
  });
  after(() => stopServer(server));

  test('names its clients, by both versions of it', async () => {
    for (const source of ['203.0.113.9', '2001:db8::9']) {
      for (const header of [line(source), block(source), block(source, '\x04\0\x03abc')]) {
        assert.deepEqual(await askProxied(server, header), [200, source], `${header}`);
      }
    }
  });

  test('may speak for itself, and is then asked for X-Forwarded-For as ever', async () => {
    const unix = rawBlock(0x21, 0x31, Buffer.alloc(216));
    for (const header of [local, 'PROXY UNKNOWN\r\n', 'PROXY UNKNOWN 203.0.113.9 10.0.0.1 1 2\r\n', unix]) {
      assert.deepEqual(await askProxied(server, header), [200, proxyAddress], `${header}`);
      assert.deepEqual(await askProxied(server, header, 'X-Forwarded-For: 203.0.113.9\r\n'), [200, '203.0.113.9']);
    }
  });

  test('may name another proxy that is trusted, and nobody else is asked', async () => {
    const forwarded = 'X-Forwarded-For: 198.51.100.7\r\n';
    assert.deepEqual(await askProxied(server, line('10.1.2.3'), forwarded), [200, '198.51.100.7']);
    assert.deepEqual(await askProxied(server, line('203.0.113.9'), forwarded), [200, '203.0.113.9']);
  });

  test('may send its header a byte at a time', async () => {
    for (const header of [line('203.0.113.9'), block('2001:db8::9', '\x04\0\x03abc')]) {
      const id = unique('slow');
      const connection = await connectProxied(server, '');
      for (const byte of Buffer.concat([Buffer.from(header), Buffer.from(get('/health', `X-Request-Id: ${id}\r\n`))])) {
        connection.write(Buffer.from([byte]));
        await new Promise(resolve => setImmediate(resolve));
      }
      assert.equal((await connection.response()).status, 200);
      connection.destroy();
      assert.match((await server.waitForLog(entry => entry.requestId === id)).address, /^(203.0.113.9|2001:db8::9)$/);
    }
  });

  test('carries HTTP/2, under the eyes of the guard', { timeout: 120_000 }, async t => {
    const proxy = await startProxy(server, block('203.0.113.20'));
    t.after(() => proxy.close());
    const session = http2.connect(proxy.url);
    const id = unique('h2');
    assert.equal(await requestHttp2(session, { ':path': '/health', 'x-request-id': id }), 200);
    assert.equal((await server.waitForLog(entry => entry.requestId === id)).address, '203.0.113.20');
    session.destroy();
    const flood = await connectProxied(server, Buffer.concat([
      block('203.0.113.21'), Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), frame(types.settings, 0, 0)]), RawHttp2);
    const pings = Buffer.concat(Array(1000).fill(frame(types.ping, 0, 0, Buffer.alloc(8))));
    let sent = 0;
    await flood.flood(() => ((sent += pings.length) < 20e6 ? pings : assert.fail('nobody minds')));
    flood.destroy();
    const { address } = await server.waitForLog(entry => entry.msg === 'a connection was cut' && /no request/.test(entry.reason));
    assert.equal(address, '203.0.113.21');
  });

  test('brings users whose logins have their addresses, and their sockets', async t => {
    const proxy = await startProxy(server, line('203.0.113.30'));
    t.after(() => proxy.close());
    const alice = await Client.register({ url: proxy.url }, 'alice');
    assert.deepEqual((await alice.read('/api/auth/sessions')).map(session => session.ip), ['203.0.113.30']);
    for (const transports of [['polling'], ['websocket']]) {
      const device = await alice.connect({ transports });
      device.close();
    }
  });

  test('is cut off when it sends anything else, and others are served', async () => {
    const wrong = {
      'a request': get('/health'),
      'HTTP/2': 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
      'a line without an address': 'PROXY TCP4\r\n',
      'a line of another version of IP': 'PROXY TCP4 ::1 ::1 1 2\r\n',
      'a line with a bare end': `PROXY TCP4 203.0.113.9 10.0.0.1 1 2\n${get('/health')}`,
      'a line that is too long': `PROXY UNKNOWN ${'x'.repeat(93)}`,
      'another version': rawBlock(0x31, 0x11, Buffer.alloc(12)),
      'another command': rawBlock(0x22, 0x11, Buffer.alloc(12)),
      'another family': rawBlock(0x21, 0x41, Buffer.alloc(12)),
      'too few bytes for addresses': rawBlock(0x21, 0x11, Buffer.alloc(11)),
      'too many bytes': rawBlock(0x21, 0x11, Buffer.alloc(12), 0xffff),
    };
    for (const [what, header] of Object.entries(wrong)) {
      const connection = await connectProxied(server, header);
      await connection.waitForEnd();
      assert.equal(connection.received.length, 0, `${what}: ${connection.received}`);
      connection.destroy();
    }
    const { reason, address } = await server.waitForLog(entry => entry.msg === 'connections of proxies are closed');
    assert.match(reason, /PROXY header/);
    assert.equal(address, proxyAddress);
    const told = server.logs.filter(entry => entry.msg === 'connections of proxies are closed').length;
    assert.ok(told < Object.keys(wrong).length, `${told} lines of the log`);
    assert.equal((await fetch(`${server.url}/health`)).status, 200);
  });

  test('of whom nobody knows is not believed', async () => {
    for (const header of [line('203.0.113.9'), 'PROXY UNKNOWN\r\n', block('203.0.113.9'), local]) {
      const connection = await Connection.connect(server);
      connection.write(Buffer.concat([Buffer.from(header), Buffer.from(get('/health'))]));
      assert.equal((await connection.response()).status, 400, `${header}`);
      await connection.waitForEnd();
      connection.destroy();
    }
    assert.equal(await addressOf(server, { 'x-forwarded-for': '203.0.113.9' }), '127.0.0.1');
  });
});

describe('a proxy that speaks the PROXY protocol, and limits', () => {
  test('each client has its own places', async t => {
    const server = await startServer({ env: { ...proxyEnv, MAX_CONNECTIONS_PER_IP: '2' } });
    t.after(() => stopServer(server));
    const open = async source => {
      const connection = await connectProxied(server, `${line(source)}GET /health HTTP/1.1\r\nHost: x\r\n\r\n`);
      const { status } = await connection.response().catch(() => ({ status: 503 })); // it may be reset
      return { connection, status };
    };
    const waiting = await Promise.all(upTo(10).map(() => connectProxied(server, 'PROXY '))); // nobody's yet
    const alices = [await open('203.0.113.1'), await open('203.0.113.1'), await open('203.0.113.1')];
    assert.deepEqual(alices.map(({ status }) => status), [200, 200, 503]);
    const bob = await open('203.0.113.2');
    assert.equal(bob.status, 200);
    for (const { connection } of alices) connection.destroy();
    await until(async () => {
      const { connection, status } = await open('203.0.113.1');
      connection.destroy();
      return status === 200;
    }, 'a place');
    for (const connection of [...waiting, bob.connection]) connection.destroy();
  });

  test('those that have not come yet have places too', async t => {
    const server = await startServer({ env: { ...proxyEnv, MAX_CONNECTIONS: '10', WORKERS: '1' } });
    t.after(() => stopServer(server));
    const isFull = async () => {
      const connection = await Connection.connect(server);
      connection.write(get('/health'));
      const { status } = await connection.response().catch(() => ({ status: 503 }));
      connection.destroy();
      return status === 503;
    };
    await until(async () => !(await isFull()), 'a place');
    const waiting = await Promise.all(upTo(10).map(() => connectProxied(server, 'PROXY ')));
    assert.equal(await isFull(), true);
    for (const connection of waiting) connection.destroy();
    await until(async () => !(await isFull()), 'places');
  });

  test('each client has its own rates', async t => {
    const server = await startServer({ env: { ...proxyEnv, RATE_LIMIT_DISABLED: '0', RATE_LIMITS: 'requests=3/1d' } });
    t.after(() => stopServer(server));
    const ask = async source => {
      const connection = await connectProxied(server, line(source) + get('/api/chats'));
      const { status } = await connection.response();
      connection.destroy();
      return status;
    };
    const statuses = [];
    for (let i = 0; i < 4; i++) statuses.push(await ask('203.0.113.1'));
    assert.deepEqual(statuses, [401, 401, 401, 429]);
    assert.equal(await ask('203.0.113.2'), 401);
  });
});

test('a proxy may look whether somebody listens, and nothing is logged', async t => {
  const server = await startServer({ env: proxyEnv });
  t.after(() => stopServer(server));
  for (let i = 0; i < 20; i++) {
    const connection = await connectProxied(server, '');
    connection.socket.end();
    await connection.waitForEnd();
  }
  assert.deepEqual(await askProxied(server, local), [200, proxyAddress]);
  assert.deepEqual(server.logs.filter(entry => entry.msg === 'connections of proxies are closed'), []);
});

test('half a header is waited for without work', async t => {
  const server = await startServer({ env: proxyEnv });
  t.after(() => stopServer(server));
  const cpu = () => Number(readFileSync(`/proc/${server.pid}/stat`, 'utf8').split(' ').slice(13, 15).reduce((a, b) => +a + +b));
  const waiting = await Promise.all(['PROXY TCP4', block('203.0.113.9').subarray(0, 20)].map(part => connectProxied(server, part)));
  await new Promise(resolve => setTimeout(resolve, 200));
  const before = cpu();
  await new Promise(resolve => setTimeout(resolve, 600));
  assert.ok(cpu() - before < 25, 'it waits at work');
  for (const connection of waiting) connection.destroy();
});

test('a proxy whose header does not come in time is cut off', async t => {
  const server = await startServer({ env: { ...proxyEnv, REQUEST_TIMEOUT_SECONDS: '1', WORKERS: '1' } });
  t.after(() => stopServer(server));
  const silent = await connectProxied(server, '');
  const slow = await connectProxied(server, 'PROXY UNKNOWN ');
  const half = await connectProxied(server, block('203.0.113.9').subarray(0, 20));
  let dripped = 0;
  await until(async () => {
    if (!slow.ended && ++dripped < 90) slow.write('x');
    assert.equal((await fetch(`${server.url}/health`)).status, 200);
    return silent.ended && slow.ended && half.ended;
  }, 'them to be cut off', patienceMs);
  for (const connection of [silent, slow, half]) {
    assert.equal(connection.received.length, 0);
    connection.destroy();
  }
  assert.match((await server.waitForLog(entry => entry.msg === 'connections of proxies are closed')).reason, /in time/);
});

test('the PROXY protocol comes before TLS', async t => {
  const { key, certificate } = temporaryCertificate('IP:127.0.0.1');
  const server = await startServer({ env: { ...proxyEnv, TLS_CERT: certificate, TLS_KEY: key } });
  t.after(() => stopServer(server));
  const proxy = await startProxy(server, '');
  t.after(() => proxy.close());
  for (const header of [line('203.0.113.9'), block('203.0.113.9')]) {
    proxy.header = header;
    const [one, two] = [unique('tls'), unique('tls')];
    const status = await new Promise((resolve, reject) => {
      const options = { rejectUnauthorized: false, agent: false, headers: { 'x-request-id': one } };
      https.get(`${proxy.url}/health`, options, response => resolve(response.resume().statusCode)).on('error', reject);
    });
    const session = http2.connect(proxy.url, { rejectUnauthorized: false });
    assert.deepEqual([status, await requestHttp2(session, { ':path': '/health', 'x-request-id': two })], [200, 200]);
    session.destroy();
    for (const id of [one, two]) {
      assert.equal((await server.waitForLog(entry => entry.requestId === id)).address, '203.0.113.9');
    }
  }
  proxy.header = ''; // TLS alone
  await assert.rejects(new Promise((resolve, reject) => {
    https.get(`${proxy.url}/health`, { rejectUnauthorized: false, agent: false }, resolve).on('error', reject);
  }));
});

test('without PROXY_PROTOCOL a header is no request, whoever sends it', async t => {
  const server = await startServer({ env: { TRUST_PROXY: proxyAddress } });
  t.after(() => stopServer(server));
  for (const header of [line('203.0.113.9'), block('203.0.113.9')]) {
    const connection = await connectProxied(server, Buffer.concat([Buffer.from(header), Buffer.from(get('/health'))]));
    assert.equal((await connection.response()).status, 400);
    connection.destroy();
  }
});

test('proxies that have not said anything yet do not keep the server from ending', async () => {
  const server = await startServer({ env: { ...proxyEnv, DRAIN_SECONDS: '20', REQUEST_TIMEOUT_SECONDS: '3600' } });
  const waiting = await Promise.all(upTo(10).map(i => connectProxied(server, i % 2 ? '' : 'PROXY ')));
  await stopServer(server);
  assert.ok(server.logs.some(entry => entry.msg === 'stopped'), server.logText());
  for (const connection of waiting) connection.destroy();
});
