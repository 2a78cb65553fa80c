// Connections at their limits: clients that do not read, that reset all they ask for, that are too many; and the server's end
// while some are still served.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, readdirSync, statSync } from 'node:fs';
import http2 from 'node:http2';
import net from 'node:net';
import { after, before, describe, test } from 'node:test';

import { friends, patienceMs, stopServer, upTo } from '../support/api.mjs';
import { holdTable } from '../support/hold.mjs';
import { requestHttp2 } from '../support/http2.mjs';
import { freePort, startServer, until } from '../support/server.mjs';

const pause = ms => new Promise(resolve => setTimeout(resolve, ms));

/** A session whose errors are expected, with `closed` telling that it has ended. */
function connectHttp2(server, options) {
  const session = http2.connect(server.url, options);
  session.on('error', () => {});
  session.ended = new Promise(resolve => session.once('close', resolve));
  return session;
}

describe('connections', () => {
  let server, alice;

  before(async () => {
    server = await startServer({ env: { REQUEST_TIMEOUT_SECONDS: '2', WORKERS: '1' } });
    [alice] = await friends(server, 'alice', 'bob');
  });
  after(() => stopServer(server));

  test('a client by HTTP/1.1 that does not read its replies is cut off', async () => {
    const page = '/api/docs/swagger-ui-bundle.js';
    const { headers } = await fetch(server.url + page, { method: 'HEAD' });
    const total = 40 * Number(headers.get('content-length'));
    const socket = net.connect(server.port, '127.0.0.1');
    await once(socket, 'connect');
    socket.pause();
    socket.write(`GET ${page} HTTP/1.1\r\nHost: localhost\r\n\r\n`.repeat(40));
    await server.waitForLog(line => line.reason === 'it does not read its replies', 60_000);
    let read = 0;
    socket.on('data', data => {
      read += data.length;
    });
    socket.on('error', () => {});
    socket.resume();
    await once(socket, 'close');
    assert.ok(total > 10e6 && read < total, `${read} of ${total}`);
  });

  test('a client by HTTP/2 that gives no window is cut off', { timeout: 30_000 }, async () => {
    const session = connectHttp2(server, { settings: { initialWindowSize: 0 } });
    const stream = session.request({ ':path': '/health' });
    stream.on('error', () => {});
    stream.pause();
    await session.ended;
  });

  test('a client that resets all it asks for is sent away, and others notice nothing', async () => {
    const session = connectHttp2(server);
    await once(session, 'connect');
    let ended = false;
    session.ended.then(() => {
      ended = true;
    });
    let sent = 0;
    while (!ended && sent < 5000) {
      for (let i = 0; i < 20 && !session.closed && !session.destroyed; i++, sent++) {
        const stream = session.request({ ':path': '/api/chats', authorization: `Bearer ${alice.token}` });
        stream.on('error', () => {});
        stream.close(http2.constants.NGHTTP2_CANCEL);
      }
      await new Promise(resolve => setImmediate(resolve));
    }
    assert.ok(ended, `${sent} resets`);
    assert.equal((await alice.get('/api/chats')).status, 200);
  });

  test('a poll whose client leaves is noticed, also when it had sent more before', async () => {
    const path = '/socket.io/?EIO=4&transport=polling';
    for (const more of ['', 'GET /heal']) {
      const { sid } = JSON.parse((await (await fetch(server.url + path)).text()).slice(1));
      const socket = net.connect(server.port, '127.0.0.1');
      await once(socket, 'connect');
      socket.write(`GET ${path}&sid=${sid} HTTP/1.1\r\nHost: localhost\r\n\r\n${more}`);
      await pause(300);
      socket.end();
      await until(async () => (await fetch(`${server.url}${path}&sid=${sid}`, { method: 'POST', body: '3' })).status === 400,
        'the session to be gone', 5000);
      socket.destroy();
    }
  });
});

describe('without free descriptors', () => {
  let server, operators;

  before(async () => {
    operators = await freePort();
    server = await startServer({ env: { METRICS_ADDR: `127.0.0.1:${operators}`, WORKERS: '1' } });
    const fds = readdirSync(`/proc/${server.pid}/fd`).length;
    // Its own user may do that.
    const { uid, gid } = statSync(`/proc/${server.pid}/task`);
    const user = process.getuid() === 0 ? ['setpriv', `--reuid=${uid}`, `--regid=${gid}`, '--clear-groups'] : ['env'];
    execFileSync(user[0], [...user.slice(1), 'prlimit', '--pid', `${server.pid}`, `--nofile=${fds + 10}:`]);
  });
  after(() => stopServer(server));

  function cpu() { // in hundredths of a second, of its own and of the kernel's for it
    const fields = readFileSync(`/proc/${server.pid}/stat`, 'utf8').split(' ');
    return Number(fields[13]) + Number(fields[14]);
  }

  for (const who of ['clients', 'operators']) {
    test(`more ${who} than descriptors wait, and are served when others have gone`, async () => {
      const port = who === 'clients' ? server.port : operators;
      const isFull = line => line.msg === 'cannot accept connections';
      const told = server.logs.filter(isFull).length;
      const sockets = upTo(40).map(() => net.connect(port, '127.0.0.1').on('error', () => {}));
      await until(() => server.logs.filter(isFull).length > told, 'it to be said');
      const before = cpu();
      await pause(500);
      assert.ok(cpu() - before < 25, 'it waits at work');
      for (const socket of sockets) socket.destroy();
      await until(async () => (await fetch(`http://127.0.0.1:${port}/health`)).status === 200, 'an answer');
    });
  }
});

describe('the end of the server', () => {
  async function startBusy(t, drainSeconds) {
    const server = await startServer({ env: { DRAIN_SECONDS: `${drainSeconds}` } });
    await until(async () => (await fetch(`${server.url}/health/ready`)).status === 200, 'the database');
    const [alice] = await friends(server, 'alice', 'bob');
    const session = connectHttp2(server);
    await once(session, 'connect');
    const hold = await holdTable(t, server, 'users');
    const first = alice.get('/api/users/me');
    const second = requestHttp2(session, { ':path': '/api/users/me', authorization: `Bearer ${alice.token}` });
    await until(async () => {
      const metrics = await (await fetch(`${server.url}/metrics`)).text();
      return Number(/^stonechat_db_executing (\d+)$/m.exec(metrics)[1]) >= 2;
    }, 'both to be at the database', patienceMs);
    return { server, hold, first, second };
  }

  test('requests under way are finished, by either version', async t => {
    const { server, hold, first, second } = await startBusy(t, 15);
    const stopped = server.stop();
    await server.waitForLog(line => line.msg === 'stopping', patienceMs);
    await hold.release();
    const [one, two] = await Promise.all([first, second, stopped]);
    assert.deepEqual([one.status, two], [200, 200]);
  });

  test('what is not finished in time is told so, and the server ends cleanly all the same', async t => {
    const { server, first, second } = await startBusy(t, 1);
    const [one] = await Promise.all([first, second, server.stop()]);
    assert.equal(one.status, 503);
  });
});
