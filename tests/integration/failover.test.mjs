// PostgreSQL fails over: DATABASE_URL names the primary and its standby, and the nodes find whichever takes writes.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import net from 'node:net';
import { after, before, describe, test } from 'node:test';

import { friends, patienceMs, stopServer, upTo } from '../support/api.mjs';
import { at, meet, Witness } from '../support/nodes.mjs';
import { query, sharedPostgres, startPostgres, startServer, startStandby, until } from '../support/server.mjs';

/** The address of a database of the first one, wherever it is served. */
async function urlOfBoth(primary, standby) {
  const url = await primary.createDatabase();
  return `${url},${encodeURIComponent(standby.sockets)}&target_session_attrs=read-write`;
}

describe('a standby takes over', () => {
  let primary, standby, nodes;

  before(async () => {
    primary = await startPostgres();
    standby = await startStandby(primary);
    const databaseUrl = await urlOfBoth(primary, standby);
    await query(primary.url(), `ALTER SYSTEM SET synchronous_standby_names = '*'`);
    await query(primary.url(), 'SELECT pg_reload_conf()');
    const states = `SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'`;
    await until(async () => (await query(primary.url(), states)) === '1', 'the standby to be synchronous', patienceMs);
    nodes = await Promise.all([startServer({ databaseUrl }), startServer({ databaseUrl })]);
    await meet(nodes);
  });
  after(async () => {
    for (const node of nodes ?? []) await stopServer(node);
    await standby?.destroy();
    await primary?.destroy();
  });

  test('what was acknowledged is there, and is delivered once and in order', async () => {
    const [alice, bob] = await friends(nodes[0], 'alice', 'bob');
    const witnesses = await Promise.all(nodes.map(async node => new Witness(await at(bob, node).connect())));
    const acknowledged = new Map();
    let failures = 0;

    // One after the other, each until it is acknowledged, by both nodes in turn.
    async function writeAll(writer) {
      for (const i of upTo(30)) {
        const clientId = `failover ${writer} ${i}`;
        await until(async () => {
          const client = at(alice, nodes[(writer + i) % nodes.length]);
          const reply = await client.post('/api/messages', { receiverId: bob.id, content: clientId, clientId });
          if (reply.status === 503) failures++;
          else acknowledged.set(clientId, reply.data.id);
          return reply.status < 300;
        }, 'an acknowledgement', 2 * patienceMs);
      }
    }
    const writing = Promise.all(upTo(6).map(writeAll));
    await until(() => acknowledged.size > 40, 'some messages', patienceMs);
    await primary.kill();
    await until(() => failures > 0, 'a failure', patienceMs);
    await standby.promote();
    await writing;

    const history = await bob.wholeHistory(alice);
    assert.deepEqual(history.map(message => message.seq), upTo(180));
    assert.deepEqual(history.map(message => message.id).sort(), [...acknowledged.values()].sort());
    for (const { device, messages, offsets } of witnesses) {
      await until(() => messages.length >= history.length, 'the last message', patienceMs);
      assert.deepEqual(messages, history.map(message => message.id));
      assert.deepEqual(offsets, upTo(offsets.length).map(i => offsets[0] + i - 1));
      device.close();
    }
  });
});

// A port whose queue is full: who connects hears nothing, as of a machine that is gone. Ends with its input.
const deadPort = `
import socket, sys
listener = socket.create_server(('127.0.0.1', 0), backlog=0)
guests = [socket.socket() for _ in range(4)]
for guest in guests:
    guest.setblocking(False)
    guest.connect_ex(listener.getsockname())
print(listener.getsockname()[1], flush=True)
sys.stdin.read()
`;

describe('a first host', { concurrency: true }, () => {
  // A server whose address names that port first, then where the database is.
  async function chatWith(port) {
    const url = await (await sharedPostgres()).createDatabase();
    const server = await startServer({ databaseUrl: `${url.replace('host=', 'host=127.0.0.1,')}&port=${port},5432` });
    const [alice, bob] = await friends(server, 'alice', 'bob');
    const phone = await bob.connect();
    const message = await alice.send(bob, 'hi');
    assert.deepEqual(await phone.next('private-message'), message);
    phone.close();
    await server.stop();
  }

  test('that does not answer at all is passed over', async () => {
    const dead = spawn('/usr/bin/python3', ['-c', deadPort], { stdio: ['pipe', 'pipe', 'inherit'] });
    try {
      const [port] = await once(dead.stdout.setEncoding('utf8'), 'data');
      await chatWith(port.trim());
    } finally {
      dead.stdin.end();
    }
  });

  test('that takes connections and never says anything is passed over', async () => {
    const mute = net.createServer().listen(0, '127.0.0.1');
    await once(mute, 'listening');
    try {
      await chatWith(mute.address().port);
    } finally {
      mute.close();
    }
  });
});
