// Two nodes on one database with a Redis between them, which may be as it likes: nothing shows.

import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';

import { Client, friends, patienceMs, stopServer } from '../support/api.mjs';
import { Traffic, Witness, at, meet, startNodes, testDelivery, typing } from '../support/nodes.mjs';
import { freePort, startRedis, startServer, temporaryDirectory, until } from '../support/server.mjs';

const graceful = { PRESENCE_GRACE_MS: '500', PRESENCE_LEASE_SECONDS: '2' };
const hasLogged = (node, pattern) => node.logs.some(line => pattern.test(JSON.stringify(line)));
const countLogged = (node, pattern) => node.logs.filter(line => pattern.test(JSON.stringify(line))).length;

/** What goes by Redis, as somebody who listens to all of it sees it: `sees` waits for a line of this kind. */
class Eavesdropper {
  constructor(redis) {
    this.text = '';
    this.child = spawn('redis-cli', ['-p', `${redis.port}`, 'PSUBSCRIBE', 'stonechat:*'], { stdio: 'pipe' });
    this.child.stdout.on('data', data => (this.text += data));
  }

  static async of(redis) {
    const eavesdropper = new Eavesdropper(redis);
    await until(() => eavesdropper.text.includes('psubscribe'), 'the subscription', patienceMs);
    return eavesdropper;
  }

  sees(pattern) {
    return until(() => pattern.test(this.text), `${pattern} on Redis`, patienceMs);
  }
}

