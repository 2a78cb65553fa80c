// A log that cannot be written: the server goes on, and tells later how much is missing.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { closeSync, constants, createReadStream, openSync, readlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { before, describe, test } from 'node:test';

import { patienceMs } from '../support/api.mjs';
import { prepareServer, sharedPostgres, temporaryDirectory, until } from '../support/server.mjs';

describe('a log', () => {
  let databaseUrl;

  before(async () => (databaseUrl = await (await sharedPostgres()).createDatabase()));

  /** Has the server log 4 MB, more than any pipe holds, and every request answered. */
  async function askALot(server) {
    for (let i = 0; i < 100; i++) {
      const replies = await Promise.all(Array.from({ length: 20 }, (_, n) =>
        fetch(`${server.url}/nowhere/${'x'.repeat(2000)}/${n}`, { signal: AbortSignal.timeout(patienceMs) })));
      for (const reply of replies) {
        assert.equal(reply.status, 404);
        await reply.arrayBuffer();
      }
    }
  }

  const lostLines = async server => Number(
    /^stonechat_log_lines_lost_total (\d+)$/m.exec(await (await fetch(`${server.url}/metrics`)).text())[1]
  );

  /** Reads the log from now on, and waits until it tells what is missing. */
  async function tellsLost(server, stream, count) {
    let text = '';
    stream.setEncoding('utf8').on('data', data => (text += data));
    const line = await until(async () => {
      await (await fetch(`${server.url}/health`)).arrayBuffer(); // something to log
      return text.split('\n').slice(0, -1).find(one => /lines of the log were lost/.test(one));
    }, 'the log to tell', patienceMs);
    assert.ok(JSON.parse(line).lines >= count, line);
  }

  test('whose pipe nobody reads', async () => {
    const server = await prepareServer({ databaseUrl });
    const fifo = path.join(temporaryDirectory(), 'log');
    execFileSync('mkfifo', [fifo]);
    const log = openSync(fifo, constants.O_RDWR | constants.O_NONBLOCK); // both ends are open
    const writer = openSync(fifo, constants.O_WRONLY);
    await server.start({ log: writer });
    closeSync(writer);
    await askALot(server);
    const count = await lostLines(server);
    assert.ok(count > 0);
    const cat = createReadStream(fifo);
    await tellsLost(server, cat, count);
    await server.stop();
    cat.destroy();
    closeSync(log);
  });

  test('whose socket nobody reads', async () => {
    const server = await prepareServer({ databaseUrl });
    await server.start({ log: 'pipe' }); // Node's pipes are sockets, as systemd's are
    await askALot(server);
    const count = await lostLines(server);
    assert.ok(count > 0);
    await tellsLost(server, server.child.stderr, count);
    await server.stop();
  });

  test('whose disk is full', async () => {
    const server = await prepareServer({ databaseUrl });
    const log = openSync('/dev/full', 'w');
    await server.start({ log });
    closeSync(log);
    await until(() => lostLines(server), 'lost lines to be counted', patienceMs);
    await server.stop();
  });

  test('that was closed: nothing else gets its number', async () => {
    const server = await prepareServer({ databaseUrl });
    const script = path.join(temporaryDirectory(), 'closed');
    writeFileSync(script, `#!/bin/sh\nexec '${server.binary}' <&- >&- 2>&-\n`, { mode: 0o755 });
    server.binary = script;
    await server.start();
    for (const fd of [0, 1, 2]) assert.equal(readlinkSync(`/proc/${server.pid}/fd/${fd}`), '/dev/null');
    await server.stop();
  });
});
