// Writing and reading messages by REST.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import {
  Client, assertFails, assertInvalid, friends, nobody, patienceMs, stopServer, timePattern, unique, upTo, uuidPattern,
} from '../support/api.mjs';
import { startServer, until } from '../support/server.mjs';

const notAllowed = 'Permission denied: You are not allowed to chat with this user';

describe('messages', () => {
  let server, stranger;

  before(async () => {
    server = await startServer();
    stranger = await Client.register(server, 'stranger');
  });
  after(() => stopServer(server));

  const pair = () => friends(server, 'alice', 'bob');
  const post = (from, body, headers) => from.post('/api/messages', body, headers);
  const seqs = page => page.messages.map(message => message.seq);

  test('a message is sent, and read by the other side', async () => {
    const [alice, bob] = await pair();
    const reply = await post(alice, { receiverId: bob.id, content: 'hi Bob' });
    assert.equal(reply.status, 201);
    const message = reply.data;
    assert.match(message.id, uuidPattern);
    assert.match(message.chatId, uuidPattern);
    assert.match(message.createdAt, timePattern);
    assert.deepEqual(message, {
      id: message.id, chatId: message.chatId, seq: 1, senderId: alice.id, receiverId: bob.id, content: 'hi Bob',
      seen: false, createdAt: message.createdAt,
    });
    assert.deepEqual((await bob.history(alice)).messages, [message]);
    const answer = await bob.do('/api/messages', { chatId: message.chatId, content: 'hi Alice' });
    assert.deepEqual([answer.seq, answer.receiverId, answer.chatId], [2, alice.id, message.chatId]);
    assert.deepEqual(await alice.read('/api/messages', { chatId: message.chatId }), await alice.history(bob, {}));
    assert.equal(await server.query(`SELECT content FROM messages WHERE id = '${message.id}'`), 'hi Bob');
  });

  test('any text arrives as it was written', async () => {
    const [alice, bob] = await pair();
    const texts = [
      ' ', 'null', '<script>alert(1)</script>', `"quoted" \\ 'and' back\\slashed`, 'two\nlines\r\n\ttab',
      '\u0001\u001f\u007f',
      'naïve café', '漢字かな', '👩‍👩‍👧‍👦 🏴‍☠️', '\u202eright to left', 'e\u0301', '\ufeffmark\uffff',
      "'; DROP TABLE messages; --", '{"a":1}', '%s%n',
      '😀'.repeat(4000), 'x'.repeat(4000),
    ];
    for (const text of texts) assert.equal((await alice.send(bob, text)).content, text);
    assert.deepEqual((await bob.history(alice)).messages.map(message => message.content), texts);
    assert.equal((await bob.chat(alice)).latestMessage.content, texts.at(-1));
  });

  test('content has 1 to 4000 characters', async () => {
    const [alice, bob] = await pair();
    for (const content of ['', 'x'.repeat(4001), '😀'.repeat(4001), 7, true, ['hi'], { text: 'hi' }, null]) {
      assertInvalid(await post(alice, { receiverId: bob.id, content }), 'content');
    }
    assertInvalid(await post(alice, { receiverId: bob.id }), 'content');
    assert.deepEqual((await bob.history(alice)).messages, []);
  });

  test('the receiver is named once, by a user or by a chat', async () => {
    const [alice, bob] = await pair();
    const { chatId } = await alice.send(bob, 'hi');
    for (const body of [{}, { receiverId: bob.id, chatId }]) {
      const reply = await post(alice, { ...body, content: 'hi' });
      assertFails(reply, 400, 'VALIDATION_ERROR');
      for (const { path } of reply.errors) assert.ok(['receiverId', 'chatId'].includes(path), path);
    }
    assertInvalid(await post(alice, { receiverId: 'bob', content: '' }), 'content', 'receiverId');
    assertInvalid(await post(alice, { chatId: 7, content: 'hi' }), 'chatId');
    assertInvalid(await post(alice, { receiverId: bob.id, content: 'hi', colour: 'red' }), 'colour');
    for (const query of [{}, { withUserId: bob.id, chatId }]) {
      assertFails(await alice.get('/api/messages', query), 400, 'VALIDATION_ERROR');
    }
    assertInvalid(await alice.get('/api/messages', { withUserId: 'bob' }), 'withUserId');
  });

  test('only contacts may write and read', async () => {
    const [alice, bob] = await pair();
    const { chatId } = await alice.send(bob, 'for Bob alone');
    for (const receiverId of [alice.id, bob.id, nobody, stranger.id]) {
      assertFails(await post(stranger, { receiverId, content: 'hi' }), 403, 'FORBIDDEN', notAllowed);
      assertFails(await stranger.get('/api/messages', { withUserId: receiverId }), 403, 'FORBIDDEN');
    }
    for (const chat of [chatId, nobody]) {
      assertFails(await post(stranger, { chatId: chat, content: 'hi' }), 403, 'FORBIDDEN', notAllowed);
      assertFails(await stranger.get('/api/messages', { chatId: chat }), 403, 'FORBIDDEN');
    }
    await stranger.do('/api/contacts/request', { targetId: alice.id });
    assertFails(await post(stranger, { receiverId: alice.id, content: 'hi' }), 403, 'FORBIDDEN', notAllowed);
    assert.deepEqual((await alice.wholeHistory(bob)).map(message => message.content), ['for Bob alone']);
  });

  test('the same clientId gets the first message back', async () => {
    const [alice, bob] = await pair();
    const clientId = unique('client');
    const first = await post(alice, { receiverId: bob.id, content: 'once', clientId });
    assert.deepEqual([first.status, first.data.clientId], [201, clientId]);
    const byKey = { 'idempotency-key': clientId };
    const repeats = [
      await post(alice, { receiverId: bob.id, content: 'once', clientId }),
      await post(alice, { receiverId: bob.id, content: 'something else', clientId }),
      await post(alice, { receiverId: bob.id, content: 'once' }, byKey),
      await post(alice, { receiverId: bob.id, content: 'once', clientId }, byKey),
      await post(alice, { chatId: first.data.chatId, content: 'once', clientId }),
    ];
    for (const repeat of repeats) {
      assert.equal(repeat.status, 200);
      assert.deepEqual(repeat.data, first.data);
    }
    const differing = await post(
      alice, { receiverId: bob.id, content: 'once', clientId }, { 'idempotency-key': 'other' }
    );
    assertFails(differing, 400, 'VALIDATION_ERROR');
    assert.equal((await post(bob, { receiverId: alice.id, content: 'mine', clientId })).status, 201);
    assert.deepEqual((await bob.history(alice)).messages.map(message => message.content), ['once', 'mine']);
  });

  test('a key in the header is the clientId', async () => {
    const [alice, bob] = await pair();
    const key = unique('key');
    const first = await post(alice, { receiverId: bob.id, content: 'keyed' }, { 'idempotency-key': key });
    assert.deepEqual([first.status, first.data.clientId], [201, key]);
    const again = await post(alice, { receiverId: bob.id, content: 'keyed', clientId: key });
    assert.deepEqual([again.status, again.data], [200, first.data]);
    for (const clientId of ['', 'x'.repeat(129), 7]) {
      assertInvalid(await post(alice, { receiverId: bob.id, content: 'x', clientId }), 'clientId');
    }
    const longest = unique('🔑').padEnd(128, 'x');
    assert.equal((await alice.send(bob, 'x', { clientId: longest })).clientId, longest);
    const long = await post(alice, { receiverId: bob.id, content: 'x' }, { 'idempotency-key': 'x'.repeat(129) });
    assertFails(long, 400, 'VALIDATION_ERROR');
  });

  test('repeats at the same moment make one message', async () => {
    const [alice, bob] = await pair();
    for (let round = 0; round < 5; round++) {
      const clientId = unique('client');
      const message = { receiverId: bob.id, content: 'once', clientId };
      const replies = await Promise.all(upTo(10).map(() => post(alice, message)));
      assert.deepEqual(replies.map(reply => reply.status).sort(), [...Array(9).fill(200), 201]);
      assert.equal(new Set(replies.map(reply => reply.data.id)).size, 1);
      assert.equal(replies[0].data.seq, round + 1);
    }
    assert.equal((await bob.history(alice)).pagination.total, 5);
  });

  test('pages count from the oldest, cursors walk both ways', async () => {
    const [alice, bob] = await pair();
    for (let i = 1; i <= 25; i++) await (i % 3 ? alice : bob).send(i % 3 ? bob : alice, `message ${i}`);
    const page = query => alice.history(bob, { limit: 10, ...query });
    const range = (from, to) => upTo(25).slice(from - 1, to);
    const cases = [
      [{ page: 1 }, range(1, 10), { page: 1, hasNext: true, hasPrevious: false }],
      [{ page: 2 }, range(11, 20), { page: 2, hasNext: true, hasPrevious: true }],
      [{ page: 3 }, range(21, 25), { page: 3, hasNext: false, hasPrevious: true }],
      [{}, range(16, 25), { page: 3, hasNext: false, hasPrevious: true }],
      [{ before: 16 }, range(6, 15), { page: null, hasNext: true, hasPrevious: true }],
      [{ before: 6 }, range(1, 5), { page: null, hasNext: true, hasPrevious: false }],
      [{ before: 1000 }, range(16, 25), { page: null, hasNext: false, hasPrevious: true }],
      [{ after: 10 }, range(11, 20), { page: null, hasNext: true, hasPrevious: true }],
      [{ after: 0 }, range(1, 10), { page: null, hasNext: true, hasPrevious: false }],
      [{ after: 20 }, range(21, 25), { page: null, hasNext: false, hasPrevious: true }],
    ];
    for (const [query, expected, fields] of cases) {
      const { messages, pagination } = await page(query);
      assert.deepEqual(messages.map(message => message.seq), expected, JSON.stringify(query));
      assert.deepEqual(messages.map(message => message.content), expected.map(seq => `message ${seq}`));
      const edges = { before: expected[0], after: expected.at(-1) };
      assert.deepEqual(pagination, { total: 25, limit: 10, totalPages: 3, ...edges, ...fields }, JSON.stringify(query));
    }
    for (const query of [{ page: 4 }, { page: 1_000_000 }, { after: 25 }, { after: 1_000_000 }, { before: 1 }]) {
      const { messages, pagination } = await page(query);
      assert.deepEqual([messages, pagination.before, pagination.after, pagination.total], [[], null, null, 25]);
    }
    assert.equal((await alice.read('/api/messages', { withUserId: bob.id })).messages.length, 20);
    assert.deepEqual(await bob.history(alice, { limit: 10, page: 2 }), await page({ page: 2 }));
  });

  test('a chat without messages is an empty list', async () => {
    const [alice, bob] = await pair();
    for (const query of [{}, { page: 1 }, { after: 0 }]) {
      const { messages, pagination } = await alice.history(bob, query);
      assert.deepEqual(messages, []);
      assert.deepEqual([pagination.total, pagination.hasNext, pagination.hasPrevious], [0, false, false]);
      assert.deepEqual([pagination.before, pagination.after], [null, null]);
    }
  });

  test('pages, limits and cursors that make no sense are refused', async () => {
    const [alice, bob] = await pair();
    await alice.send(bob, 'hi');
    const get = query => alice.get('/api/messages', { withUserId: bob.id, ...query });
    for (const limit of ['0', '101', '-1', 'x', '', '1.5', '1e2', '0x10', ' 5', '99999999999999999999999']) {
      assertInvalid(await get({ limit }), 'limit');
    }
    for (const page of ['0', '-1', 'x', '1.5', '99999999999999999999999']) assertInvalid(await get({ page }), 'page');
    assertInvalid(await get({ before: 'x' }), 'before');
    assertInvalid(await get({ after: '-1' }), 'after');
    assertInvalid(await get({ limit: '0', page: 'x' }), 'limit', 'page');
    for (const query of [{ page: 1, before: 5 }, { page: 1, after: 5 }, { before: 5, after: 1 }]) {
      assertFails(await get(query), 400, 'VALIDATION_ERROR');
    }
    for (const page of [`${2 ** 31}`, `${2n ** 62n}`]) {
      const reply = await get({ page });
      assert.ok(reply.status === 400 || reply.data.messages.length === 0, page);
    }
    const error = (await get({ limit: '101' })).errors[0];
    assert.deepEqual([error.location, error.value], ['query', '101']);
  });

  test('many who write at once get 1, 2, 3… without holes', async () => {
    const [alice, bob] = await pair();
    const devices = await Promise.all([alice.connect({ transports: ['websocket'] }), bob.connect()]);
    const bySocket = (device, to, i) => device.done('private-message', { receiverId: to.id, content: `socket ${i}` });
    const sent = await Promise.all(upTo(25).flatMap(i => [
      alice.send(bob, `rest ${i}`),
      bob.send(alice, `rest ${i}`),
      bySocket(devices[0], bob, i).then(ack => ack.message),
      bySocket(devices[1], alice, i).then(ack => ack.message),
    ]));
    assert.deepEqual(sent.map(message => message.seq).sort((a, b) => a - b), upTo(100));
    const history = await alice.wholeHistory(bob);
    assert.deepEqual(history, sent.sort((a, b) => a.seq - b.seq));
    assert.deepEqual(seqs(await bob.history(alice, { limit: 100, page: 1 })), upTo(100));
    const counts = await server.query(
      `SELECT count(*), count(DISTINCT seq), max(seq) FROM messages WHERE chat_id = '${sent[0].chatId}'`
    );
    assert.equal(counts, '100|100|100');
  });

  // Groups for different people are written at the same time; what concerns the same person is not.
  test('what one sends without waiting keeps its order, for whomever it is, and others write meanwhile', async () => {
    const people = await friends(server, 'alice', 'bob', 'carol', 'dave', 'erin');
    const phones = await Promise.all(people.map(person => person.connect({ transports: ['websocket'] })));
    const laptops = await Promise.all(people.map(person => person.connect({ transports: ['websocket'] })));
    await Promise.all(people.flatMap((person, i) => upTo(80).map(n => phones[i].done('private-message', {
      receiverId: people[(i + 1 + (n * 7) % 4) % 5].id, content: `${n}`,
    }))));
    for (const [i, person] of people.entries()) {
      const order = new Map(people.map(one => [one.id, []]));
      for (const _ of upTo(160)) {
        const message = await laptops[i].next('private-message');
        order.get(message.senderId).push(Number(message.content));
      }
      assert.deepEqual(order.get(person.id), upTo(80));
      for (const numbers of order.values()) assert.deepEqual(numbers, [...numbers].sort((a, b) => a - b));
    }
    for (const device of [...phones, ...laptops]) device.close();
  });

  test('what was read is seen, and what was not is counted', async () => {
    const [alice, bob] = await pair();
    const sent = [];
    for (let i = 1; i <= 3; i++) sent.push(await alice.send(bob, `message ${i}`));
    assert.equal((await bob.chat(alice)).unreadCount, 3);
    assert.equal((await alice.chat(bob)).unreadCount, 0);
    const phone = await bob.connect();
    await phone.done('message-seen', { messageId: sent[1].id });
    assert.deepEqual((await alice.history(bob)).messages.map(message => message.seen), [true, true, false]);
    assert.equal((await bob.chat(alice)).unreadCount, 1);
    await bob.send(alice, 'my own is not unread for me');
    assert.equal((await bob.chat(alice)).unreadCount, 1);
    assert.equal((await alice.chat(bob)).unreadCount, 1);
    await phone.done('message-seen', { messageId: sent[0].id });
    assert.deepEqual((await alice.history(bob)).messages.map(message => message.seen), [true, true, false, false]);
    await phone.done('message_read', { messageId: sent[2].id });
    assert.equal((await bob.chat(alice)).unreadCount, 0);
    assert.deepEqual((await bob.history(alice)).messages.map(message => message.seen), [true, true, true, false]);
  });
});