describe('two nodes and Redis', () => {
  let redis, nodes;

  before(async () => {
    redis = await startRedis();
    const env = { ...graceful, REDIS_URL: redis.url };
    nodes = await startNodes(env, env);
    await areSubscribed();
  });
  after(async () => {
    await stopServer(nodes?.[0]);
    await nodes?.[1].stop();
    await redis?.stop();
  });

  const areSubscribed = () => until(async () => {
    const [, count] = (await redis.command('PUBSUB', 'NUMSUB', 'stonechat:nodes').catch(() => '')).split('\n');
    return Number(count) === 2;
  }, 'both nodes to be subscribed', patienceMs);

  testDelivery(() => nodes);

  test('events go by Redis, and each node is subscribed to the users that it holds', async t => {
    const [here, there] = nodes;
    const [alice, bob] = await friends(here, 'alice', 'bob');
    const subscribers = async () =>
      Number((await redis.command('PUBSUB', 'NUMSUB', `stonechat:u:${bob.id}`)).split('\n')[1]);
    assert.equal(await subscribers(), 0);
    const [laptop, phone] = await Promise.all([alice.connect(), at(bob, there).connect()]);
    await until(async () => (await subscribers()) === 1, 'one to be subscribed', patienceMs);
    const watch = await bob.connect();
    await until(async () => (await subscribers()) === 2, 'two to be subscribed', patienceMs);

    const eavesdropper = await Eavesdropper.of(redis);
    t.after(() => eavesdropper.child.kill());
    const message = await alice.send(bob, 'by Redis');
    assert.deepEqual(await phone.next('private-message'), message);
    await eavesdropper.sees(new RegExp(`d${bob.id}:\\d+ \\S+ private-message .*"content":"by Redis"`));
    await until(async () => {
      await typing(laptop, phone);
      return new RegExp(`e${bob.id} typing `).test(eavesdropper.text);
    }, 'typing on Redis', patienceMs);

    watch.close();
    phone.close();
    await until(async () => (await subscribers()) === 0, 'nobody to be subscribed', patienceMs);
    laptop.close();
  });

  test('Redis is killed and comes back, over and over: nothing is lost', async t => {
    const [here, there] = nodes;
    const [alice, bob] = await friends(here, 'alice', 'bob');
    const [laptop, phone] = await Promise.all([alice.connect(), at(bob, there).connect()]);
    const traffic = await Traffic.start(nodes);
    for (let i = 0; i < 3; i++) {
      await redis.kill();
      await traffic.progress(50);
      await typing(laptop, phone);
      const since = performance.now();
      await redis.start();
      await areSubscribed();
      t.diagnostic(`subscribed again ${Math.round(performance.now() - since)} ms after the start`);
      await traffic.progress(50);
      await typing(laptop, phone);
    }
    await traffic.stop();
    for (const node of nodes) {
      assert.ok(hasLogged(node, /Redis is lost/));
      await node.waitForLog(line => /Redis is back/.test(JSON.stringify(line)));
    }
    laptop.close();
    phone.close();
  });

  test('connections to Redis are cut, and everything in it is flushed: nothing is lost', async () => {
    const traffic = await Traffic.start(nodes);
    for (let i = 0; i < 5; i++) {
      await redis.command('FLUSHALL');
      await redis.command('CLIENT', 'KILL', 'TYPE', i % 2 ? 'normal' : 'pubsub');
      await traffic.progress(20);
    }
    await areSubscribed();
    await traffic.stop();
    await meet(nodes);
  });

  test('Redis stands still: messages and typing go on', async () => {
    const [here, there] = nodes;
    const [alice, bob] = await friends(here, 'alice', 'bob');
    const [laptop, phone] = await Promise.all([alice.connect(), at(bob, there).connect()]);
    const traffic = await Traffic.start(nodes);
    redis.pause();
    const message = await alice.send(bob, 'while it stands still');
    assert.deepEqual(await phone.next('private-message'), message);
    await typing(laptop, phone);
    await traffic.progress(50);
    redis.resume();
    await areSubscribed();
    await traffic.progress(50);
    await typing(laptop, phone);
    await traffic.stop();
    laptop.close();
    phone.close();
  });

  test('what others publish is logged once, and harms nobody', async () => {
    const [here, there] = nodes;
    const [alice, bob] = await friends(here, 'alice', 'bob');
    const phone = await at(bob, there).connect();
    const witness = new Witness(phone);
    await phone.untilMarker(alice);
    const channel = `stonechat:u:${bob.id}`;
    const [, node] = (await here.query('SELECT id FROM nodes ORDER BY id')).split('\n');
    const stranger = '0190a0b0-c0d0-7123-8123-0123456789ab';
    const seal = '0'.repeat(32);
    const event = `${stranger} private-message {"forged":true}`;
    const next = witness.offsets.at(-1) + 1;
    for (const payload of ['', 'x', seal, '{"a":1}', '\u00e9'.repeat(100), 'x'.repeat(100_000),
      `${seal}${stranger}\nd${bob.id}:${next} ${event}`, `${stranger}\nd${bob.id}:${next} ${event}`,
      `${seal}${stranger}\ne${bob.id} typing {"senderId":"${alice.id}"}`, `${seal}${stranger}\nx${node}`,
      `${seal}${node}\nh${bob.id}:99`]) {
      await redis.command('PUBLISH', channel, payload);
      await redis.command('PUBLISH', 'stonechat:nodes', payload);
    }
    const message = await alice.send(bob, 'still here');
    assert.deepEqual(await phone.next('private-message', data => !/^marker/.test(data.content)), message);
    assert.equal(witness.offsets.at(-1), next);
    assert.deepEqual(await phone.untilMarker(alice), []);
    for (const each of nodes) {
      await each.waitForLog(line => /is not ours/.test(JSON.stringify(line)));
      assert.equal(countLogged(each, /is not ours/), 1);
    }
    phone.close();
  });

  test('a node is killed, and its users come back to the other one', async () => {
    const [here, there] = nodes;
    const [alice, bob] = await friends(here, 'alice', 'bob');
    const watcher = await bob.connect();
    const laptop = await at(alice, there).connect();
    await watcher.next('user-online');
    await there.kill();
    assert.equal((await watcher.next('user-offline')).userId, alice.id);
    laptop.close();
    const tablet = await alice.connect();
    assert.equal((await watcher.next('user-online')).userId, alice.id);
    await there.start();
    const phone = await at(bob, there).connect();
    await typing(tablet, phone);
    for (const device of [watcher, tablet, phone]) device.close();
  });
});

