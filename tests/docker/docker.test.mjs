// docker/compose.yaml as a user gets it: what runs, who runs it, and that people chat through the proxy, whatever node they
// come to and whatever node goes.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import net from 'node:net';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { parse } from 'yaml';

import { Client, friends, unique } from '../support/api.mjs';
import { until } from '../support/server.mjs';
import { underLoad } from '../faults/chatters.mjs';
import { Stack } from './stack.mjs';

const nodes = ['node1', 'node2'];
const lasting = ['postgres', 'redis', ...nodes, 'proxy', 'prometheus'];
const patienceMs = 60_000;

/** By which version of HTTP it was answered, and with what status. */
async function curl(...args) {
  const wanted = ['-sS', '-o', '/dev/null', '-w', '%{http_version} %{response_code}'];
  return (await promisify(execFile)('curl', [...wanted, ...args])).stdout;
}

describe('docker/compose.yaml', () => {
  let stack;

  before(async () => {
    stack = await Stack.up();
    await stack.healthy(...lasting);
  });
  after(() => stack?.down());

  const prometheus = async path => (await (await fetch(`${stack.prometheusUrl}/api/v1/${path}`)).json()).data;

  /** The nodes that Prometheus reads. */
  const countNodes = async () => Number((await prometheus('query?query=sum(stonechat_build_info)')).result[0]?.value[1]);

  test('what has to be done once is done, and leaves', async () => {
    for (const service of ['secrets', 'migrate']) {
      const { State } = await stack.inspect(service);
      assert.deepEqual([State.Status, State.ExitCode], ['exited', 0], service);
    }
  });

  test('nobody is root, has rights, or writes to the image', async () => {
    for (const service of lasting) {
      const { Config, HostConfig } = await stack.inspect(service);
      assert.equal(Config.User, '10001:10001', service);
      assert.equal(HostConfig.ReadonlyRootfs, true, service);
      assert.deepEqual(HostConfig.CapDrop, ['ALL'], service);
      assert.equal(await stack.exec(service, 'id', '-u'), '10001', service);
      await assert.rejects(stack.exec(service, 'touch', '/usr/local/here'), /Read-only file system/, service);
    }
  });

  test('logs do not fill the disk', async () => {
    for (const service of ['secrets', 'migrate', ...lasting]) {
      const { HostConfig } = await stack.inspect(service);
      assert.deepEqual(HostConfig.LogConfig, { Type: 'local', Config: { 'max-file': '5', 'max-size': '20m' } }, service);
    }
  });

  test('the server is the only process of its container, and no secret is in its environment', async () => {
    for (const node of nodes) {
      assert.equal(await stack.exec(node, 'cat', '/proc/1/comm'), 'stonechat');
      const { Config } = await stack.inspect(node);
      const secret = await stack.exec(node, 'cat', '/secrets/server/jwt_secret');
      assert.match(secret, /^[0-9a-f]{64}$/);
      assert.ok(!JSON.stringify(Config).includes(secret));
    }
  });

  test('PostgreSQL has connections for ten nodes of 32 workers, and their number can be set', async () => {
    assert.ok(Number(await stack.sql('SHOW max_connections')) > 10 * (32 * 2 + 2));
    for (const node of nodes) assert.equal(await stack.exec(node, 'printenv', 'WORKERS'), stack.env.WORKERS);
  });

  test('HTTP/1.1 and HTTP/2, in cleartext and by TLS', async () => {
    assert.equal(await curl('--http1.1', `${stack.url}/health/ready`), '1.1 200');
    assert.equal(await curl('--http2-prior-knowledge', `${stack.url}/health/ready`), '2 200');
    assert.equal(await curl('--insecure', `${stack.httpsUrl}/health/ready`), '2 200');
    assert.equal(await curl('--insecure', '--http1.1', `${stack.httpsUrl}/health/ready`), '1.1 200');
  });

  test('an image of the server alone is healthy without PostgreSQL, at another PORT and by TLS', async () => {
    const { Image } = await stack.inspect('node1');
    const { Name: tls } = (await stack.inspect('proxy')).Mounts.find(mount => mount.Destination === '/secrets/tls');
    const settings = {
      PORT: '8081', DATABASE_URL: 'postgresql://nobody@127.0.0.1:1/nothing', JWT_SECRET: randomBytes(32).toString('hex'),
    };
    const file = '/secrets/tls/site.pem';
    for (const more of [{}, { TLS_CERT: file, TLS_KEY: file }]) {
      const env = Object.entries({ ...settings, ...more }).map(([name, value]) => `--env=${name}=${value}`);
      const id = await stack.docker('run', '--detach', '--network=none', `--volume=${tls}:/secrets/tls:ro`, ...env, Image);
      try {
        const health = () => stack.docker('inspect', '--format={{.State.Health.Status}}', id);
        await until(async () => (await health()) === 'healthy', `it to be healthy with ${env.join(' ')}`, patienceMs);
      } finally {
        await stack.docker('rm', '--force', id);
      }
    }
  });

  test('unless somebody wants it, nothing comes by IPv6, where all are one client', async () => {
    const stackAsItStands = Object.assign(new Stack(), { env: { HTTP_PORT: '', HTTPS_PORT: '' } });
    const { proxy } = parse(await stackAsItStands.compose('config')).services;
    assert.deepEqual(proxy.ports.map(port => port.host_ip ?? `${port}`.split(':')[0]), ['0.0.0.0', '0.0.0.0']);
  });

  test('the pages are there', async () => {
    for (const path of ['/api/docs', '/api/docs/events', '/api/docs/swagger-ui-bundle.js', '/api/docs/marked.esm.js']) {
      assert.equal((await fetch(`${stack.url}${path}`)).status, 200, path);
    }
    const log = await stack.docker('logs', (await stack.inspect('node1')).Id);
    assert.doesNotMatch(log, /cannot be read/);
  });

  test('metrics are for Prometheus alone, who sees both nodes and has the alerts', async () => {
    assert.equal((await fetch(`${stack.url}/metrics`)).status, 404);
    await until(async () => (await countNodes()) === 2, 'both nodes', patienceMs);
    const rules = async () => (await prometheus('rules')).groups.flatMap(group => group.rules);
    assert.ok((await rules()).length > 0);
    await until(async () => (await rules()).every(rule => rule.health === 'ok'), 'the alerts', patienceMs);
  });

  const counts = () => Promise.all(nodes.map(node => stack.sessions(node)));
  const allGone = () => until(async () => (await counts()).every(count => count === 0), 'the end of all sessions', patienceMs);

  // The proxy goes by the number of connections, polls that wait among them: when both have come to the same node they try
  // again, and something else is asked for before, so that it is not all the same again.
  async function onDifferentNodes(alice, bob, options) {
    let tries = 0;
    return until(async () => {
      const devices = [await alice.connect(options)];
      for (let i = 0; i < tries % 3; i++) await fetch(`${stack.url}/health`);
      devices.push(await bob.connect(options));
      if ((await counts()).every(count => count === 1)) return devices;
      tries++;
      for (const device of devices) device.close();
      await allGone();
      return null;
    }, 'sessions on different nodes', patienceMs);
  }

  for (const [name, options] of [
    ['the transports of a stock client', {}],
    ['WebSocket alone', { transports: ['websocket'] }],
    ['polling alone', { transports: ['polling'] }],
  ]) {
    test(`two people on different nodes chat by ${name}`, async () => {
      const [alice, bob] = await friends(stack, 'alice', 'bob');
      const devices = await onDifferentNodes(alice, bob, options);
      const [laptop, phone] = devices;
      for (const [from, to] of [[laptop, phone], [phone, laptop]]) {
        const content = unique('hi');
        const { message } = await from.done('private-message', { receiverId: to.client.id, content });
        assert.deepEqual(await to.next('private-message'), message);
      }
      if (!options.transports) for (const { io } of devices) {
        await until(() => io.io.engine.transport.name === 'websocket', 'the upgrade', patienceMs);
      }
      for (const device of devices) device.close();
      await allGone();
    });
  }

  test('a node goes under load, and comes back: nothing is lost, twice or out of order', async t => {
    await underLoad(t, stack, async (load, i) => {
      const node = nodes[i % nodes.length];
      await stack.compose('stop', node);
      const { State } = await stack.inspect(node);
      assert.equal(State.ExitCode, 0, 'it stopped by itself');
      await load.acks();
      await stack.compose('start', node);
      await stack.healthy(node);
      await until(async () => (await stack.metrics(node)).includes('stonechat_sessions'), 'its metrics', patienceMs);
    });
  });

  test('no request fails while a node is replaced, and who was logged in still is', async () => {
    const alice = await Client.register(stack, 'alice');
    const replies = [];
    let isOver = false;
    const asking = (async () => {
      const ask = () => alice.get('/api/users/me').then(reply => reply.status, error => `${error.cause ?? error}`);
      while (!isOver) replies.push(await ask());
    })();
    await stack.recreate('node2');
    await stack.healthy('node2');
    isOver = true;
    await asking;
    assert.ok(replies.length > 0);
    assert.deepEqual(replies.filter(status => status !== 200), []);
  });

  test('on an older schema a node does not start', async () => {
    const newest = '(SELECT max(version) FROM schema_migrations)';
    await stack.sql(`UPDATE schema_migrations SET version = -version WHERE version = ${newest}`);
    try {
      await stack.recreate('node2');
      await until(async () => {
        const { State, RestartCount } = await stack.inspect('node2');
        assert.notEqual(State.Health?.Status, 'healthy');
        return RestartCount > 0;
      }, 'its end', patienceMs);
    } finally {
      await stack.sql('UPDATE schema_migrations SET version = -version WHERE version < 0');
    }
    await stack.recreate('node2');
    await stack.healthy('node2');
  });

  test('with a newer schema migrate gives up, and a node runs', async () => {
    const migrated = wanted => until(async () => {
      const { State } = await stack.inspect('migrate');
      return State.Status === 'exited' && (State.ExitCode === 0) === wanted;
    }, `the end of migrate, ${wanted}`, patienceMs);
    await stack.sql("INSERT INTO schema_migrations (version, name) VALUES (9999, 'of_tomorrow')");
    try {
      await stack.recreate('migrate');
      await migrated(false);
      await stack.recreate('node2');
      await stack.healthy('node2');
    } finally {
      await stack.sql('DELETE FROM schema_migrations WHERE version = 9999');
    }
    await stack.recreate('migrate');
    await migrated(true);
  });

  test('who has a thousand connections gets no more, and others do', async () => {
    const { hostname, port } = new URL(stack.url);
    const sockets = [];
    let refused = 0;
    try {
      for (let i = 0; i < 1010; i++) {
        const socket = net.connect(port, hostname);
        sockets.push(socket);
        // Who is silent for too long is told so before the end.
        socket.resume().on('error', () => {}).on('close', () => { if (socket.bytesRead === 0) refused++; });
      }
      await until(() => refused >= 10, 'the end of those that are too many', patienceMs);
      assert.ok(refused < 100, `${refused} were refused`);
      await stack.exec('proxy', 'probe', '8080', '/health/live');
    } finally {
      for (const socket of sockets) socket.destroy();
    }
  });

  test('there may be more nodes', async () => {
    const scale = count => stack.compose('up', '--detach', '--no-build', '--no-recreate', '--scale', `node2=${count}`);
    await scale(2);
    await until(async () => (await countNodes()) === 3, 'a third node', patienceMs);
    await scale(1);
    await until(async () => (await countNodes()) === 2, 'the end of it', patienceMs);
  });
});
