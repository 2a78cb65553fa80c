// Sockets in the hands of those who mean harm: each is refused or sent away, by Socket.IO and by /ws alike, and the others
// notice nothing.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { friends, stopServer } from '../support/api.mjs';
import { RawWebSocket, exchange } from '../support/raw.mjs';
import { startServer } from '../support/server.mjs';

const websocket = '/socket.io/?EIO=4&transport=websocket';
const polling = '/socket.io/?EIO=4&transport=polling';

describe('pages of other origins', () => {
  let server, alice;

  before(async () => {
    server = await startServer({ env: { ALLOWED_ORIGINS: 'https://chat.example' } });
    [alice] = await friends(server, 'alice');
  });
  after(() => stopServer(server));

  const foreign = ['https://evil.example', 'https://chat.example.evil.example', 'http://chat.example', 'null', 'https://'];
  const welcome = ['https://chat.example', 'http://localhost', undefined]; // the own host's, and who is no browser

  test('open no WebSocket', async () => {
    for (const target of [websocket, `/ws?token=${alice.token}`]) {
      const statusFor = async origin => {
        const socket = await RawWebSocket.open(server, target, { Origin: origin });
        socket.destroy();
        return socket.upgrade.status;
      };
      for (const origin of foreign) assert.equal(await statusFor(origin), 403, `${target} ${origin}`);
      for (const origin of welcome) assert.equal(await statusFor(origin), 101, `${target} ${origin}`);
    }
  });

  test('open no session by polling, and use none', async () => {
    const ask = (method, target, origin, body = '') =>
      exchange(server, `${method} ${target} HTTP/1.1\r\nContent-Length: ${body.length}${origin ? `\r\nOrigin: ${origin}` : ''}`, body);
    for (const origin of foreign) {
      const refusal = await ask('GET', polling, origin);
      assert.deepEqual([refusal.status, JSON.parse(refusal.body).code], [403, 4], origin);
    }
    for (const origin of welcome) assert.equal((await ask('GET', polling, origin)).status, 200, origin);
    const { sid } = JSON.parse((await ask('GET', polling)).body.slice(1));
    assert.equal((await ask('POST', `${polling}&sid=${sid}`, foreign[0], '40')).status, 403);
    assert.equal((await ask('GET', `${polling}&sid=${sid}`, foreign[0])).status, 403);
    assert.equal((await ask('POST', `${polling}&sid=${sid}`, welcome[0], '40')).status, 200);
    const upgrade = await RawWebSocket.open(server, `${websocket}&sid=${sid}`, { Origin: foreign[0] });
    assert.equal(upgrade.upgrade.status, 403);
    upgrade.destroy();
  });
});
