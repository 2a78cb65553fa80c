// Who a client is, behind proxies that are trusted and for those who only pretend: what the log says of the request.

import assert from 'node:assert/strict';
import http2 from 'node:http2';
import { after, before, describe, test } from 'node:test';

import { stopServer, unique } from '../support/api.mjs';
import { startServer } from '../support/server.mjs';

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
