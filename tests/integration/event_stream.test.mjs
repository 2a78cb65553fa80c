// GET /api/events: server-sent events, live and resumed, over both versions of HTTP.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import http2 from 'node:http2';
import net from 'node:net';
import { after, before, describe, test } from 'node:test';

import { Client, assertFails, befriend, friends, patienceMs, stopServer, upTo } from '../support/api.mjs';
import { checkEvent } from '../support/asyncapi.mjs';
import { openapi } from '../support/descriptions.mjs';
import { EventStream } from '../support/event_stream.mjs';
import { checkReply } from '../support/openapi.mjs';
import { PlainSocket } from '../support/plain_socket.mjs';
import { exchange } from '../support/raw.mjs';
import { startPostgres, startServer, temporaryCertificate, until } from '../support/server.mjs';

const versions = [1, 2];
const contents = stream => stream.events.filter(e => e.event === 'private-message').map(e => e.data.content);
const resume = (client, id, options) => EventStream.open(client, { headers: { 'last-event-id': id }, ...options });

describe('event stream', () => {
  let server;

  before(async () => (server = await startServer({ env: { PRESENCE_GRACE_MS: '0' } })));
  after(() => stopServer(server));

  const pair = () => friends(server, 'alice', 'bob');

  for (const version of versions) {
    describe(`by HTTP/${version}`, () => {
      test('events come in order, each with the next id', async () => {
        const [alice, bob] = await pair();
        const stream = await EventStream.open(bob, { version });
        const start = Number(stream.lastEventId);
        const messages = [];
        for (const i of upTo(30)) messages.push(await alice.send(bob, `message ${i} é😀`));
        for (const [i, message] of messages.entries()) {
          const event = await stream.take('private-message');
          assert.deepEqual(event, { id: `${start + i + 1}`, event: 'private-message', data: message });
        }
        assert.deepEqual(await stream.untilMarker(alice), []);
        stream.close();
      });

      test('the reply says what it is, and is not compressed', async () => {
        const [alice, bob] = await pair();
        const origin = 'http://localhost:3000';
        const stream = await EventStream.open(bob, { version, headers: { 'accept-encoding': 'gzip', origin } });
        assert.equal(stream.headers['content-type'], 'text/event-stream');
        assert.equal(stream.headers['cache-control'], 'no-store');
        assert.equal(stream.headers['x-accel-buffering'], 'no');
        assert.equal(stream.headers['access-control-allow-origin'], origin);
        assert.equal(stream.headers['content-encoding'], undefined);
        assert.ok(stream.headers['x-request-id']);
        checkReply('GET', '/api/events', 200, stream.headers['content-type'], '');
        await alice.send(bob, 'x'.repeat(4000));
        assert.equal((await stream.next('private-message')).content.length, 4000);
        stream.close();
      });

      test('what was missed comes once, in order, and then what is new', async () => {
        const [alice, bob] = await pair();
        let stream = await EventStream.open(bob, { version });
        const everything = [];
        for (const round of upTo(4)) {
          for (const i of upTo(5)) await alice.send(bob, `live ${round} ${i}`);
          await until(() => contents(stream).includes(`live ${round} 5`), 'the live ones', patienceMs);
          everything.push(...stream.events);
          stream.close();
          for (const i of upTo(200)) await alice.send(bob, `missed ${round} ${i}`);
          const id = stream.lastEventId;
          stream = round % 2 ? await resume(bob, id, { version }) : await EventStream.open(bob, { version, query: { since: id } });
        }
        await stream.untilMarker(alice);
        everything.push(...stream.events);
        const messages = everything.filter(e => e.event === 'private-message').map(e => e.data);
        assert.deepEqual(messages, await bob.wholeHistory(alice));
        const ids = everything.filter(e => e.id !== undefined).map(e => Number(e.id));
        assert.deepEqual(ids, upTo(ids.length).map(i => ids[0] + i - 1));
        stream.close();
      });

      test('a stream that is lost before its first event resumes from its beginning', async () => {
        const [alice, bob] = await pair();
        const stream = await EventStream.open(bob, { version });
        stream.close();
        const missed = await alice.send(bob, 'missed');
        const again = await resume(bob, stream.lastEventId, { version });
        assert.deepEqual(await again.next('private-message'), missed);
        again.close();
      });

      test('an offset that is ahead is answered by a reset, and the stream is live', async () => {
        const [alice, bob] = await pair();
        const { lastEventId } = await EventStream.open(bob, { version });
        for (const offset of ['999999', '9'.repeat(40)]) {
          const stream = await resume(bob, offset, { version });
          assert.deepEqual(stream.events[0], { id: lastEventId, event: 'reset', data: { offset: lastEventId } });
          stream.close();
        }
        const stream = await resume(bob, '7777', { version });
        const message = await alice.send(bob, 'after the reset');
        assert.deepEqual(await stream.next('private-message'), message);
        assert.equal(stream.events.length, 2);
        stream.close();
      });

      test('a client that leaves is offline', async () => {
        const [alice, bob] = await pair();
        const watcher = await alice.connect();
        const stream = await EventStream.open(bob, { version });
        assert.deepEqual(await watcher.next('user-online'), { userId: bob.id });
        stream.close();
        assert.equal((await watcher.next('user-offline')).userId, bob.id);
        watcher.close();
      });

      test('many streams of one user all get everything', async () => {
        const [alice, bob] = await pair();
        const streams = await Promise.all(upTo(60).map(() => EventStream.open(bob, { version })));
        const sent = [];
        for (const i of upTo(10)) sent.push((await alice.send(bob, `to all ${i}`)).content);
        await Promise.all(streams.map(stream => until(() => contents(stream).length === 10, 'all of them', patienceMs)));
        for (const stream of streams) assert.deepEqual(contents(stream), sent);
        for (const stream of streams) stream.close();
      });
    });
  }

  test('streams and requests share one connection of HTTP/2', async () => {
    const [alice, bob] = await pair();
    const session = http2.connect(server.url);
    const authorization = `Bearer ${bob.token}`;
    const texts = upTo(20).map(() => {
      const text = { all: '' };
      const stream = session.request({ ':path': '/api/events', authorization });
      stream.setEncoding('utf8').on('data', part => (text.all += part));
      stream.on('error', () => {});
      return text;
    });
    await until(() => texts.every(text => text.all.includes('id: ')), 'every stream to begin', patienceMs);
    const request = session.request({ ':path': '/api/users/me', authorization });
    const [head] = await once(request, 'response');
    assert.equal(head[':status'], 200);
    await alice.send(bob, 'to every stream');
    await until(() => texts.every(text => text.all.includes('to every stream')), 'the message', patienceMs);
    session.destroy();
  });

  test('the examples of the description are of such streams', () => {
    const { examples } = openapi.paths['/api/events'].get.responses[200].content['text/event-stream'];
    const blocks = Object.values(examples).flatMap(({ value }) => value.split('\n\n'));
    const fields = blocks.map(block => Object.fromEntries(block.split('\n').map(line => line.split(/: (.*)/))));
    const events = fields.filter(({ data }) => data !== undefined);
    assert.deepEqual(events.map(({ event }) => event), ['message_read', 'typing', 'reset']);
    for (const { event, data, id } of events) checkEvent('stream', event, JSON.parse(data), id);
  });

  test('the token may stand in the query', async () => {
    const [alice, bob] = await pair();
    const stream = await EventStream.open(bob, { token: null, query: { token: bob.token } });
    const message = await alice.send(bob, 'hello');
    assert.deepEqual(await stream.next('private-message'), message);
    stream.close();
  });

  test('who has no token, or a bad one, is refused', async () => {
    const guest = new Client(server);
    const refused = async (options, message) => {
      for (const version of versions) {
        const stream = new EventStream(guest, { version, ...options });
        await stream.opened();
        const refusal = await stream.refusal();
        assertFails(refusal, 401, 'UNAUTHORIZED', message);
        checkReply('GET', '/api/events', 401, stream.headers['content-type'], stream.body);
      }
    };
    await refused({}, 'No token provided');
    await refused({ token: 'garbage' }, 'Invalid token');
    await refused({ query: { token: 'a.b.c' } }, 'Invalid token');
    for (const odd of [`token=${'x'.repeat(5000)}`, 'token=a&token=b', 'token=%ff', 'token=%00', 'token=%zz']) {
      await refused({ query: odd }, 'Invalid token');
    }
  });

  test('a bad offset is refused, and told where it stood', async () => {
    const [alice] = await pair();
    const refused = async (options, path, location) => {
      const stream = new EventStream(alice, options);
      await stream.opened();
      const refusal = await stream.refusal();
      assertFails(refusal, 400, 'VALIDATION_ERROR', 'Validation error');
      assert.deepEqual(refusal.errors.map(error => [error.path, error.location]), [[path, location]]);
      checkReply('GET', '/api/events', 400, stream.headers['content-type'], stream.body);
    };
    for (const bad of ['abc', '-1', '1.5', '0x10', '1 2', '٣', 'x'.repeat(3000)]) {
      await refused({ query: { since: bad } }, 'since', 'query');
    }
    await refused({ query: { since: '' } }, 'since', 'query');
    for (const bad of ['abc', '-1', '1.5', '12;']) {
      await refused({ headers: { 'last-event-id': bad } }, 'Last-Event-ID', 'header');
      await refused({ headers: { 'last-event-id': bad }, query: { since: '0' } }, 'Last-Event-ID', 'header');
    }
  });

  test('the header wins over the query, which may even be bad', async () => {
    const [alice, bob] = await pair();
    const { lastEventId } = await EventStream.open(bob);
    const message = await alice.send(bob, 'missed');
    for (const since of ['999999', 'abc']) {
      const stream = await resume(bob, lastEventId, { query: { since } });
      assert.deepEqual(await stream.next('private-message'), message);
      stream.close();
    }
  });

  test('the header with the token is read as the routes read it', async () => {
    const [alice] = await pair();
    for (const path of ['/api/users/me', '/api/events']) {
      const reply = await fetch(server.url + path, { headers: { authorization: `bearer  ${alice.token}` } });
      assert.equal(reply.status, 200, path);
      await reply.body.cancel();
    }
  });

  test('other methods are refused, and OPTIONS works', async () => {
    const [alice] = await pair();
    for (const method of ['POST', 'PUT', 'DELETE']) {
      const reply = await fetch(`${server.url}/api/events`, { method, headers: { authorization: `Bearer ${alice.token}` } });
      assert.equal(reply.status, 405);
      assert.equal(reply.headers.get('allow'), 'GET, OPTIONS');
      assert.equal((await reply.json()).code, 'METHOD_NOT_ALLOWED');
    }
    const head = await exchange(server, `HEAD /api/events?token=${alice.token} HTTP/1.1`, '', { isHead: true });
    assert.equal(head.status, 405);
    const options = await fetch(`${server.url}/api/events`, {
      method: 'OPTIONS',
      headers: {
        origin: 'http://localhost:3000',
        'access-control-request-method': 'GET',
        'access-control-request-headers': 'authorization, last-event-id',
      },
    });
    assert.equal(options.status, 204);
    assert.equal(options.headers.get('access-control-allow-methods'), 'GET, OPTIONS');
    assert.match(options.headers.get('access-control-allow-headers'), /last-event-id/);
  });

  test('what a user does by REST, his own streams see', async () => {
    const [alice, bob] = await pair();
    const [own, other] = await Promise.all([EventStream.open(alice), EventStream.open(bob)]);
    const message = await alice.send(bob, 'hi');
    assert.deepEqual(await own.next('private-message'), message);
    assert.deepEqual(await other.next('private-message'), message);
    own.close();
    other.close();
  });

  test('what is not kept comes without an id', async () => {
    const [alice, bob] = await pair();
    const stream = await EventStream.open(bob);
    const laptop = await alice.connect();
    assert.deepEqual(await stream.take('user-online'), { id: undefined, event: 'user-online', data: { userId: alice.id } });
    await laptop.done('typing', { receiverId: bob.id });
    const typing = await stream.take('typing');
    assert.deepEqual(typing, { id: undefined, event: 'typing', data: { senderId: alice.id, senderName: alice.username } });
    laptop.close();
    stream.close();
  });

  test('line ends in what a client sent are no line ends of the stream', async () => {
    const [alice, bob] = await pair();
    const laptop = await alice.connect({ transports: ['websocket'] });
    const { callId } = await laptop.done('call-user', { calleeId: bob.id, signal: { sdp: 'v=0\r\no=- 1\r\n' } });
    const stream = await EventStream.open(bob);
    const candidate = '{"a":\n1,\r\n\n"b":"x\\ny"}';
    laptop.io.io.engine.write(
      `42["ice-candidate",{"callId":"${callId}","callerId":"${alice.id}","calleeId":"${bob.id}","candidate":${candidate}}]`
        .replace(/^4/, '')
    );
    const event = await stream.take('ice-candidate');
    assert.deepEqual(event.data.candidate, { a: 1, b: 'x\ny' });
    laptop.close();
    stream.close();
  });

  test('a friend request reaches a stream', async () => {
    const [alice, bob] = await Promise.all([Client.register(server, 'alice'), Client.register(server, 'bob')]);
    const stream = await EventStream.open(bob);
    await befriend(alice, bob);
    assert.equal((await stream.next('friend_request_received')).senderId, alice.id);
    assert.equal((await stream.next('contact_added')).newContact.id, alice.id);
    stream.close();
  });

  test('a client that leaves is noticed, also when it had sent more before', async () => {
    const [alice, bob] = await pair();
    const watcher = await alice.connect();
    const socket = net.connect(server.port, '127.0.0.1');
    socket.on('error', () => {}).write(`GET /api/events?token=${bob.token} HTTP/1.1\r\nHost: localhost\r\n\r\nGET /heal`);
    await watcher.next('user-online');
    await once(socket, 'data');
    socket.end();
    assert.equal((await watcher.next('user-offline')).userId, bob.id);
    socket.destroy();
    watcher.close();
  });

  test('HTTP/1.0 gets a stream without chunks', async () => {
    const [alice, bob] = await pair();
    const socket = net.connect(server.port, '127.0.0.1');
    let text = '';
    socket.setEncoding('utf8').on('data', part => (text += part));
    socket.write(`GET /api/events?token=${bob.token} HTTP/1.0\r\nConnection: keep-alive\r\n\r\n`);
    await until(() => text.includes('\nid: '), 'the beginning', patienceMs);
    const { id } = await alice.send(bob, 'hello');
    await until(() => text.includes(id), 'the message', patienceMs);
    assert.doesNotMatch(text, /chunked/i);
    assert.match(text, /\r\n\r\n: /);
    socket.destroy();
  });
});

