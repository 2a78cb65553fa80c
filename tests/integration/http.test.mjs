// HTTP itself: versions, methods, limits, headers, CORS, TLS, health and the log.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import http2 from 'node:http2';
import https from 'node:https';
import { after, before, describe, test } from 'node:test';
import tls from 'node:tls';
import { gunzipSync } from 'node:zlib';

import { Client, Device, assertFails, friends, stopServer, timePattern } from '../support/api.mjs';
import { Connection, exchange } from '../support/raw.mjs';
import { startServer, temporaryCertificate } from '../support/server.mjs';

const maxBody = 262144;
const origin = 'http://localhost:3000';

const helmet = {
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'origin-agent-cluster': '?1',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'x-dns-prefetch-control': 'off',
  'x-download-options': 'noopen',
  'x-frame-options': 'SAMEORIGIN',
  'x-permitted-cross-domain-policies': 'none',
  'x-xss-protection': '0',
};

// One request over an HTTP/2 session: `{status, headers, body}`; with `reset` the stream's error code if it was reset.
async function requestH2(session, headers, body) {
  const stream = session.request(headers, { endStream: body === undefined });
  const closed = new Promise(resolve => stream.on('close', resolve));
  let answer = {};
  let text = '';
  stream.on('response', received => (answer = received));
  stream.setEncoding('utf8').on('data', data => (text += data));
  stream.on('error', () => {});
  if (body !== undefined) stream.end(body);
  await closed;
  return { status: answer[':status'], headers: answer, body: text, reset: stream.rstCode };
}

// One request by node's client, which neither unpacks nor judges.
function request(url, options) {
  return new Promise((resolve, reject) => {
    const { request: send } = url.startsWith('https:') ? https : http;
    send(url, options, response => {
      const parts = [];
      response.on('data', part => parts.push(part));
      response.on('end', () => {
        resolve({ status: response.statusCode, headers: response.headers, body: Buffer.concat(parts) });
      });
    }).on('error', reject).end();
  });
}