test('a page of a long history reads no more of it than its own messages', async t => {
  const server = await startServer();
  t.after(() => stopServer(server));
  const [alice, bob] = await friends(server, 'alice', 'bob');
  const { chatId } = await alice.send(bob, 'the first');
  const last = 5000;
  await server.query(`
    INSERT INTO messages (chat_id, seq, id, sender_id, created_at, content)
      SELECT '${chatId}', seq, uuid_v7(), '${alice.id}', now(), 'message ' || seq FROM generate_series(2, ${last}) seq;
    UPDATE chats SET last_seq = ${last} WHERE id = '${chatId}'`);
  await server.query('ANALYZE messages');
  const read = async () => Number(await server.query(
    "SELECT coalesce(idx_tup_fetch, 0) + coalesce(seq_tup_read, 0) FROM pg_stat_user_tables WHERE relname = 'messages'"));
  const before = await read();
  const queries = [{ page: 1 }, { page: 125 }, { page: 250 }, { before: last }, { after: 2500 }, {}];
  for (const query of queries) {
    assert.equal((await alice.history(bob, { limit: 20, ...query })).messages.length, 20);
  }
  // PostgreSQL's processes tell what they have read when they rest.
  await until(async () => (await read()) - before >= 20 * queries.length, 'PostgreSQL to have counted', patienceMs);
  const rows = (await read()) - before;
  assert.ok(rows <= 40 * queries.length, `${rows} rows were read`);
});
