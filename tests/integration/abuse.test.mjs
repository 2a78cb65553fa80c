// HTTP in the hands of those who mean harm: each attack is refused, or its connection cut, at little cost; others are served
// meanwhile, and the server's memory stays where it was.

import assert from 'node:assert/strict';
import http2 from 'node:http2';
import { after, before, describe, test } from 'node:test';

import { friends, stopServer, upTo } from '../support/api.mjs';
import { Connection } from '../support/raw.mjs';
import { startServer } from '../support/server.mjs';

/** The status of one request by HTTP/1 on a connection of its own, and whether the server has closed that. */
async function statusOf(server, bytes) {
  const connection = await Connection.connect(server);
  connection.write(bytes);
  const { status, body } = await connection.response();
  return { status, body, connection };
}

/** A request by HTTP/2: its status, or null when the stream ended without one. */
function requestHttp2(session, headers, options) {
  const stream = session.request(headers, options);
  return new Promise(resolve => {
    stream.on('error', () => resolve(null));
    stream.on('close', () => resolve(null));
    stream.on('response', answer => {
      stream.resume();
      resolve(answer[':status']);
    });
  });
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