describe('event stream, over restarts and at its limits', () => {
  const start = async (t, env) => {
    const server = await startServer({ env });
    t.after(() => stopServer(server));
    return server;
  };

  test('nothing is missed or told twice over crashes of the server', async t => {
    const server = await start(t);
    const [alice, bob] = await friends(server, 'alice', 'bob');
    const seen = [];
    let stream = await EventStream.open(bob);
    for (const round of upTo(3)) {
      for (const i of upTo(20)) await alice.send(bob, `${round} ${i}`);
      await until(() => contents(stream).length > 0, 'some of them', patienceMs);
      await server.restart({ isCrash: true });
      await stream.waitForEnd();
      seen.push(...stream.events);
      await alice.send(bob, `${round} while away`);
      stream = await resume(bob, stream.lastEventId, { version: 1 + (round % 2) });
    }
    await stream.untilMarker(alice);
    seen.push(...stream.events);
    assert.deepEqual(seen.filter(e => e.event === 'private-message').map(e => e.data), await bob.wholeHistory(alice));
    stream.close();
  });

  test('streams end when the server stops, and resume from the next one', async t => {
    const server = await start(t);
    const [alice, bob] = await friends(server, 'alice', 'bob');
    const streams = await Promise.all(versions.flatMap(version => upTo(5).map(() => EventStream.open(bob, { version }))));
    await server.restart();
    await Promise.all(streams.map(stream => stream.waitForEnd()));
    assert.ok(server.logs.some(line => line.msg === 'stopped'), 'it had to cut connections');
    const missed = await alice.send(bob, 'missed');
    for (const version of versions) {
      const stream = await resume(bob, streams[0].lastEventId, { version });
      assert.deepEqual(await stream.next('private-message'), missed);
      stream.close();
    }
  });

  test('an offset that is pruned is answered by a reset', async t => {
    const server = await start(t);
    const [alice, bob] = await friends(server, 'alice', 'bob');
    const stream = await EventStream.open(bob);
    const old = stream.lastEventId;
    for (const i of upTo(3)) await alice.send(bob, `${i}`);
    const { id } = await stream.take('private-message', data => data.content === '3');
    stream.close();
    await prune(server, bob, Number(id) - 1);
    const again = await resume(bob, old);
    assert.deepEqual(again.events[0], { id, event: 'reset', data: { offset: id } });
    again.close();
    const good = await resume(bob, `${Number(id) - 1}`);
    assert.equal((await good.next('private-message')).content, '3');
    good.close();
  });

  test('a reader that never reads again is cut off', async t => {
    const server = await start(t, { SEND_QUEUE_MAX_BYTES: '262144', REQUEST_TIMEOUT_SECONDS: '2' });
    const [alice, bob] = await friends(server, 'alice', 'bob');
    const descriptors = () => readdirSync(`/proc/${server.pid}/fd`).length;
    const laptop = await alice.connect({ transports: ['websocket'] });
    await server.waitForLog(line => line.msg === 'listening');
    const before = descriptors();
    const sockets = versions.map(version => {
      const stream = new EventStream(bob, { version });
      stream.opened().then(() => stream.source.pause());
      return stream;
    });
    await until(() => sockets.every(stream => stream.status === 200) && descriptors() >= before + 2, 'the streams', patienceMs);
    const content = 'x'.repeat(4000);
    await until(async () => {
      await Promise.all(upTo(30).map(() => laptop.done('private-message', { receiverId: bob.id, content })));
      return descriptors() <= before;
    }, 'the server to let go of the connections', 60_000);
    for (const stream of sockets) stream.close();
  });

  test('while the database is away new streams and sockets are told to come later, and old ones stay', async t => {
    const postgres = await startPostgres();
    t.after(() => postgres.destroy());
    const server = await startServer({ postgres });
    t.after(() => stopServer(server));
    const [alice, bob] = await friends(server, 'alice', 'bob');
    const [stream, socket] = [await EventStream.open(bob), await PlainSocket.open(bob)];
    await postgres.stop();
    await until(async () => (await fetch(`${server.url}/health/ready`)).status === 503, 'the server to notice', patienceMs);
    const refused = new EventStream(bob);
    await refused.opened();
    const refusal = await refused.refusal();
    assertFails(refusal, 503, 'UNAVAILABLE');
    assert.match(refusal.headers.get('retry-after'), /^[1-9]\d*$/);
    assert.equal((await (await PlainSocket.connect(bob)).waitForClose()).code, 1013);
    await postgres.start();
    await until(async () => (await fetch(`${server.url}/health/ready`)).status === 200, 'the server to be back', patienceMs);
    const message = await alice.send(bob, 'after');
    for (const any of [stream, socket]) {
      assert.deepEqual(await any.next('private-message'), message);
      any.close();
    }
  });

  test('over TLS, by both versions', async t => {
    const { key, certificate } = temporaryCertificate('DNS:localhost');
    const { databaseUrl, ...plain } = await start(t);
    const [alice, bob] = await friends(plain, 'alice', 'bob');
    const server = await startServer({ databaseUrl, env: { TLS_CERT: certificate, TLS_KEY: key, PRESENCE_GRACE_MS: '0' } });
    t.after(() => stopServer(server));
    for (const client of [alice, bob]) client.server = server;
    const streams = await Promise.all(versions.map(version => EventStream.open(bob, { version })));
    const content = 'x'.repeat(3900);
    const ids = [];
    const device = await alice.connect({ rejectUnauthorized: false });
    for (const i of upTo(50)) {
      ids.push((await device.done('private-message', { receiverId: bob.id, content: `${i} ${content}` })).message.id);
    }
    for (const stream of streams) {
      await until(() => stream.events.filter(e => e.event === 'private-message').length === ids.length, 'all', patienceMs);
      assert.deepEqual(stream.events.filter(e => e.event === 'private-message').map(e => e.data.id), ids);
      stream.close();
    }
    assert.equal((await device.next('user-offline')).userId, bob.id);
    device.close();
  });

  test('a quiet stream has a heartbeat', async t => {
    const server = await start(t, { PING_INTERVAL_MS: '300' });
    const [alice, bob] = await friends(server, 'alice', 'bob');
    for (const version of versions) {
      const stream = await EventStream.open(bob, { version });
      const { comments } = stream;
      await until(() => stream.comments >= comments + 3, 'three heartbeats', patienceMs);
      assert.deepEqual(await stream.untilMarker(alice), []);
      stream.close();
    }
  });

  test('a stream lives longer than a reply may take', async t => {
    const server = await start(t, { REQUEST_TIMEOUT_SECONDS: '1', PING_INTERVAL_MS: '300' });
    const [alice, bob] = await friends(server, 'alice', 'bob');
    const streams = await Promise.all(versions.map(version => EventStream.open(bob, { version })));
    await until(() => streams.every(stream => stream.comments > 12), 'twelve heartbeats', patienceMs);
    const message = await alice.send(bob, 'still here');
    for (const stream of streams) {
      assert.deepEqual(await stream.next('private-message'), message);
      assert.equal(stream.ended, false);
      stream.close();
    }
  });

  for (const version of versions) {
    test(`by HTTP/${version}, a reader that stops is let go of, harms nobody, and resumes`, async t => {
      // So long that it is the queue alone that ends it.
      const server = await start(t, { SEND_QUEUE_MAX_BYTES: '262144', REQUEST_TIMEOUT_SECONDS: '600', PRESENCE_GRACE_MS: '0' });
      const [alice, bob, carol] = await friends(server, 'alice', 'bob', 'carol');
      const watcher = await carol.connect();
      const good = await EventStream.open(alice);
      const slow = await EventStream.open(bob, { version });
      assert.equal((await watcher.next('user-online', data => data.userId === bob.id)).userId, bob.id);
      slow.source.pause();
      const laptop = await alice.connect({ transports: ['websocket'] });
      const content = 'x'.repeat(4000);
      let sent = 0, gone = false;
      const offline = watcher.next('user-offline', data => data.userId === bob.id).then(() => (gone = true));
      while (!gone && sent < 20_000) {
        await Promise.all(upTo(50).map(() => laptop.done('private-message', { receiverId: bob.id, content })));
        sent += 50;
      }
      await offline;
      assert.deepEqual((await good.untilMarker(bob)).filter(e => e.event !== 'private-message'), []);
      const lost = slow.lastEventId;
      slow.source.resume();
      await slow.waitForEnd();
      const again = await resume(bob, slow.lastEventId, { version });
      await until(() => contents(slow).length + contents(again).length >= sent + 1, 'all messages', 120_000);
      assert.ok(Number(slow.lastEventId) >= Number(lost));
      const ids = [...slow.events, ...again.events].filter(e => e.id !== undefined).map(e => Number(e.id));
      assert.deepEqual(ids, upTo(ids.length).map(i => ids[0] + i - 1));
      again.close();
    });
  }
});

/** Takes out of the log of `client` what stands up to `seq`, as the server does with old events. */
async function prune(server, client, seq) {
  await server.query(`UPDATE events SET created_at = created_at - interval '40 days'
                      WHERE user_id = '${client.id}' AND seq <= ${seq}`);
  await server.query(`SELECT prune_events(ARRAY[30], ARRAY[1000])`);
}
