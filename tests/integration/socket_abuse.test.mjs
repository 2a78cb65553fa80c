// Sockets in the hands of those who mean harm: each is refused or sent away, by Socket.IO and by /ws alike, and the others
// notice nothing.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { friends, patienceMs, stopServer, unique, upTo } from '../support/api.mjs';
import { endure } from '../support/endure.mjs';
import { RawWebSocket, exchange, opcodes } from '../support/raw.mjs';
import { startServer, until } from '../support/server.mjs';

const noPings = { PING_INTERVAL_MS: '3600000' }; // their time-out would close with the same code
const websocket = '/socket.io/?EIO=4&transport=websocket';
const polling = '/socket.io/?EIO=4&transport=polling';

/** A WebSocket of /ws, open and ready. */
async function openPlain(client) {
  const socket = await RawWebSocket.open(client.server, `/ws?token=${client.token}`);
  assert.match(await socket.text(), /^\{"event":"ready"/);
  return socket;
}

/** A session by polling: `ask(method, body)`. */
async function openPolling(server) {
  const { sid } = JSON.parse((await exchange(server, `GET ${polling} HTTP/1.1`)).body.slice(1));
  return (method, body = '') =>
    exchange(server, `${method} ${polling}&sid=${sid} HTTP/1.1\r\nContent-Length: ${body.length}`, body);
}

const sockets = { 'Socket.IO': client => RawWebSocket.session(client), '/ws': openPlain };

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

describe('too many packets', () => {
  let server, mallory, alice, bob, phone;

  before(async () => {
    server = await startServer({
      env: { ...noPings, RATE_LIMIT_DISABLED: '0', RATE_LIMITS: 'requests=off,reads=off', SOCKET_PACKETS_PER_SECOND: '50' },
    });
    [mallory] = await friends(server, 'mallory', 'victim');
    [alice, bob] = await friends(server, 'alice', 'bob');
    phone = await bob.connect({ transports: ['websocket'] });
  });
  after(() => stopServer(server));

  const isUndisturbed = async () => {
    const message = await alice.send(bob, unique('undisturbed'));
    assert.deepEqual(await phone.next('private-message'), message);
  };

  for (const [kind, open] of Object.entries(sockets)) {
    const event = kind === '/ws' ? '{"event":"no-such-event"}' : '42["no-such-event"]';
    const floods = {
      events: socket => socket.send(event),
      pings: socket => socket.send('', { opcode: opcodes.ping }),
      pongs: socket => socket.send('', { opcode: opcodes.pong }),
      fragments: (socket, i) => socket.send('', { opcode: i === 1 ? opcodes.text : opcodes.continuation, fin: false }),
    };
    for (const [what, send] of Object.entries(floods)) {
      test(`${what} by ${kind} end it with 1008`, t => endure(t, server, alice, async () => {
        const socket = await open(mallory);
        for (const i of upTo(2000)) send(socket, i);
        assert.equal(await socket.closeCode(), 1008);
        await isUndisturbed();
      }));
    }

    test(`as many as may come by ${kind} are answered`, async () => {
      const socket = await open(mallory);
      for (let i = 0; i < 50; i++) socket.send(event);
      for (let i = 0; i < 50; i++) assert.match(await socket.text(), /operation-error/);
      socket.destroy();
    });
  }

  test('by polling end the session, in one post or in many', t => endure(t, server, alice, async () => {
    for (const body of [Array(2000).fill('42["no-such-event"]').join('\u001e'), '3']) {
      const ask = await openPolling(server);
      await ask('POST', `40${JSON.stringify({ token: mallory.token })}`);
      const answers = await Promise.all(upTo(150).map(() => ask('POST', body)));
      assert.ok(answers.some(answer => answer.status === 400), 'nobody minds');
      assert.equal((await ask('GET')).status, 400);
      await isUndisturbed();
    }
  }));
});

describe('what a socket may send', () => {
  let server, mallory, victim;

  before(async () => {
    server = await startServer({ env: { ...noPings, MAX_PAYLOAD_BYTES: '100000' } });
    [mallory, victim] = await friends(server, 'mallory', 'victim');
  });
  after(() => stopServer(server));

  const closedBy = async (open, code, ...sends) => {
    const socket = await open(mallory);
    for (const [payload, options] of sends) socket.send(payload, options);
    assert.equal(await socket.closeCode(), code, `${sends[0][0]}`.slice(0, 60));
  };

  test('strangers may send what a token needs, and no more', async () => {
    for (const target of [websocket, '/ws']) {
      const stranger = async () => {
        const socket = await RawWebSocket.open(server, target);
        if (target === websocket) await socket.text();
        return socket;
      };
      await closedBy(stranger, 1009, ['x'.repeat(20_000)]);
      await closedBy(stranger, 1009, ['4'.repeat(9000), { fin: false }], ['4'.repeat(9000), { opcode: opcodes.continuation }]);
    }
    const known = await RawWebSocket.session(mallory);
    known.send(`42["no-such-event","${'x'.repeat(90_000)}"]`);
    assert.match(await known.text(), /operation-error/);
    known.destroy();
    const plain = await openPlain(mallory);
    plain.send(`{"event":"no-such-event","data":{"x":"${'x'.repeat(90_000)}"}}`);
    assert.match(await plain.text(), /operation-error/);
    plain.destroy();
  });

  test('strangers that come from polling may not send more either, and who is known may', async () => {
    const probe = async token => {
      const { sid } = JSON.parse((await exchange(server, `GET ${polling} HTTP/1.1`)).body.slice(1));
      const ask = (method, body = '') =>
        exchange(server, `${method} ${polling}&sid=${sid} HTTP/1.1\r\nContent-Length: ${body.length}`, body);
      if (token) {
        await ask('POST', `40${JSON.stringify({ token })}`);
        assert.match((await ask('GET')).body, /^40/);
      }
      const socket = await RawWebSocket.open(server, `${websocket}&sid=${sid}`);
      socket.send('2probe');
      assert.equal(await socket.text(), '3probe');
      socket.send('5');
      return socket;
    };
    await closedBy(() => probe(), 1009, ['x'.repeat(20_000)]);
    const known = await probe(mallory.token);
    known.send(`42["no-such-event","${'x'.repeat(90_000)}"]`);
    assert.match(await known.text(), /operation-error/);
    known.destroy();
  });

  test('strangers that poll may not send more either', t => endure(t, server, mallory, async () => {
    const large = 'x'.repeat(90_000);
    for (const packets of [`42["x","${large}"]`, `451-["x",{"_placeholder":true,"num":0},"${large}"]`, `40{"x":"${large}"}`]) {
      const sessions = await Promise.all(upTo(300).map(() => openPolling(server)));
      const answers = await Promise.all(sessions.map(ask => ask('POST', packets)));
      assert.deepEqual(new Set(answers.map(answer => answer.status)), new Set([413]), packets.slice(0, 10));
      assert.equal((await sessions[0]('POST', '3')).status, 400); // it is gone
    }
    const known = await openPolling(server);
    await known('POST', `40${JSON.stringify({ token: mallory.token })}`);
    assert.match((await known('GET')).body, /^40/);
    assert.equal((await known('POST', `42["no-such-event","${large}"]`)).status, 200);
    assert.match((await known('GET')).body, /operation-error/);
  }));

  for (const [kind, open] of Object.entries(sockets)) {
    test(`messages by ${kind} have an end, in bytes and in fragments`, async () => {
      await closedBy(open, 1009, ['x'.repeat(100_001)]);
      await closedBy(open, 1009, ['x'.repeat(60_000), { fin: false }], ['x'.repeat(60_000), { opcode: opcodes.continuation }]);
      const socket = await open(mallory);
      socket.send('4', { fin: false });
      const fragment = Buffer.from([0, 0x80, 1, 2, 3, 4]); // empty, not the last
      socket.write(Buffer.concat(Array(65_537).fill(fragment)));
      assert.equal(await socket.closeCode(), 1008);
    });
  }

  test('events are neither deep nor full of attachments', async () => {
    const deep = (depth, open, close) => open.repeat(depth) + '1' + close.repeat(depth);
    const session = sockets['Socket.IO'];
    for (const json of [deep(33, '[', ']'), deep(33, '{"a":', '}'), '['.repeat(50_000)]) {
      await closedBy(session, 1008, [`42["typing",${json}]`]);
    }
    await closedBy(session, 1008, [`42["typing"${',1'.repeat(17)}]`]);
    const placeholders = upTo(17).map(i => `{"_placeholder":true,"num":${i - 1}}`);
    await closedBy(session, 1008, [`4517-["typing",[${placeholders.join()}]]`]);
    await closedBy(session, 1008, ['x', { opcode: opcodes.binary }]); // that nothing has announced
    await closedBy(session, 1009, [`452-["typing",${placeholders.slice(0, 2).join()}]`],
      ['x'.repeat(60_000), { opcode: opcodes.binary }], ['x'.repeat(60_000), { opcode: opcodes.binary }]);
    const plain = await openPlain(mallory);
    plain.send(`{"event":"typing","data":${deep(40_000, '[', ']')},"id":1}`);
    assert.match(await plain.text(), /INVALID_PAYLOAD/);
    for (const [depth, answer] of [[31, /"success":true/], [33, /INVALID_PAYLOAD/]]) { // `data` is one more
      plain.send(`{"event":"call-user","data":{"calleeId":"${victim.id}","signal":${deep(depth, '[', ']')}},"id":1}`);
      assert.match(await plain.text(), answer, `${depth}`);
    }
    plain.destroy();
  });
});

describe('sockets that do not read', () => {
  let server, alice, bob, carol, laptop, watcher;

  before(async () => {
    // One that fell behind gets page after page, as it reads them, and has until its pong is due.
    server = await startServer({
      env: { SEND_QUEUE_MAX_BYTES: '262144', PRESENCE_GRACE_MS: '0', PING_INTERVAL_MS: '8000', PING_TIMEOUT_MS: '8000' },
    });
    [alice, bob, carol] = await friends(server, 'alice', 'bob', 'carol');
    laptop = await alice.connect({ transports: ['websocket'] });
    watcher = await carol.connect(); // nothing else comes here: what is not kept is dropped where much waits to be sent
  });
  after(() => stopServer(server));

  let isOffline;
  const goesOffline = async () => {
    isOffline = false;
    await watcher.next('user-offline', data => data.userId === bob.id);
    isOffline = true;
  };

  const silent = {
    'by WebSocket': async () => (await RawWebSocket.session(bob)).socket.pause(),
    'by polling': async () => {
      const ask = await openPolling(server);
      await ask('POST', `40${JSON.stringify({ token: bob.token })}`);
      assert.match((await ask('GET')).body, /^40/);
    },
  };
  for (const [how, open] of Object.entries(silent)) {
    test(`${how} are let go of, and miss nothing`, { timeout: 120_000 }, t => endure(t, server, carol, async () => {
      await open();
      await watcher.next('user-online', data => data.userId === bob.id);
      const [from, content] = [(await bob.wholeHistory(alice)).length, '漢'.repeat(4000)];
      const slow = () => server.logs.filter(line => line.msg === 'a slow consumer was disconnected' && line.user === bob.id);
      const before = slow().length;
      let sent = 0;
      const write = async () => {
        while (!isOffline && sent < 5000) {
          await Promise.all(upTo(20).map(() => laptop.done('private-message', { receiverId: bob.id, content })));
          sent += 20;
        }
      };
      await Promise.all([goesOffline(), write()]);
      t.diagnostic(`let go of after ${sent} messages of 12 KB`);
      await until(() => slow().length > before, 'the log to say why', patienceMs);
      const messages = await bob.wholeHistory(alice);
      assert.equal(messages.length - from, sent);
    }));
  }

  for (const [kind, open] of Object.entries(sockets)) {
    test(`pings by ${kind} whose pongs are not read end it`, { timeout: 120_000 }, t => endure(t, server, carol, async () => {
      const socket = await open(bob);
      await watcher.next('user-online', data => data.userId === bob.id);
      const ping = Buffer.concat([Buffer.from([0x89, 0x80 | 125, 0, 0, 0, 0]), Buffer.alloc(125)]);
      const pings = Buffer.concat(Array(500).fill(ping));
      let sent = 0;
      socket.socket.pause();
      await Promise.all([goesOffline(), socket.flood(() => {
        sent += pings.length;
        return isOffline || sent > 200e6 ? null : pings;
      })]);
      t.diagnostic(`let go of after ${(sent / 1e6).toFixed(1)} MB of pings`);
      socket.destroy();
    }));
  }
});

describe('sockets that do nothing', () => {
  const start = async (t, env) => {
    const server = await startServer({ env });
    t.after(() => stopServer(server));
    const [alice] = await friends(server, 'alice', 'bob');
    return { server, alice };
  };

  test('have so much time to say who they are', async t => {
    const { server, alice } = await start(t, { CONNECT_TIMEOUT_MS: '500' });
    const good = await RawWebSocket.session(alice);
    const silent = await RawWebSocket.open(server, websocket);
    const refused = await RawWebSocket.open(server, websocket);
    refused.send('40{"token":"none"}');
    const ask = await openPolling(server);
    assert.ok([null, 1000].includes(await silent.closeCode()));
    const last = await refused.text().then(() => refused.text());
    assert.match(last, /^44\{"message":"Authentication error/);
    assert.ok([null, 1000].includes(await refused.closeCode()));
    await until(async () => (await ask('POST', '3')).status === 400, 'the session to be gone', patienceMs);
    assert.equal(good.ended, false);
    good.send('42["no-such-event"]');
    assert.match(await good.text(), /operation-error/);
    good.destroy();
  });

  test('have so much time to answer a ping', async t => {
    const { alice, server } = await start(t, { PING_INTERVAL_MS: '300', PING_TIMEOUT_MS: '300' });
    const socket = await RawWebSocket.session(alice);
    assert.ok([null, 1000].includes(await socket.closeCode())); // reads on, and answers none
    const ask = await openPolling(server);
    await ask('POST', `40${JSON.stringify({ token: alice.token })}`);
    await until(async () => (await ask('GET')).status === 400, 'the session to be gone', patienceMs);
  });
});
