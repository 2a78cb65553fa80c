// Several nodes behind a load balancer that sends every connection to another one: a session's requests reach the node
// that holds it, whichever transport the stock client uses.

import assert from 'node:assert/strict';
import http from 'node:http';
import http2 from 'node:http2';
import https from 'node:https';
import os from 'node:os';
import { text } from 'node:stream/consumers';
import { after, before, describe, test } from 'node:test';

import { Client, befriend, friends, stopServer, unique, upTo } from '../support/api.mjs';
import { RawWebSocket } from '../support/raw.mjs';
import { roundRobin } from '../support/round_robin.mjs';
import { freePort, startServer, temporaryCertificate, until } from '../support/server.mjs';

const transports = {
  'polling, then WebSocket': {},
  'WebSocket alone': { transports: ['websocket'] },
  'polling alone': { transports: ['polling'] },
};

/** Two nodes on one database, and a balancer in front of them: `{nodes, url, connect, stop}`. */
async function startNodes(env = {}) {
  const first = await startServer({ env });
  const second = await startServer({ env, databaseUrl: first.databaseUrl });
  const balancer = await roundRobin(first.port, second.port);
  return {
    nodes: [first, second],
    url: balancer.url,
    /** A device of the user that has a connection of its own for each request. */
    connect: (client, options) => client.connect({ agent: balancer.agent, ...options }),
    async stop() {
      await balancer.close();
      const alive = [first, second].filter(node => node.child.exitCode === null && node.child.signalCode === null);
      await Promise.all(alive.map(stopServer));
    },
  };
}

const say = (device, to, content) => device.done('private-message', { receiverId: to.id, content });
const contents = device => device.received.filter(r => r.event === 'private-message').map(r => r.data.content);

function keepOffsets(device) {
  const offsets = [];
  device.io.on('private-message', (message, offset) => offsets.push(Number(offset)));
  return offsets;
}

const assertRising = offsets => {
  for (const [i, offset] of offsets.entries()) assert.ok(i === 0 || offset > offsets[i - 1], `${offsets}`);
};

/** Requests by sockets that both nodes have logged under one id: those that were forwarded. */
function forwarded([first, second]) {
  const ids = ({ logs }) => logs.filter(line => line.path === '/socket.io/').map(line => line.requestId);
  const seen = new Set(ids(first));
  return ids(second).filter(id => seen.has(id)).length;
}

describe('sessions behind a balancer that is not sticky', () => {
  let site;

  before(async () => (site = await startNodes()));
  after(() => site?.stop());

  for (const [name, options] of Object.entries(transports)) {
    test(`two people chat: ${name}`, async () => {
      const [alice, bob] = await friends(site, 'alice', 'bob');
      const [laptop, phone] = await Promise.all([site.connect(alice, options), site.connect(bob, options)]);
      const offsets = keepOffsets(phone);
      for (const i of upTo(20)) {
        const [from, to] = i % 2 ? [laptop, phone] : [phone, laptop];
        const { message } = await say(from, to.client, `message ${i} é😀`);
        assert.equal(message.seq, i);
        assert.deepEqual(await to.next('private-message'), message);
      }
      const wanted = upTo(50).map(i => `quick ${i}`);
      await Promise.all(wanted.map(content => say(laptop, bob, content)));
      const large = '漢'.repeat(4000);
      await say(laptop, bob, large);
      await until(() => contents(phone).includes(large), 'the last message');
      assert.deepEqual(contents(phone).slice(10), [...wanted, large]);
      assertRising(offsets);
      if (!options.transports) {
        const isUpgraded = device => device.io.io.engine.transport.name === 'websocket';
        await until(() => isUpgraded(laptop) && isUpgraded(phone), 'the upgrade');
        await say(phone, alice, 'by WebSocket');
        await laptop.next('private-message', message => message.content === 'by WebSocket');
      }
      laptop.close();
      phone.close();
    });
  }

  test('requests are forwarded at all', async () => {
    const [alice] = await friends(site, 'alice');
    const laptop = await site.connect(alice, { transports: ['polling'] });
    laptop.close();
    await until(() => forwarded(site.nodes) > 0, 'a request that both nodes have seen');
  });

  test('many clients upgrade at once, each on two nodes', async () => {
    const [bob, ...others] = await friends(site, 'bob', 'a', 'b', 'c', 'd', 'e', 'f');
    const phone = await site.connect(bob);
    const devices = await Promise.all(others.map(other => site.connect(other)));
    await Promise.all(devices.flatMap((device, n) => upTo(5).map(i => say(device, bob, `${n} ${i}`))));
    await until(() => contents(phone).length === 5 * others.length, 'all messages');
    for (const n of others.keys()) {
      const own = contents(phone).filter(content => content.startsWith(`${n} `));
      assert.deepEqual(own, upTo(5).map(i => `${n} ${i}`));
    }
    for (const device of [phone, ...devices]) {
      await until(() => device.io.io.engine.transport.name === 'websocket', 'the upgrade');
      device.close();
    }
  });
});

