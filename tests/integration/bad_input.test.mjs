// Whatever a client sends: it gets a clear answer, the server is unharmed, and the others notice nothing.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import http2 from 'node:http2';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';

import {
  Client, assertFails, assertRefused, friends, nobody, password, patienceMs, stopServer, unique, upTo,
} from '../support/api.mjs';
import { openapi } from '../support/descriptions.mjs';
import { Connection, RawWebSocket, exchange, opcodes } from '../support/raw.mjs';
import { startServer, until } from '../support/server.mjs';

describe('bad input', () => {
  let server, mallory, victim, alice, bob, phone, traffic;

  before(async () => {
    server = await startServer();
    [mallory, victim] = await friends(server, 'mallory', 'victim');
    [alice, bob] = await friends(server, 'alice', 'bob');
    phone = await bob.connect();
  });
  after(() => stopServer(server));

  // During each test Alice writes to Bob, whose phone hears all of it in order; afterwards it is all there.
  beforeEach(() => {
    const sent = [];
    let isOver = false;
    const written = (async () => {
      while (!isOver || sent.length < 5) sent.push(await alice.send(bob, unique('undisturbed')));
    })();
    written.catch(() => {}); // stop() tells
    traffic = {
      async stop() {
        isOver = true;
        await written;
        for (const message of sent) assert.deepEqual(await phone.next('private-message'), message);
        const history = await bob.history(alice, { limit: 100, after: sent[0].seq - 1 });
        assert.deepEqual(history.messages, sent.slice(0, 100));
      },
    };
  });
  afterEach(() => traffic.stop());

  const isRefused = (reply, what) => {
    assert.equal(reply.status, 400, what);
    assert.ok(['INVALID_PAYLOAD', 'VALIDATION_ERROR'].includes(reply.code), what);
  };
  const post = body => mallory.request('POST', '/api/messages', { body });
  const countAll = () => server.query(`SELECT count(*) FROM messages WHERE sender_id = '${mallory.id}'`);
  const unharmed = async work => {
    const count = await countAll();
    await work();
    assert.equal(await countAll(), count, 'something was written');
  };

  test('a body that is not a JSON object is refused', () => unharmed(async () => {
    const good = `"receiverId":"${victim.id}","content":"x"`;
    const bodies = [
      ' ', '{', '}', '[]', '[{}]', '"text"', 'null', 'true', '7', '{]', `{${good}`, `{${good},}`, `{${good}}}`,
      `{${good}} x`,
      `{${good}}{${good}}`, `{'receiverId':'x'}`, 'NaN', '{"content":NaN}', '{"content":01}', '{"content":.5}',
      '{"content":"\\x41"}',
      '{"content":"\\u12"}', '{content:"x"}', `\ufeff{${good}}`, `// comment\n{${good}}`, '{"content":"raw\ncontrol"}',
      '<xml/>', 'a=b&c=d',
    ];
    for (const body of bodies) {
      const reply = await post(body);
      assert.deepEqual([body, reply.status, reply.code], [body, 400, 'INVALID_PAYLOAD']);
    }
    isRefused(await post(''), 'no body');
  }));

  test('no route takes a query or a body that is none', () => unharmed(async () => {
    const routes = Object.entries(openapi.paths).filter(([route]) => /^\/api\/(?!docs)/.test(route));
    for (const [route, methods] of routes) {
      const target = route.replace(/\{\w+\}/, nobody);
      for (const method of Object.keys(methods).filter(name => /^(get|post|delete)$/.test(name))) {
        const ask = (query, body) => mallory.request(method.toUpperCase(), target + query, { body });
        if (method !== 'get') assertFails(await ask('', '{'), 400, 'INVALID_PAYLOAD', 'Malformed JSON');
        const reply = method === 'get' ? await ask('?%zz=1') : await ask('', '{"unknown":1}');
        assertFails(reply, 400, 'VALIDATION_ERROR', 'Validation error');
        assert.ok(reply.errors.some(error => error.path === (method === 'get' ? '' : 'unknown')), `${method} ${route}`);
      }
    }
  }));

  test('JSON nested deeply, or huge in other ways, is refused', () => unharmed(async () => {
    const depth = 50_000;
    for (const body of [
      '['.repeat(depth), '{"a":'.repeat(depth / 2), '['.repeat(depth) + ']'.repeat(depth),
      `{"receiverId":"${victim.id}","content":${'['.repeat(depth)}${']'.repeat(depth)}}`,
      `{"receiverId":"${victim.id}","content":"x","more":${'{"a":'.repeat(200)}1${'}'.repeat(200)}}`,
      `{${Array.from({ length: 10_000 }, (_, i) => `"field${i}":${i}`).join()}}`,
      `{"content":${'9'.repeat(100_000)}}`, '{"content":1e999999}', `{"${'k'.repeat(200_000)}":1}`,
      `{"receiverId":"${'x'.repeat(200_000)}","content":"x"}`,
    ]) {
      isRefused(await post(body), body.slice(0, 60));
    }
  }));

  test('a field that comes twice is refused', () => unharmed(async () => {
    for (const body of [
      `{"receiverId":"${victim.id}","content":"a","content":"b"}`,
      `{"receiverId":"${victim.id}","receiverId":"${nobody}","content":"a"}`,
      `{"receiverId":"${victim.id}","content":"a","c\\u006fntent":"b"}`,
    ]) {
      isRefused(await post(body), body);
    }
  }));

  test('values of the wrong type are refused', () => unharmed(async () => {
    for (const value of [null, true, 7, -1.5, 1e30, [], ['x'], {}, { $ne: null }]) {
      isRefused(await post(JSON.stringify({ receiverId: value, content: 'x' })), `receiverId ${value}`);
      isRefused(await post(JSON.stringify({ receiverId: victim.id, content: value })), `content ${value}`);
      if (value === null) continue; // is as good as absent
      const body = JSON.stringify({ receiverId: victim.id, content: 'x', clientId: value });
      isRefused(await post(body), `clientId ${value}`);
    }
    for (const name of ['__proto__', 'constructor', 'senderId', 'seq', 'id', 'createdAt', '', 'Content', 'content ']) {
      isRefused(await post(`{"receiverId":"${victim.id}","content":"x",${JSON.stringify(name)}:"x"}`), name);
    }
  }));

  test('ids that are none are refused', () => unharmed(async () => {
    const ids = [
      '', ' ', 'x', '0', victim.id.slice(1), `${victim.id}0`, ` ${victim.id}`, `{${victim.id}}`,
      victim.id.replaceAll('-', ''),
      victim.id.replace(/.$/, 'g'), `${victim.id}\u0000`, "' OR '1'='1", '../../etc/passwd', '%00',
      victim.id.replace('-', '−'),
    ];
    for (const id of ids) {
      isRefused(await post(JSON.stringify({ receiverId: id, content: 'x' })), id);
      isRefused(await mallory.get('/api/messages', { withUserId: id }), id);
      isRefused(await mallory.post('/api/contacts/request', { targetId: id }), id);
      isRefused(await mallory.post('/api/contacts/accept', { requesterId: id }), id);
    }
  }));

  test('text that is not text is refused', () => unharmed(async () => {
    const around = bytes => Buffer.concat([
      Buffer.from(`{"receiverId":"${victim.id}","content":"a`), Buffer.from(bytes), Buffer.from('b"}'),
    ]);
    const broken = {
      'a NUL': around('\\u0000'), 'a raw NUL': around([0]), 'a high surrogate alone': around('\\ud83d'),
      'a low one alone': around('\\ude00'),
      'surrogates turned around': around('\\ude00\\ud83d'), 'a raw surrogate': around([0xed, 0xa0, 0x80]),
      'a cut sequence': around([0xe2, 0x82]),
      'a continuation alone': around([0x80]), 'an overlong slash': around([0xc0, 0xaf]),
      'past Unicode': around([0xf4, 0x90, 0x80, 0x80]),
      'never a byte': around([0xff, 0xfe]),
    };
    for (const [what, body] of Object.entries(broken)) isRefused(await post(body), what);
    for (const username of ['nul\u0000nul', 'x'.repeat(100_000)]) {
      isRefused(await mallory.post('/api/auth/login', { username, password: 'password' }), 'login');
    }
    for (const target of ['search=%ff%fe', 'search=%00', 'search=%ed%a0%80', 'search=%', 'search=%zz']) {
      const head = `GET /api/users?${target} HTTP/1.1\r\nAuthorization: Bearer ${mallory.token}`;
      const { status } = await exchange(server, head);
      assert.ok(status === 400 || (status === 200 && /%(zz)?$/.test(target)), `${target}: ${status}`);
    }
  }));

  test('what looks like SQL is kept as it is, wherever it comes', async () => {
    for (const text of [`'`, `''`, `"`, `\\'`, `$1`, `$$`, `%s %L`, `'; DROP TABLE messages; --`, `' || (SELECT 1) || '`]) {
      const sent = await mallory.send(victim, text, { clientId: text });
      assert.deepEqual([sent.content, sent.clientId], [text, text]);
      assert.deepEqual((await victim.history(mallory, { limit: 1 })).messages, [sent]);
      const device = await mallory.connect({ transports: ['websocket'] });
      const { message } = await device.done('private-message', { receiverId: victim.id, content: text });
      assert.equal(message.content, text);
      device.close();
      const body = { username: mallory.username, password, device: text };
      const login = await new Client(server).do('/api/auth/login', body, { 'user-agent': text });
      const [session] = await Object.assign(new Client(server), { token: login.token }).read('/api/auth/sessions');
      assert.deepEqual([session.device, session.userAgent], [text, text]);
      assert.deepEqual(await mallory.read('/api/users', { search: text }), []);
      isRefused(await mallory.get('/api/messages', { withUserId: text }), text);
    }
  });

  test('queries that are absurd are answered', async () => {
    const get = async target => {
      const { status } = await exchange(server, `GET ${target} HTTP/1.1\r\nAuthorization: Bearer ${mallory.token}`);
      return status;
    };
    for (const query of [
      'limit=', 'limit', 'limit=1&limit=2', 'limit=%31%30', '&&&', '=', '=x', '?', 'a'.repeat(5000),
      'a=1&'.repeat(1000),
    ]) {
      const status = await get(`/api/chats?${query}`);
      assert.ok(status === 200 || status === 400, `${query.slice(0, 40)}: ${status}`);
    }
    const user = `withUserId=${victim.id}`;
    for (const query of [
      `${user}&${user}`, `${user}&page=1&page=2`, `${user}&before=9223372036854775808`,
      `${user}&after=-9223372036854775809`,
    ]) {
      const status = await get(`/api/messages?${query}`);
      assert.ok(status === 200 || status === 400, `${query}: ${status}`);
    }
  });

  test('an event with the wrong payload is refused by its ack', () => unharmed(async () => {
    const device = await mallory.connect({ transports: ['websocket'] });
    const events = ['private-message', 'message-seen', 'message_read', 'typing', 'stop_typing', 'send_friend_request',
      'accept_friend_request', 'reject_friend_request', 'call-user', 'answer-call', 'ice-candidate', 'end-call'];
    for (const event of events) {
      for (const payload of [
        undefined, null, 7, true, 'text', [], [1], {}, { receiverId: {} }, Buffer.from('binary'),
        { content: Buffer.from('x') },
      ]) {
        const ack = await device.ask(event, payload);
        assert.equal(ack.success, false, `${event} ${JSON.stringify(payload)}`);
        assert.ok(
          ['INVALID_PAYLOAD', 'VALIDATION_ERROR'].includes(ack.code),
          `${event} ${JSON.stringify(payload)}: ${ack.code}`
        );
      }
      assert.equal((await device.io.timeout(patienceMs).emitWithAck(event)).success, false);
      assert.equal((await device.io.timeout(patienceMs).emitWithAck(event, {}, {}, 'more')).success, false);
    }
    for (const content of ['', 'x'.repeat(4001), 'a\u0000b', null, 7, ['x']]) {
      assertRefused(await device.ask('private-message', { receiverId: victim.id, content }), 'VALIDATION_ERROR');
    }
    const unknown = await device.ask('private-message', { receiverId: victim.id, content: 'x', colour: 'red' });
    assertRefused(unknown, 'VALIDATION_ERROR');
    assertRefused(
      await device.ask('private-message', { receiverId: victim.id, content: 'x', clientId: 'x'.repeat(129) }),
      'VALIDATION_ERROR'
    );
    device.close();
  }));

  test('an event that the stock client cannot send is refused, or ends the connection', () => unharmed(async () => {
    const say = fields => `42["private-message",{"receiverId":"${victim.id}",${fields}}]`;
    const packets = [
      say('"content":"\\ud83d"'), say('"content":"a\\u0000b"'), say('"content":"a","content":"b"'),
      say(`"content":${'['.repeat(5000)}${']'.repeat(5000)}`), `42${'['.repeat(100_000)}`,
      `42["private-message",${'{"a":'.repeat(5000)}1${'}'.repeat(5000)}]`,
      '42["private-message"', '42["private-message",]', '42[]', '42[7]', '42[null]', '42[["private-message"]]',
      '42["' + 'x'.repeat(100_000) + '"]',
      '42{}', '42', '42abc["x"]', '4abc', '49["x"]', '4', '9', 'x', '7', '42/admin,["private-message",{}]',
      '4299999999999999999999["private-message",{}]', '451-["private-message",{"_placeholder":true,"num":5}]',
      '4599999999-["private-message"]', '45["x"]', '45-1-["x"]', '431["no such ack"]', '43["no id"]',
      '44{"message":"x"}',
    ];
    for (const packet of packets) {
      const socket = await RawWebSocket.session(mallory);
      socket.send(packet);
      // An event that is surely refused follows: whatever became of the packet, this has been read after it.
      socket.send('42["no-such-event"]');
      const isAnswered = () => socket.ended || closes(socket) || socket.received.includes('operation-error');
      await until(isAnswered, packet.slice(0, 60), patienceMs);
      socket.destroy();
    }
  }));

  test('packets that are broken end the connection', async () => {
    for (const packet of [
      '4abc', '42{}', '42abc["x"]', '9', 'x', '42["x"', '451-["x",{"_placeholder":true,"num":5}]',
    ]) {
      const socket = await RawWebSocket.session(mallory);
      socket.send(packet);
      if (packet.startsWith('451')) socket.send([1, 2, 3], { opcode: opcodes.binary });
      await socket.closeCode();
    }
  });

  test('nothing happens before CONNECT', () => unharmed(async () => {
    const socket = await RawWebSocket.open(server);
    await socket.text();
    socket.send(`42["private-message",{"receiverId":"${victim.id}","content":"too early"}]`);
    await socket.closeCode();
    for (const auth of [
      '', '{}', '[]', '"x"', '{"token":7}', '{"token":null}', `{"token":"${'x'.repeat(100_000)}"}`,
      '{"token":"x","token":"y"}', '{',
    ]) {
      const other = await RawWebSocket.open(server);
      await other.text();
      other.send(`40${auth}`);
      const answer = await other.text().catch(() => 'closed');
      assert.match(answer, /^44\{"message":"Authentication error: |^closed$/, auth.slice(0, 40));
      other.destroy();
    }
  }));

  test('frames that break RFC 6455 end the connection, with the code for it', async () => {
    const cases = {
      'not masked': [1002, socket => socket.send('2', { isMasked: false })],
      'a reserved bit': [1002, socket => socket.send('2', { rsv: 4 })],
      'a reserved opcode': [1002, socket => socket.send('2', { opcode: 3 })],
      'a reserved control opcode': [1002, socket => socket.send('', { opcode: 11 })],
      'a ping in fragments': [1002, socket => socket.send('x', { opcode: opcodes.ping, fin: false })],
      'a long ping': [1002, socket => socket.send('x'.repeat(126), { opcode: opcodes.ping })],
      'a continuation of nothing': [1002, socket => socket.send('x', { opcode: opcodes.continuation })],
      'a text within a text': [1002, socket => {
        socket.send('4', { fin: false });
        socket.send('2');
      }],
      'broken UTF-8': [1007, socket => socket.send([0x34, 0xff, 0xfe])],
      'a close with half a code': [1002, socket => socket.send([3], { opcode: opcodes.close })],
      'a close with a bad code': [1002, socket => socket.send([3, 0xed], { opcode: opcodes.close })],
      'a message over the limit': [1009, socket => socket.send('4'.repeat(1_000_001))],
      'a length over the limit': [1009, socket => socket.send('', { length: 2 ** 40 })],
      'fragments over the limit': [1009, socket => {
        socket.send('4'.repeat(600_000), { fin: false });
        socket.send('4'.repeat(600_000), { opcode: opcodes.continuation });
      }],
    };
    for (const [what, [code, send]] of Object.entries(cases)) {
      const socket = await RawWebSocket.session(mallory);
      send(socket);
      assert.deepEqual([what, await socket.closeCode()], [what, code]);
    }
    const polite = await RawWebSocket.session(mallory);
    polite.send('hello', { opcode: opcodes.ping });
    const pong = await polite.frame();
    assert.deepEqual([pong.opcode, pong.payload.toString()], [opcodes.pong, 'hello']);
    polite.send([3, 0xe8], { opcode: opcodes.close });
    assert.equal(await polite.closeCode(), 1000);
  });

  test('a handshake that is none is refused', async () => {
    const target = '/socket.io/?EIO=4&transport=websocket';
    for (const headers of [
      { 'Sec-WebSocket-Key': undefined }, { 'Sec-WebSocket-Version': 12 }, { 'Sec-WebSocket-Key': 'short' },
      { Upgrade: 'h2c' },
    ]) {
      const socket = await RawWebSocket.open(server, target, headers);
      assert.ok(socket.upgrade.status >= 400 && socket.upgrade.status < 500, JSON.stringify(headers));
      socket.destroy();
    }
    for (const [query, status] of [
      ['EIO=4&transport=websocket&sid=nonsense', 400], ['EIO=3&transport=websocket', 400], ['transport=websocket', 400],
    ]) {
      const socket = await RawWebSocket.open(server, `/socket.io/?${query}`);
      assert.equal(socket.upgrade.status, status, query);
      socket.destroy();
    }
  });

  test('polling that makes no sense is refused, with the code for it', async () => {
    const ask = async (method, query, body) => {
      const response = await fetch(`${server.url}/socket.io/?${query}`, { method, body });
      return { status: response.status, text: await response.text() };
    };
    for (const [method, query, code] of [
      ['GET', 'EIO=4&transport=carrier-pigeon', 0], ['GET', 'EIO=4', 0], ['GET', '', 0],
      ['GET', 'EIO=4&transport=polling&sid=nonsense', 1],
      ['POST', 'EIO=4&transport=polling', 2], ['GET', 'EIO=3&transport=polling', 5],
      ['GET', `EIO=4&transport=polling&sid=${'x'.repeat(5000)}`, 1],
    ]) {
      const { status, text } = await ask(method, query);
      assert.equal(status, 400, query.slice(0, 60));
      assert.equal(JSON.parse(text).code, code, query.slice(0, 60));
    }
    for (const body of ['', 'garbage', '4abc', '\u001e\u001e', '42["x"', 'b!!!!', '9', Buffer.from([0xff, 0xfe])]) {
      const { sid } = JSON.parse((await ask('GET', 'EIO=4&transport=polling')).text.slice(1));
      const session = `EIO=4&transport=polling&sid=${sid}`;
      const sent = await ask('POST', session, body);
      assert.ok(sent.status === 200 || sent.status === 400, `${body}: ${sent.status}`);
      const next = await ask('GET', session);
      assert.ok(next.status === 400 || next.text === '1', `${body}: ${next.status} ${next.text}`);
    }
    const { sid } = JSON.parse((await ask('GET', 'EIO=4&transport=polling')).text.slice(1));
    const head = `POST /socket.io/?EIO=4&transport=polling&sid=${sid} HTTP/1.1`;
    assert.equal((await exchange(server, `${head}\r\nContent-Length: 1000001`, 'x'.repeat(1000001))).status, 413);
  });

  // --- clients that leave ---

  test('a client that leaves in the middle of a request loses nothing that it can ask for again', async () => {
    const body = clientId => JSON.stringify({ receiverId: victim.id, content: clientId, clientId });
    const head = length => `POST /api/messages HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${mallory.token}\r\n`
      + `Content-Type: application/json\r\nContent-Length: ${length}\r\n\r\n`;
    const from = (await mallory.history(victim)).pagination.total;
    const ids = upTo(40).map(() => unique('left'));
    await Promise.all(ids.map(async (id, i) => {
      const connection = await Connection.connect(server);
      const text = head(Buffer.byteLength(body(id))) + body(id);
      connection.write(i % 4 === 3 ? text.slice(0, text.length - 1 - i) : text);
      if (i % 4 === 1) await new Promise(resolve => setImmediate(resolve));
      if (i % 4 === 2) connection.socket.end();
      else connection.destroy();
    }));
    for (const id of ids) await mallory.do('/api/messages', JSON.parse(body(id)));
    const history = (await victim.wholeHistory(mallory)).slice(from);
    assert.deepEqual(history.map(message => message.content).sort(), [...ids].sort());
    assert.deepEqual(history.map(message => message.seq), upTo(40).map(i => i + from));
  });

  test('an HTTP/2 connection that goes away in the middle of many requests loses nothing either', async () => {
    const from = (await mallory.history(victim)).pagination.total;
    const ids = upTo(30).map(() => unique('gone'));
    for (const part of [ids.slice(0, 10), ids.slice(10, 20), ids.slice(20)]) {
      const session = http2.connect(server.url);
      session.on('error', () => {});
      await once(session, 'connect');
      for (const [i, id] of part.entries()) {
        const stream = session.request({
          ':method': 'POST', ':path': '/api/messages', 'content-type': 'application/json',
          authorization: `Bearer ${mallory.token}`,
        });
        stream.on('error', () => {});
        stream.write(JSON.stringify({ receiverId: victim.id, content: id, clientId: id }));
        if (i % 2) stream.end();
        if (i % 3 === 0) stream.close(http2.constants.NGHTTP2_CANCEL);
      }
      await new Promise(resolve => session.ping(resolve));
      session.destroy();
    }
    for (const id of ids) await mallory.send(victim, id, { clientId: id });
    const history = (await victim.wholeHistory(mallory)).slice(from);
    assert.deepEqual(history.map(message => message.content).sort(), [...ids].sort());
    assert.deepEqual(history.map(message => message.seq), ids.map((_, i) => from + i + 1));
  });

  test('a WebSocket that is torn down takes nobody along', async () => {
    const from = (await mallory.history(victim)).pagination.total;
    const ids = upTo(40).map(() => unique('torn'));
    const listener = await victim.connect();
    await Promise.all(ids.map(async (id, i) => {
      const socket = await RawWebSocket.session(mallory);
      const packet = `420["private-message",{"receiverId":"${victim.id}","content":"${id}","clientId":"${id}"}]`;
      if (i % 3 === 0) socket.send(packet.slice(0, 40), { length: packet.length });
      else socket.send(packet);
      if (i % 3 === 2) socket.send([3, 0xe8], { opcode: opcodes.close });
      socket.destroy();
    }));
    for (const id of ids) await mallory.send(victim, id, { clientId: id });
    const history = (await victim.wholeHistory(mallory)).slice(from);
    assert.deepEqual(history.map(message => message.content).sort(), [...ids].sort());
    for (const message of history) assert.deepEqual(await listener.next('private-message'), message);
    assert.deepEqual(await listener.untilMarker(mallory), []);
    listener.close();
  });

  test('a polling client that leaves in the middle of a poll or an upgrade harms nobody', async () => {
    const listener = await victim.connect();
    await Promise.all(upTo(20).map(async i => {
      const path = '/socket.io/?EIO=4&transport=polling';
      const { sid } = JSON.parse((await exchange(server, `GET ${path} HTTP/1.1`)).body.slice(1));
      const connect = `40${JSON.stringify({ token: mallory.token })}`;
      const opened = await exchange(
        server, `POST ${path}&sid=${sid} HTTP/1.1\r\nContent-Length: ${connect.length}`, connect
      );
      assert.deepEqual([opened.status, opened.body], [200, 'ok']);
      assert.match((await exchange(server, `GET ${path}&sid=${sid} HTTP/1.1`)).body, /40\{/);
      const poll = await Connection.connect(server);
      poll.write(`GET ${path}&sid=${sid} HTTP/1.1\r\nHost: x\r\n\r\n`);
      if (i % 2) {
        const probe = await RawWebSocket.open(server, `/socket.io/?EIO=4&transport=websocket&sid=${sid}`);
        probe.send('2probe');
        if (i % 4 === 1) probe.send('5');
        probe.destroy();
      }
      poll.destroy();
      await mallory.send(victim, unique('while polling'));
    }));
    for (let i = 0; i < 20; i++) await listener.next('private-message');
    assert.deepEqual(await listener.untilMarker(mallory), []);
    listener.close();
  });

  test('a poll asked for twice ends the session, and only that', async () => {
    const path = '/socket.io/?EIO=4&transport=polling';
    const { sid } = JSON.parse((await exchange(server, `GET ${path} HTTP/1.1`)).body.slice(1));
    const first = exchange(server, `GET ${path}&sid=${sid} HTTP/1.1`);
    const second = exchange(server, `GET ${path}&sid=${sid} HTTP/1.1`);
    const answers = await Promise.all([first, second]);
    assert.deepEqual(answers.map(answer => answer.status).sort(), [200, 400]);
    assert.equal(answers.find(answer => answer.status === 200).body, '1');
    assert.equal((await exchange(server, `GET ${path}&sid=${sid} HTTP/1.1`)).status, 400);
  });

  test('nobody takes over the session of somebody else', async () => {
    const device = await victim.connect({ transports: ['polling'] });
    const sid = device.io.io.engine.id;
    assert.notEqual(device.io.id, sid);
    const guess = sid.replace(/.$/, last => (last === 'A' ? 'B' : 'A'));
    assert.equal((await exchange(server, `GET /socket.io/?EIO=4&transport=polling&sid=${guess} HTTP/1.1`)).status, 400);
    const message = await mallory.send(victim, 'still here');
    assert.deepEqual(await device.next('private-message'), message);
    device.close();
  });
});

function closes(socket) {
  return socket.received.length > 0 && (socket.received[0] & 15) === opcodes.close;
}
