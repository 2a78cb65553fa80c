// What /metrics tells Prometheus: well-formed, and what was done shows in it.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';

import { Client, assertFails, friends, nobody, patienceMs, stopServer, upTo } from '../support/api.mjs';
import { EventStream } from '../support/event_stream.mjs';
import { holdTable } from '../support/hold.mjs';
import { startNodes } from '../support/nodes.mjs';
import { freePort, root, startServer, until } from '../support/server.mjs';

/** The samples by name and labels, as they stand there. */
async function read(server) {
  const response = await fetch(`${server.url}/metrics`);
  assert.equal(response.status, 200);
  assert.match(response.headers.get('content-type'), /^text\/plain; version=0\.0\.4/);
  const lines = (await response.text()).trimEnd().split('\n').filter(line => !line.startsWith('#'));
  return new Map(lines.map(line => line.split(/ (?=[^ ]*$)/)).map(([name, value]) => [name, Number(value)]));
}

describe('metrics', () => {
  let server;

  before(async () => (server = await startServer({ env: { RATE_LIMIT_DISABLED: '0', RATE_LIMITS: 'typing=2/1d,logins=off' } })));
  after(() => stopServer(server));

  const value = async name => (await read(server)).get(name) ?? 0;

  /** Waits until the value is there: what is counted when a reply has left may be told a moment later. */
  const becomes = (name, wanted) =>
    until(async () => (await value(name)) === wanted, `${name} to be ${wanted}`, patienceMs);

  test('are in the format of Prometheus, each metric once, and on their page', async () => {
    await Client.register(server);
    const text = await (await fetch(`${server.url}/metrics`)).text();
    const sample = /^([a-z_:][a-z0-9_:]*)(\{[a-z_]+="[^"]*"(,[a-z_]+="[^"]*")*\})? -?[0-9.e+-]+$/i;
    const [types, helps, seen] = [new Map(), new Set(), new Set()];
    let current;
    for (const line of text.trimEnd().split('\n')) {
      const header = /^# (HELP|TYPE) (\S+) (.+)$/.exec(line);
      if (header?.[1] === 'HELP') {
        assert.ok(!helps.has(header[2]), `${header[2]} twice`);
        helps.add(current = header[2]);
      } else if (header) {
        assert.equal(header[2], current);
        types.set(current, header[3]);
      } else {
        const [, name] = sample.exec(line) ?? assert.fail(line);
        const base = types.get(current) === 'histogram' ? name.replace(/_(bucket|sum|count)$/, '') : name;
        assert.equal(base, current, line);
        const key = line.slice(0, line.lastIndexOf(' '));
        assert.ok(!seen.has(key), `${key} twice`);
        seen.add(key);
        if (types.get(current) === 'counter') assert.match(name, /_total$/);
      }
    }
    assert.deepEqual([...helps].sort(), [...types.keys()].sort());

    const page = readFileSync(path.join(root, 'docs/metrics.md'), 'utf8');
    for (const [name, type] of types) assert.ok(page.includes(`| \`${name}\` | ${type} |`), `docs/metrics.md lacks ${name}`);
  });

  test('requests count by route and status, with their durations', async () => {
    const alice = await Client.register(server);
    const labels = 'method="DELETE",route="/api/auth/sessions/:id"';
    const total = status => `stonechat_http_requests_total{${labels},status="${status}"}`;
    const end = (client, id) => client.request('DELETE', `/api/auth/sessions/${id}`);
    for (const _ of upTo(3)) await end(alice, nobody);
    await end(alice, 'no-id');
    await end(new Client(server), nobody);
    for (const [status, count] of [[404, 3], [400, 1], [401, 1]]) await becomes(total(status), count);
    const after = await read(server);
    const duration = suffix => after.get(`stonechat_http_request_duration_seconds_${suffix}`);
    assert.equal(duration(`count{${labels}}`), 5);
    assert.equal(duration(`bucket{${labels},le="+Inf"}`), 5);
    assert.ok(duration(`sum{${labels}}`) > 0);
    const buckets = [...after].filter(([name]) => name.startsWith(`stonechat_http_request_duration_seconds_bucket{${labels}`));
    assert.deepEqual(buckets.map(([, count]) => count), buckets.map(([, count]) => count).sort((a, b) => a - b));
    await fetch(`${server.url}/no/such/path`);
    await becomes('stonechat_http_requests_total{method="GET",route="other",status="404"}', 1);
  });

  test('socket events count by name and by what came of them', async () => {
    const [alice, bob] = await friends(server, 'alice', 'bob');
    const device = await alice.connect();
    const total = (event, status) => `stonechat_socket_events_total{event="${event}",status="${status}"}`;
    for (const _ of upTo(2)) await device.done('typing', { receiverId: bob.id });
    await device.ask('typing', { receiverId: bob.id });
    await device.ask('private-message', { receiverId: nobody, content: 'x' });
    await device.ask('no-such-event', {});
    await becomes(total('typing', 200), 2);
    await becomes(total('typing', 429), 1);
    await becomes(total('private-message', 403), 1);
    await becomes(total('other', 400), 1);
    assert.equal(await value('stonechat_rate_limited_total{rule="typing"}'), 1);
    assert.equal(await value('stonechat_socket_event_duration_seconds_count{event="typing"}'), 3);
  });

  test('sessions, connections and the database are told as they are', async () => {
    const alice = await Client.register(server);
    const [sessions, before] = [await value('stonechat_sessions'), await read(server)];
    const stream = await EventStream.open(alice);
    const [device, other] = [await alice.connect(), await alice.connect()];
    await becomes('stonechat_sessions', sessions + 3);
    const started = how => `stonechat_sessions_started_total{how="${how}"}`;
    assert.equal(await value(started('new')), before.get(started('new')) + 3);
    assert.ok((await value('stonechat_connections')) >= 3);
    for (const one of [device, other, stream]) one.close();
    await becomes('stonechat_sessions', sessions);
    const resumed = await EventStream.open(alice, { headers: { 'last-event-id': stream.lastEventId } });
    await becomes(started('resumed'), before.get(started('resumed')) + 1);
    resumed.close();
    const lost = new EventStream(alice, { headers: { 'last-event-id': '999999' } });
    await lost.next('reset');
    await becomes(started('reset'), before.get(started('reset')) + 1);
    lost.close();
    const after = await read(server);
    assert.ok(after.get('stonechat_db_connections') >= 2);
    assert.equal(after.get('stonechat_db_waiting'), 0);
    assert.equal(after.get('stonechat_passwords_waiting'), 0);
    for (const name of ['db_call_duration_seconds', 'db_group_size', 'password_duration_seconds']) {
      assert.ok(after.get(`stonechat_${name}_count`) > 0, name);
    }
  });

  test('what is at the database is told while it is there', async t => {
    const alice = await Client.register(server);
    const hold = await holdTable(t, server, 'users');
    const reply = alice.get('/api/users/me');
    await until(async () => (await value('stonechat_db_executing')) >= 1, 'a statement that waits', patienceMs);
    await hold.release();
    assert.equal((await reply).status, 200);
    await becomes('stonechat_db_executing', 0);
  });
});