test('a wrong password is told, and the nodes go on by NOTIFY', async t => {
  const redis = await startRedis('--requirepass', 'the right one');
  t.after(() => redis.stop());
  const [good, bad] = await startNodes(
    { ...graceful, REDIS_URL: redis.url, REDIS_PASSWORD: 'the right one' },
    { ...graceful, REDIS_HOST: '127.0.0.1', REDIS_PORT: `${redis.port}`, REDIS_PASSWORD: 'the wrong one' });
  t.after(() => bad.stop());
  t.after(() => stopServer(good));
  const line = await bad.waitForLog(({ reason }) => /WRONGPASS/.test(reason));
  assert.equal(line.level, 'error');
  assert.ok(!hasLogged(bad, /the wrong one/));
  assert.ok(!hasLogged(good, /cannot be used/));
  const [alice, bob] = await friends(good, 'alice', 'bob');
  const [laptop, phone] = await Promise.all([alice.connect(), at(bob, bad).connect()]);
  const message = await alice.send(bob, 'all the same');
  assert.deepEqual(await phone.next('private-message'), message);
  for (const [from, to] of [[laptop, phone], [phone, laptop]]) await typing(from, to);
  const traffic = await Traffic.start([good, bad]);
  await traffic.stop();
});

describe('Redis with TLS', () => {
  let redis, port, file;

  before(async () => {
    const directory = temporaryDirectory();
    file = name => path.join(directory, name);
    const openssl = (...args) => execFileSync('openssl', args, { stdio: 'ignore' });
    const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
    openssl('req', '-x509', ...key, '-keyout', file('ca.key'), '-out', file('ca.pem'), '-subj', '/CN=test', '-days', '2');
    openssl('req', '-x509', ...key, '-CA', file('ca.pem'), '-CAkey', file('ca.key'), '-keyout', file('key.pem'),
      '-out', file('cert.pem'), '-subj', '/CN=redis', '-addext', 'subjectAltName=DNS:localhost', '-days', '2',
      '-addext', 'basicConstraints=critical,CA:FALSE');
    port = await freePort();
    redis = await startRedis('--tls-port', `${port}`, '--tls-cert-file', file('cert.pem'), '--tls-key-file',
      file('key.pem'), '--tls-ca-cert-file', file('ca.pem'), '--tls-auth-clients', 'no');
  });
  after(() => redis?.stop());

  test('works with a certificate that is trusted', async t => {
    const env = { ...graceful, REDIS_URL: `rediss://localhost:${port}/1`, REDIS_TLS_CA: file('ca.pem') };
    const nodes = await startNodes(env, env);
    t.after(() => nodes[1].stop());
    t.after(() => stopServer(nodes[0]));
    const traffic = await Traffic.start(nodes);
    await until(async () => (await redis.command('PUBSUB', 'NUMSUB', 'stonechat:nodes')).endsWith('\n2'),
      'both nodes to be subscribed', patienceMs);
    await redis.command('CLIENT', 'KILL', 'TYPE', 'pubsub');
    await traffic.progress(50);
    await traffic.stop();
  });

  for (const [what, url, ca, reason] of [
    ['that nobody trusts', 'localhost', null, /certificate/],
    ['for another host', '127.0.0.1', 'ca.pem', /IP address mismatch/],
  ]) {
    test(`refuses a certificate ${what}`, async t => {
      const env = { REDIS_URL: `rediss://${url}:${port}`, ...(ca && { REDIS_TLS_CA: file(ca) }) };
      const server = await startServer({ env });
      t.after(() => server.stop());
      await server.waitForLog(line => reason.test(line.reason));
      assert.equal((await new Client(server).get('/health/ready')).status, 200);
      assert.equal((await redis.command('PUBSUB', 'CHANNELS')), '');
    });
  }
});