describe('the way of a single request', () => {
  let site, one, other;

  before(async () => {
    site = await startNodes({ ALLOWED_ORIGINS: 'https://chat.example.org', MAX_PAYLOAD_BYTES: '2048' });
    [one, other] = site.nodes;
  });
  after(() => site?.stop());

  const unknown = { code: 1, message: 'Session ID unknown' };
  const address = (node, sid, transport = 'polling') =>
    `${node.url}/socket.io/?EIO=4&transport=${transport}${sid ? `&sid=${sid}` : ''}`;
  const get = (node, sid, options) => fetch(address(node, sid), options);
  const post = (node, sid, body, options) => fetch(address(node, sid), { method: 'POST', body, ...options });
  const open = async node => JSON.parse((await (await get(node)).text()).slice(1)).sid;
  const assertUnknown = async response => {
    assert.equal(response.status, 400);
    assert.deepEqual(await response.json(), unknown);
  };
  /** A session on `one` that has joined the chat by requests to `other`. */
  const join = async () => {
    const client = await Client.register(one, 'user');
    const sid = await open(one);
    const posted = await post(other, sid, `40${JSON.stringify({ token: client.token })}`);
    assert.equal(await posted.text(), 'ok');
    const polled = await get(other, sid);
    assert.match(await polled.text(), /^40\{"sid"/);
    return { client, sid };
  };

  test('the reply comes back as if it had been made here', async () => {
    const sid = await open(one);
    const headers = { origin: 'https://chat.example.org', 'x-request-id': 'mine-1' };
    const response = await post(other, sid, '40{"token":"no"}', { headers });
    assert.equal(response.status, 200);
    assert.equal(response.headers.get('access-control-allow-origin'), 'https://chat.example.org');
    assert.equal(response.headers.get('content-type'), 'text/html');
    assert.equal(response.headers.get('cache-control'), 'no-store');
    assert.equal(response.headers.get('x-request-id'), 'mine-1');
    await one.waitForLog(line => line.requestId === 'mine-1');
  });

  test('a poll is held until there is something', async () => {
    const { client, sid } = await join();
    const friend = await Client.register(one, 'friend');
    const poll = get(other, sid);
    await befriend(friend, client);
    assert.match(await (await poll).text(), /friend_request_received/);
  });

  test('a body that is too large is refused as by the other node', async () => {
    const { sid } = await join();
    assert.equal((await post(other, sid, 'x'.repeat(5000))).status, 413);
    await assertUnknown(await get(one, sid));
  });

  test('who leaves a poll ends the session, as without a node in between', async () => {
    const again = await join();
    const left = new AbortController();
    const held = get(other, again.sid, { headers: { 'x-request-id': unique('held') }, signal: left.signal }).catch(() => 'left');
    left.abort();
    assert.equal(await held, 'left');
    await until(async () => (await post(one, again.sid, '3')).status === 400, 'the end of the session');
  });

  test('by HTTP/2 too, also when the client leaves', async () => {
    const { client, sid } = await join();
    const friend = await Client.register(one, 'friend');
    const session = http2.connect(other.url);
    const target = new URL(address(other, sid));
    const request = session.request({ ':path': target.pathname + target.search, ':method': 'GET', 'x-request-id': 'h2-1' });
    request.on('error', () => {});
    await befriend(friend, client);
    assert.match(await text(request), /friend_request_received/);
    const again = await join();
    const left = session.request({ ':path': `/socket.io/?EIO=4&transport=polling&sid=${again.sid}`, 'x-request-id': 'h2-2' });
    left.on('error', () => {});
    left.close(http2.constants.NGHTTP2_CANCEL);
    session.close();
    await other.waitForLog(line => line.requestId === 'h2-2' && line.status === 499);
    const bad = http2.connect(other.url);
    const smuggled = bad.request({ ':path': `/socket.io/?EIO=4&transport=polling&sid=${again.sid}&x= HTTP/1.1` });
    const headers = await new Promise((resolve, reject) => smuggled.on('response', resolve).on('error', reject));
    assert.equal(headers[':status'], 400);
    bad.destroy();
  });

  test('nobody is asked twice', async () => {
    const sid = await open(one);
    await assertUnknown(await get(other, sid, { headers: { 'x-stonechat-forwarded': '7' } }));
    assert.equal((await post(other, sid, '40')).status, 200);
  });

  test('a node that nobody knows has no sessions', async () => {
    for (const node of [9, 77, 65535]) {
      const bytes = Buffer.alloc(15, 5);
      bytes.writeUInt16BE(node);
      const sid = bytes.toString('base64').replaceAll('+', '-').replaceAll('/', '_');
      for (let i = 0; i < 2; i++) await assertUnknown(await get(other, sid));
    }
  });

  test('a session that the other node does not have', async () => {
    const sid = await open(one);
    const wrong = sid.slice(0, 8) + [...sid.slice(8)].reverse().join('');
    await assertUnknown(await get(other, wrong));
    await assertUnknown(await get(one, wrong));
  });

  test('an upgrade that is none', async () => {
    const sid = await open(one);
    const response = await fetch(address(other, sid, 'websocket'));
    assert.equal(response.status, 400);
    assert.equal((await response.json()).code, 3);
  });

  test('an upgrade for a session that is gone', async () => {
    const sid = await open(one);
    await post(one, sid, '1');
    const headers = {
      connection: 'upgrade', upgrade: 'websocket', 'sec-websocket-version': '13', 'sec-websocket-key': 'x'.repeat(22) + '==',
    };
    const gone = sid.slice(0, 8) + [...sid.slice(8)].reverse().join('');
    const status = await new Promise((resolve, reject) => {
      http.get(address(other, gone, 'websocket'), { headers, agent: false }, response => resolve(response.statusCode))
        .on('error', reject).on('upgrade', (_, socket) => resolve(socket.destroy() && 101));
    });
    assert.equal(status, 400);
  });
});

describe('nodes that go', () => {
  const clientOptions = { reconnection: true, reconnectionDelay: 50, reconnectionDelayMax: 200 };

  for (const isCrash of [true, false]) {
    test(`clients come back on the other node and resume: ${isCrash ? 'kill -9' : 'a stop'}`, async t => {
      const site = await startNodes();
      t.after(() => site.stop());
      const [one, other] = site.nodes;
      const [alice, bob] = await friends(one, 'alice', 'bob');
      const onBalancer = Object.assign(new Client(site), { token: bob.token, user: bob.user });
      const phones = [];
      for (const options of Object.values(transports)) {
        for (let i = 0; i < 2; i++) phones.push(await site.connect(onBalancer, { ...options, ...clientOptions }));
      }
      const wanted = [];
      const write = async () => {
        const content = unique('message');
        await alice.send(bob, content);
        wanted.push(content);
      };
      for (let i = 0; i < 5; i++) await write();
      await (isCrash ? other.kill() : other.stop());
      for (let i = 0; i < 5; i++) await write();
      await until(() => phones.every(phone => contents(phone).length >= wanted.length), 'all messages on all phones');
      await until(() => phones.every(phone => phone.io.connected), 'all phones');
      await write();
      await until(() => phones.every(phone => contents(phone).length >= wanted.length), 'the last message');
      for (const phone of phones) {
        assert.deepEqual(contents(phone), wanted);
        phone.close();
      }
    });
  }

  test('who has a session on a node that does not answer opens a new one', async t => {
    const one = await startServer();
    t.after(() => stopServer(one));
    const env = { ADVERTISE_URL: `http://127.0.0.1:${await freePort()}` };
    const other = await startServer({ env, databaseUrl: one.databaseUrl });
    t.after(() => stopServer(other));
    const opened = await (await fetch(`${other.url}/socket.io/?EIO=4&transport=polling`)).text();
    const { sid } = JSON.parse(opened.slice(1));
    const response = await fetch(`${one.url}/socket.io/?EIO=4&transport=polling&sid=${sid}`);
    assert.equal(response.status, 400);
    assert.equal((await response.json()).code, 1);
  });
});

describe('nodes that speak TLS', () => {
  test('they check each other by name, and trust their own certificate', async t => {
    const { key, certificate } = temporaryCertificate('DNS:nodes,IP:127.0.0.1');
    const start = async (host, databaseUrl) => {
      const port = await freePort();
      const env = { TLS_CERT: certificate, TLS_KEY: key, PORT: `${port}`, ADVERTISE_URL: `https://${host}:${port}` };
      const server = await startServer({ env, databaseUrl });
      t.after(() => stopServer(server));
      return server;
    };
    const one = await start('127.0.0.1');
    const named = await start('127.0.0.1', one.databaseUrl);
    const unnamed = await start('127.1', one.databaseUrl); // the same address, by a name that the certificate has not
    const ask = (method, server, sid) => new Promise((resolve, reject) => {
      const target = `${server.url}/socket.io/?EIO=4&transport=polling${sid ? `&sid=${sid}` : ''}`;
      const request = https.request(target, { rejectUnauthorized: false, agent: false, method }, response => {
        resolve(text(response));
      });
      request.on('error', reject).end(sid ? '40' : undefined);
    });
    const open = async server => JSON.parse((await ask('GET', server)).slice(1)).sid;
    assert.equal(await ask('POST', one, await open(named)), 'ok');
    assert.equal(JSON.parse(await ask('POST', one, await open(unnamed))).code, 1);
  });
});

describe('nodes that expect the PROXY protocol of each other', () => {
  // They reach each other by ::1, which is trusted; the tests come from 127.0.0.1, which is not.
  const hasIpv6 = Object.values(os.networkInterfaces()).flat().some(({ address }) => address === '::1');
  for (const scheme of ['http', 'https']) {
    test(`forward by ${scheme} all the same`, { skip: !hasIpv6 && 'there is no ::1' }, async t => {
      const { key, certificate } = temporaryCertificate('IP:127.0.0.1,IP:::1');
      const start = async databaseUrl => {
        const port = await freePort();
        const env = { HOST: '::', PORT: `${port}`, ADVERTISE_URL: `${scheme}://[::1]:${port}`, TRUST_PROXY: '::1', PROXY_PROTOCOL: '1' };
        if (scheme === 'https') Object.assign(env, { TLS_CERT: certificate, TLS_KEY: key });
        const server = await startServer({ env, databaseUrl });
        t.after(() => stopServer(server));
        return server;
      };
      const one = await start();
      const other = await start(one.databaseUrl);
      const { request } = scheme === 'https' ? https : http;
      const target = sid => `/socket.io/?EIO=4&transport=polling${sid ? `&sid=${sid}` : ''}`;
      const ask = (method, server, sid, id) => new Promise((resolve, reject) => {
        const options = { rejectUnauthorized: false, agent: false, method, headers: id ? { 'x-request-id': id } : {} };
        request(server.url + target(sid), options, response => resolve(text(response)))
          .on('error', reject).end(method === 'POST' ? '40' : undefined);
      });
      const { sid } = JSON.parse((await ask('GET', other)).slice(1));
      const id = unique('forwarded');
      assert.equal(await ask('POST', one, sid, id), 'ok');
      for (const node of [one, other]) { // by X-Forwarded-For, which is believed
        assert.match((await node.waitForLog(line => line.requestId === id)).address, /^127\.0\.0\.1$/);
      }
      if (scheme === 'https') return;
      const socket = await RawWebSocket.open(one, `/socket.io/?EIO=4&transport=websocket&sid=${sid}`);
      assert.equal(socket.upgrade.status, 101);
      socket.send('2probe');
      assert.equal((await socket.frame()).payload.toString(), '3probe');
      socket.destroy();
    });
  }
});
