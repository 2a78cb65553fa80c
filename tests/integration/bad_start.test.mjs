// What the machine does not have to give: a port that is taken, too few descriptors.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { chmodSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { before, describe, test } from 'node:test';

import { patienceMs } from '../support/api.mjs';
import { prepareServer, sharedPostgres, temporaryCertificate, temporaryDirectory, until } from '../support/server.mjs';

describe('a server', () => {
  let databaseUrl;

  before(async () => (databaseUrl = await (await sharedPostgres()).createDatabase()));

  /** Started at a port that is taken, it has ended: `{server, port}`. */
  async function startAtTakenPort(env = {}) {
    const other = net.createServer().listen(0, '127.0.0.1');
    await once(other, 'listening');
    const { port } = other.address();
    const server = await prepareServer({ databaseUrl, env: { PORT: `${port}`, ...env } });
    server.launch();
    const { code } = await server.child.ended;
    other.close();
    assert.equal(code, 1, server.logText());
    server.checkReports();
    return { server, port };
  }

  test('whose port is taken ends, and names it', async () => {
    const { server, port } = await startAtTakenPort();
    const { msg, reason, setting, port: named } = server.logs.find(({ level }) => level === 'error');
    assert.match(msg, /set another address or a free port/);
    assert.match(reason, /in use/);
    assert.deepEqual([setting, named], ['HOST, PORT', port]);
  });

  test('whose port is taken ends as well when it has read its certificate already', async () => {
    const { key, certificate } = temporaryCertificate('IP:127.0.0.1');
    const directory = path.dirname(key);
    chmodSync(directory, 0o755);
    chmodSync(key, 0o644);
    const { server } = await startAtTakenPort({ TLS_CERT: certificate, TLS_KEY: key });
    assert.match(server.logs.find(({ level }) => level === 'error').reason, /in use/);
  });

  /** One that may have 500 descriptors. */
  async function startPoor(maxConnections) {
    const server = await prepareServer({ databaseUrl, env: { MAX_CONNECTIONS: `${maxConnections}` } });
    const script = path.join(temporaryDirectory(), 'poor');
    writeFileSync(script, `#!/bin/sh\nulimit -n 500\nexec '${server.binary}'\n`, { mode: 0o755 });
    server.binary = script;
    await server.start();
    return server;
  }
  const isWarning = ({ msg }) => /too few descriptors for MAX_CONNECTIONS/.test(msg);

  test('with too few descriptors for MAX_CONNECTIONS says so, and turns away what is too much', async () => {
    const server = await startPoor(600);
    const warning = server.logs.find(isWarning);
    assert.match(warning.msg, /ulimit -n, LimitNOFILE=/);
    assert.deepEqual([warning.level, warning.possible, warning.descriptors, warning.descriptorsNeeded], ['warn', 450, 500, 670]);
    const sockets = Array.from({ length: 600 }, () => net.connect(server.port, '127.0.0.1').on('error', () => {}));
    await until(() => sockets.filter(socket => socket.destroyed || socket.readableEnded).length >= 150 ||
      sockets.forEach(socket => socket.resume()), 'some to be turned away', patienceMs);
    assert.ok(!server.logs.some(({ msg }) => msg === 'cannot accept connections'));
    for (const socket of sockets) socket.destroy();
    await server.stop();
  });

  test('with enough of them says nothing', async () => {
    for (const count of [450, 0]) {
      const server = await startPoor(count);
      assert.ok(!server.logs.some(isWarning));
      await server.stop();
    }
  });
});