test('the lag between nodes is measured', async () => {
  const nodes = await startNodes({}, {});
  await until(async () => (await read(nodes[0])).get('stonechat_bus_lag_seconds_count') > 0, 'news that came back', patienceMs);
  for (const node of nodes) await node.stop();
});

describe('METRICS_ADDR', () => {
  test('has the metrics to itself, and the health too', async t => {
    const port = await freePort();
    const server = await startServer({ env: { METRICS_ADDR: `127.0.0.1:${port}` } });
    t.after(() => stopServer(server));
    const operators = `http://127.0.0.1:${port}`;
    const alice = await Client.register(server);
    await until(async () => [...(await read({ url: operators }))].some(([name]) => name.includes('/api/auth/register')), 'its metrics');
    assert.equal((await fetch(`${operators}/health/ready`)).status, 200);
    for (const path of ['/api/users/me', '/api/docs/', '/', '/socket.io/?EIO=4&transport=polling']) {
      const reply = await fetch(`${operators}${path}`, { headers: { authorization: `Bearer ${alice.token}` } });
      assert.equal(reply.status, 404, path);
    }
    assertFails(await alice.get('/metrics'), 404, 'NOT_FOUND');
  });

  test('that is taken keeps the server from starting', async t => {
    const other = net.createServer().listen(0, '127.0.0.1');
    t.after(() => other.close());
    await once(other, 'listening');
    const taken = `127.0.0.1:${other.address().port}`;
    await assert.rejects(startServer({ env: { METRICS_ADDR: taken } }), error => {
      assert.match(error.message, /cannot listen: set another address or a free port.*"setting":"METRICS_ADDR"/);
      return true;
    });
  });
});