describe('http', () => {
  let server, alice;

  before(async () => {
    server = await startServer();
    alice = await Client.register(server, 'alice');
  });
  after(() => stopServer(server));

  const failure = async response => {
    const body = await response.json();
    return { status: response.status, headers: response.headers, body, code: body.code };
  };

  test('a path that is not there is 404, in JSON', async () => {
    for (const pathname of [
      '/api/nothing', '/api', '/api/messages/1/2', '/api/messagesx', '/../../etc/passwd', '/api/docs/../../x',
    ]) {
      const response = await request(`${server.url}${pathname}`, { path: pathname });
      assert.equal(response.status, 404, pathname);
      const body = JSON.parse(response.body);
      assert.deepEqual([body.success, body.code], [false, 'NOT_FOUND'], pathname);
      assert.equal(body.requestId, response.headers['x-request-id']);
      assert.doesNotMatch(body.message, /\//);
    }
  });

  test('a known path with another method is 405 and says which are allowed', async () => {
    for (const [method, pathname, allowed] of [
      ['DELETE', '/api/messages', ['GET', 'POST']],
      ['GET', '/api/auth/login', ['POST']],
      ['POST', '/api/chats', ['GET']],
      ['PATCH', '/health', ['GET']],
    ]) {
      const response = await fetch(`${server.url}${pathname}`, { method });
      assertFails(await failure(response), 405, 'METHOD_NOT_ALLOWED');
      const allow = response.headers.get('allow').split(/, */);
      for (const name of allowed) assert.ok(allow.includes(name), `${pathname}: ${allow}`);
      assert.ok(!allow.includes(method));
    }
  });

  test('a body over the limit is 413, and one at the limit is read', async () => {
    const post = body => alice.post('/api/messages', body);
    const atLimit = await post('x'.repeat(maxBody));
    assertFails(atLimit, 400, 'INVALID_PAYLOAD');
    const head = `POST /api/auth/login HTTP/1.1\r\nContent-Type: application/json`;
    const chunk = 'x'.repeat(maxBody + 1);
    const declared = await exchange(server, `${head}\r\nContent-Length: ${maxBody + 1}`, chunk);
    const chunked = await exchange(server, `${head}\r\nTransfer-Encoding: chunked`,
      `${chunk.length.toString(16)}\r\n${chunk}\r\n0\r\n\r\n`);
    for (const response of [declared, chunked]) {
      assert.equal(response.status, 413, response.body);
    }
    assert.equal(JSON.parse(declared.body).code, 'PAYLOAD_TOO_LARGE');
    for (const length of [3 << 20, 99999999999999]) { // at once: nobody waits for so much
      assert.equal((await exchange(server, `${head}\r\nContent-Length: ${length}`)).status, 413, `${length}`);
    }
  });

  test('a body that is not JSON by its type is 415', async () => {
    const user = { username: alice.username, password: 'correct horse' };
    const send = type => alice.post('/api/auth/login', user, { 'content-type': type });
    const forms = ['application/x-www-form-urlencoded', 'multipart/form-data; boundary=x'];
    for (const type of ['text/plain', 'application/jsonx', ...forms]) {
      assertFails(await send(type), 415, 'UNSUPPORTED_MEDIA_TYPE');
    }
    for (const type of ['application/json', 'application/json; charset=utf-8', 'Application/JSON']) {
      assert.equal((await send(type)).status, 200, type);
    }
    const body = JSON.stringify(user);
    const untyped = await exchange(server, `POST /api/auth/login HTTP/1.1\r\nContent-Length: ${body.length}`, body);
    assert.equal(untyped.status, 415);
  });

  test('HEAD answers as GET, without the body', async () => {
    const head = `HTTP/1.1\r\nAuthorization: Bearer ${alice.token}\r\nConnection: close`;
    for (const [target, status] of [
      ['/health', 200], ['/api/users/me', 200], ['/api/docs/openapi.yaml', 200], ['/nothing', 404],
    ]) {
      const connection = await Connection.connect(server);
      connection.write(`HEAD ${target} ${head}\r\nHost: localhost\r\n\r\n`);
      const response = await connection.response({ isHead: true });
      await connection.waitForEnd();
      assert.deepEqual([response.status, connection.received.toString()], [status, ''], target);
    }
  });

  test('a connection is kept, and requests sent ahead are answered in order', async () => {
    const connection = await Connection.connect(server);
    const get = (target, id) => `GET ${target} HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: ${id}\r\n\r\n`;
    connection.write(get('/health', 'first') + get('/api/chats', 'second') + get('/nothing', 'third'));
    const answers = [];
    for (let i = 0; i < 3; i++) answers.push(await connection.response());
    assert.deepEqual(answers.map(answer => answer.status), [200, 401, 404]);
    assert.deepEqual(answers.map(answer => answer.headers['x-request-id']), ['first', 'second', 'third']);
    connection.write(get('/health', 'fourth'));
    assert.equal((await connection.response()).status, 200);
    connection.destroy();
  });

  test('HTTP/2 works without TLS, many requests at once', async () => {
    const session = http2.connect(server.url);
    const authorization = `Bearer ${alice.token}`;
    const me = { ':path': '/api/users/me', authorization };
    const answers = await Promise.all(Array.from({ length: 50 }, () => requestH2(session, me)));
    for (const answer of answers) {
      assert.equal(answer.status, 200);
      assert.equal(JSON.parse(answer.body).data.id, alice.id);
    }
    const head = await requestH2(session, { ':path': '/health', ':method': 'HEAD' });
    assert.deepEqual([head.status, head.body], [200, '']);
    const post = { ':path': '/api/auth/login', ':method': 'POST' };
    const json = { ...post, 'content-type': 'application/json' };
    assert.equal((await requestH2(session, { ...post, 'content-type': 'text/plain' }, '{}')).status, 415);
    assert.equal((await requestH2(session, json, '{}')).status, 400);
    assert.equal((await requestH2(session, { ':path': '/api/auth/login' })).status, 405);
    const body = 'x'.repeat(maxBody + 1);
    const declared = await requestH2(session, { ...json, 'content-length': body.length }, body);
    assert.equal(declared.status, 413);
    assert.equal(JSON.parse(declared.body).code, 'PAYLOAD_TOO_LARGE');
    const undeclared = await requestH2(session, json, body);
    assert.ok(undeclared.status === 413 || undeclared.reset !== 0, JSON.stringify(undeclared));
    assert.equal((await requestH2(session, { ':path': '/health' })).status, 200);
    session.close();
  });

  test('every reply carries the headers that Helmet sends', async () => {
    for (const pathname of ['/health', '/api/chats', '/nothing', '/api/docs/']) {
      const { headers } = await fetch(`${server.url}${pathname}`);
      for (const [name, value] of Object.entries(helmet)) assert.equal(headers.get(name), value, `${pathname} ${name}`);
      assert.match(headers.get('strict-transport-security'), /^max-age=\d{8}; includeSubDomains/);
      assert.match(headers.get('content-security-policy'), /default-src/);
      assert.equal(headers.get('x-powered-by'), null);
    }
  });

  test('an allowed origin may use the API with credentials, another may not', async () => {
    const get = from => fetch(
      `${server.url}/api/users/me`, { headers: { origin: from, authorization: `Bearer ${alice.token}` } }
    );
    for (const from of [origin, 'http://localhost:5173']) {
      const { headers } = await get(from);
      assert.equal(headers.get('access-control-allow-origin'), from);
      assert.equal(headers.get('access-control-allow-credentials'), 'true');
      assert.match(headers.get('vary') ?? '', /origin/i);
    }
    for (const from of [
      'http://localhost:3001', 'https://localhost:3000', 'http://localhost:30000', 'http://evil.example', 'null',
    ]) {
      const { headers } = await get(from);
      assert.equal(headers.get('access-control-allow-origin'), null, from);
    }
    const failed = await fetch(`${server.url}/api/users/me`, { headers: { origin } });
    assert.equal(failed.status, 401);
    assert.equal(failed.headers.get('access-control-allow-origin'), origin);
  });

  test('a preflight allows what the API needs, and may be cached', async () => {
    const preflight = (from, pathname = '/api/messages') => fetch(`${server.url}${pathname}`, {
      method: 'OPTIONS',
      headers: {
        origin: from,
        'access-control-request-method': 'POST',
        'access-control-request-headers': 'authorization,content-type,idempotency-key,x-request-id',
      },
    });
    const { status, headers } = await preflight(origin);
    assert.ok(status === 204 || status === 200);
    assert.equal(headers.get('access-control-allow-origin'), origin);
    assert.equal(headers.get('access-control-allow-credentials'), 'true');
    assert.match(headers.get('access-control-allow-methods'), /POST/);
    const allowed = headers.get('access-control-allow-headers').toLowerCase();
    for (const name of ['authorization', 'content-type', 'idempotency-key', 'x-request-id']) {
      assert.ok(allowed.includes(name), name);
    }
    assert.ok(Number(headers.get('access-control-max-age')) > 0);
    assert.equal((await preflight('http://evil.example')).headers.get('access-control-allow-origin'), null);
    assert.equal((await preflight(origin, '/socket.io/')).headers.get('access-control-allow-origin'), origin);
  });

  test('long replies are packed for who asks, and the others get them as they are', async () => {
    const [one, other] = await friends(server, 'one', 'other');
    for (let i = 0; i < 10; i++) await one.send(other, 'all work and no play '.repeat(20));
    const options = encoding => ({ headers: { authorization: `Bearer ${one.token}`, 'accept-encoding': encoding } });
    const url = `${server.url}/api/messages?withUserId=${other.id}`;
    const plain = await request(url, options('identity'));
    const packed = await request(url, options('gzip, deflate, br'));
    assert.equal(plain.headers['content-encoding'], undefined);
    assert.equal(packed.headers['content-encoding'], 'gzip');
    assert.match(packed.headers.vary, /accept-encoding/i);
    assert.deepEqual(JSON.parse(gunzipSync(packed.body)), JSON.parse(plain.body));
    assert.ok(packed.body.length < plain.body.length / 4);
  });

  test('a request id that is sane is taken, any other is replaced', async () => {
    const get = id => fetch(`${server.url}/api/chats`, { headers: id === undefined ? {} : { 'x-request-id': id } });
    for (const id of ['abc-123', 'A.b_C', '0190a0b0-c0d0-7123-8123-0123456789ab']) {
      const response = await get(id);
      assert.equal(response.headers.get('x-request-id'), id);
      assert.equal((await response.json()).requestId, id);
    }
    const made = new Set();
    for (const id of [undefined, 'with space', '"quoted"', '{"a":1}', 'x'.repeat(2000), '<b>', 'ü']) {
      const response = await get(id);
      const taken = response.headers.get('x-request-id');
      assert.match(taken, /^[\w.-]{8,64}$/, id);
      made.add(taken);
    }
    assert.equal(made.size, 7);
  });

  test('each request is one line of the log', async () => {
    const get = (pathname, id) => fetch(`${server.url}${pathname}`, {
      headers: { authorization: `Bearer ${alice.token}`, 'x-request-id': id },
    });
    const body = await (await get('/api/users/me?token=secret-in-the-query', 'log-one')).text();
    await (await get('/nothing', 'log-two')).text();
    const linesOf = id => server.logs.filter(line => Object.values(line).includes(id));
    await server.waitForLog(line => Object.values(line).includes('log-two'));
    await server.waitForLog(line => Object.values(line).includes('log-one'));
    const [line] = linesOf('log-one');
    assert.equal(linesOf('log-one').length, 1);
    assert.deepEqual([line.method, line.path, line.status, line.user], ['GET', '/api/users/me', 200, alice.id]);
    assert.ok(line.bytes >= body.length, JSON.stringify(line));
    assert.equal(typeof line.ms, 'number');
    assert.equal(linesOf('log-two')[0].status, 404);
    assert.doesNotMatch(server.logText(), /secret-in-the-query/);
  });

  test('health is told to anybody', async () => {
    const health = await new Client(server).get('/health');
    assert.equal(health.status, 200);
    assert.deepEqual([Object.keys(health.body), health.body.status], [['status', 'date'], 'ok']);
    assert.match(health.body.date, timePattern);
    for (const pathname of ['/health/live', '/health/ready']) {
      assert.equal((await new Client(server).get(pathname)).status, 200);
    }
  });

  test('metrics are in the format of Prometheus', async () => {
    const response = await fetch(`${server.url}/metrics`);
    assert.equal(response.status, 200);
    assert.match(response.headers.get('content-type'), /^text\/plain; version=0\.0\.4/);
    const lines = (await response.text()).trimEnd().split('\n');
    const sample = /^[a-z_:][a-z0-9_:]*(\{[a-z_]+="[^"]*"(,[a-z_]+="[^"]*")*\})? -?[0-9.e+-]+$/i;
    for (const line of lines) assert.match(line, line.startsWith('#') ? /^# (HELP|TYPE) [a-z_:]+ / : sample);
    assert.ok(lines.some(line => !line.startsWith('#')));
  });

  test('a request that is broken is refused, and the next client is served', async () => {
    const broken = [
      'NONSENSE\r\n\r\n',
      'GET\r\n\r\n',
      'GET / HTTP/9.9\r\n\r\n',
      'GET /health HTTP/1.1\r\nno colon\r\n\r\n',
      'POST /api/auth/login HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n',
      'POST /api/auth/login HTTP/1.1\r\nHost: x\r\nContent-Length: five\r\n\r\n',
      'POST /api/auth/login HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n',
      `GET /${'x'.repeat(200_000)} HTTP/1.1\r\nHost: x\r\n\r\n`,
      `GET / HTTP/1.1\r\nHost: x\r\nX-Long: ${'x'.repeat(200_000)}\r\n\r\n`,
      `GET / HTTP/1.1\r\nHost: x\r\n${'A: b\r\n'.repeat(2000)}\r\n`,
      'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\ngarbage that is no frame at all, but long enough to be one',
      Buffer.from([0x16, 3, 1, 0, 5, 1, 0, 0, 1, 3]),
      Buffer.alloc(1000),
    ];
    for (const bytes of broken) {
      const connection = await Connection.connect(server);
      connection.write(bytes);
      connection.socket.end();
      await connection.waitForEnd();
      const status = /^HTTP\/1\.1 (\d+)/.exec(connection.received.toString('latin1'))?.[1];
      assert.ok(status === undefined || Number(status) >= 400, `${status} for ${bytes.toString().slice(0, 60)}`);
      assert.doesNotMatch(connection.received.toString('latin1'), /\/src\/|\.c:\d|SELECT/);
      connection.destroy();
    }
    assert.equal((await alice.get('/api/users/me')).status, 200);
  });

  test('targets that are written strangely reach no other route', async () => {
    for (const target of [
      '/api//users/me', '/API/users/me', '/api/users/me/', '/api/users/%6de%00', '/api%2fusers%2fme', '*',
    ]) {
      const { status } = await exchange(server, `GET ${target} HTTP/1.1\r\nConnection: close`);
      assert.ok(status === 404 || status === 401 || status === 400, `${target}: ${status}`);
    }
  });
});

describe('https', () => {
  let server, alice;

  before(async () => {
    const { key, certificate } = temporaryCertificate('DNS:localhost,IP:127.0.0.1');
    server = await startServer({ env: { TLS_CERT: certificate, TLS_KEY: key } });
  });
  after(() => stopServer(server));

  const connect = async options => {
    const socket = tls.connect({ port: server.port, host: '127.0.0.1', rejectUnauthorized: false, ...options });
    await once(socket, 'secureConnect');
    const result = [socket.getProtocol(), socket.alpnProtocol];
    socket.destroy();
    return result;
  };

  test('TLS 1.2 and 1.3 are spoken, nothing older, and the protocol is agreed on', async () => {
    for (const version of ['TLSv1.2', 'TLSv1.3']) {
      const versions = { minVersion: version, maxVersion: version };
      assert.deepEqual(await connect({ ...versions, ALPNProtocols: ['h2', 'http/1.1'] }), [version, 'h2']);
      assert.deepEqual(await connect({ ...versions, ALPNProtocols: ['http/1.1'] }), [version, 'http/1.1']);
      assert.deepEqual(await connect(versions), [version, false]);
    }
    await assert.rejects(connect({ minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' }));
  });

  test('the API works over HTTPS, with HTTP/1.1 and HTTP/2', async () => {
    const h1 = await request(`${server.url}/health`, { rejectUnauthorized: false });
    assert.equal(h1.status, 200);
    const session = http2.connect(server.url, { rejectUnauthorized: false });
    const register = { ':path': '/api/auth/register', ':method': 'POST', 'content-type': 'application/json' };
    const reply = await requestH2(session, register, JSON.stringify({ username: 'alice', password: 'correct horse' }));
    assert.equal(reply.status, 201);
    alice = Object.assign(new Client(server), JSON.parse(reply.body).data);
    session.close();
  });

  test('sockets work over TLS', async () => {
    for (const transports of [['polling'], ['websocket'], ['polling', 'websocket']]) {
      const device = new Device(alice, { rejectUnauthorized: false, transports });
      await device.connected();
      const ack = await device.ask('typing', { receiverId: alice.id });
      assert.equal(ack.success, false);
      device.close();
    }
  });

  test('plain HTTP on the port of TLS harms nobody', async () => {
    const connection = await Connection.connect(server);
    connection.write('GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n');
    connection.socket.end();
    await connection.waitForEnd();
    assert.doesNotMatch(connection.received.toString('latin1'), /200/);
    const health = await request(`${server.url}/health`, { rejectUnauthorized: false });
    assert.equal(health.status, 200);
  });
});
