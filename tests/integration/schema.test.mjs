// The functions of migrations/ as any program may call them: what they answer, that counters have no holes, and that many
// sessions at once neither block each other for ever nor lose or repeat anything.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { upTo } from '../support/api.mjs';
import { Psql } from '../support/psql.mjs';
import { query, sharedPostgres, until } from '../support/server.mjs';

// What the server sets on its connections.
const settings = 'SET plan_cache_mode = force_generic_plan; SET enable_hashjoin = off; SET enable_mergejoin = off; ';
// Other plans than that has psql, and everybody as tables and statistics grow.
const plans = [settings, '', 'SET enable_hashjoin = off;', 'SET enable_indexscan = off; SET enable_bitmapscan = off;'];
// The columns of what the functions for contacts, reads and calls return.
const outcome = "ord || ' ' || status || coalesce(' ' || type, '')";

describe('the functions of the schema', () => {
  let url, users, chat;

  const sql = text => query(url, settings + text);
  const rows = async text => (await sql(text)).split('\n').filter(line => line !== '').map(line => line.split('|'));
  const array = (values, type) => `ARRAY[${values.map(v => (v === null ? 'NULL' : `'${v}'`)).join(',')}]::${type}[]`;

  /** Writes a group: each member is `[sender, receiver, chat, client id]`. */
  function append(group) {
    const column = i => group.map(member => member[i] ?? null);
    return `SELECT ord, status, seq, coalesce(recipient::text, ''), coalesce(event_seq::text, ''), id FROM message_append(
      ARRAY(SELECT uuid_v7() FROM generate_series(1, ${group.length})), ${array(column(0), 'uuid')},
      ${array(column(1), 'uuid')}, ${array(column(2), 'uuid')},
      ${array(group.map((_, i) => `text ${i}`), 'text')}, ${array(column(3), 'text')}) ORDER BY ord, recipient`;
  }

  /** No holes: seqs of each chat and of each user's events are 1, 2, 3…, and the counters tell the last. */
  async function assertDense() {
    assert.equal(await sql(`SELECT count(*) FROM chats c WHERE last_seq <>
      (SELECT count(*) FROM messages m WHERE m.chat_id = c.id AND seq BETWEEN 1 AND c.last_seq)`), '0');
    assert.equal(await sql(`SELECT count(*) FROM users u WHERE event_seq <>
      (SELECT count(*) FROM events e WHERE e.user_id = u.id AND seq BETWEEN 1 AND u.event_seq)`), '0');
    assert.equal(await sql(`SELECT count(*) FROM (SELECT created_at < lag(created_at) OVER (PARTITION BY chat_id ORDER BY seq)
      AS is_earlier FROM messages) m WHERE is_earlier`), '0');
    assert.equal(await sql(`SELECT count(*) FROM members m JOIN chats c ON c.id = m.chat_id WHERE own_after_read <>
      (SELECT count(*) FROM messages g WHERE g.chat_id = m.chat_id AND g.sender_id = m.user_id AND g.seq > m.read_seq)`), '0');
    // each message is told to each member once
    assert.equal(await sql(`SELECT count(*) FROM messages g WHERE (SELECT count(*) FROM events e WHERE e.chat_id = g.chat_id
      AND e.message_seq = g.seq) <> (SELECT count(*) FROM members m WHERE m.chat_id = g.chat_id)`), '0');
  }

  before(async () => {
    url = await (await sharedPostgres()).createDatabase();
    await sql(`INSERT INTO users (username, password_hash) SELECT 'user' || n, '-' FROM generate_series(0, 7) n;
      SELECT contact_make(a.id, b.id) FROM users a, users b WHERE a.username < b.username AND b.username < 'user6'`);
    users = (await rows('SELECT id FROM users ORDER BY username')).map(row => row[0]);
    chat = (a, b) => sql(`SELECT chat_id FROM contacts WHERE user_id = '${users[a]}' AND contact_id = '${users[b]}'`);
  });
  after(assertDense);

  test('a group writes many messages of one chat and of others, each told to both', async () => {
    const [a, b, c] = users;
    const group = [[a, b], [b, a], [a, c], [a, b], [a, null, await chat(0, 1)], [a, users[7]], [b, null, await chat(0, 2)]];
    const answer = await rows(append(group));
    const of = ord => answer.filter(row => row[0] === `${ord}`);
    for (const ord of [1, 2, 3, 4, 5]) {
      assert.deepEqual(of(ord).map(row => row[1]), ['CREATED', 'CREATED']);
      assert.deepEqual(of(ord).map(row => row[3]), [a, ord === 3 ? c : b].sort());
    }
    assert.deepEqual([1, 2, 4, 5].map(ord => of(ord)[0][2]), ['1', '2', '3', '4']);
    assert.deepEqual([of(6)[0][1], of(7)[0][1]], ['FORBIDDEN', 'FORBIDDEN']);
    assert.equal(of(6).length, 1);
    await assertDense();
  });

  test('a client id that comes again is the same message, within a group and in a later one', async () => {
    const [a, b, c] = users;
    const first = await rows(append([[a, b, null, 'once'], [a, b, null, 'once'], [a, c, null, 'once'], [b, a, null, 'once']]));
    assert.deepEqual(first.map(row => row[1]), ['CREATED', 'CREATED', 'OK', 'OK', 'CREATED', 'CREATED']);
    const id = first[0][5];
    assert.deepEqual([first[2][5], first[3][5]], [id, id]);
    assert.notEqual(first[4][5], id);
    for (const group of [[[a, b, null, 'once']], [[a, b, null, 'once'], [a, b]]]) {
      const again = (await rows(append(group)))[0];
      assert.deepEqual([again[1], again[3], again[5]], ['OK', '', id]);
    }
  });

  test('a client id that two sessions send at once is written once; who comes second is told by the next try', async () => {
    const [a, b] = users;
    for (const i of upTo(20)) {
      const send = () => sql(append([[a, b, null, `both${i}`]])).catch(error => {
        assert.match(error.message, /messages_client/);
        return sql(append([[a, b, null, `both${i}`]]));
      });
      const answers = await Promise.all([send(), send(), send()]);
      const statuses = answers.map(answer => answer.split('|')[1]).sort();
      assert.deepEqual(statuses, ['CREATED', 'OK', 'OK']);
      assert.equal(new Set(answers.map(answer => answer.split('\n')[0].split('|')[5])).size, 1);
    }
  });

  test('send_message keeps the rules', async () => {
    assert.match(await sql("SELECT send_message('user0', 'User1', 'hi')"), /^[0-9a-f-]{36}$/);
    await assert.rejects(sql("SELECT send_message('user0', 'user7', 'hi')"), /not contacts/);
    await assert.rejects(sql("SELECT send_message('user0', 'user0', 'hi')"), /not contacts/);
    await assert.rejects(sql("SELECT send_message('nobody', 'user0', 'hi')"), /no user is called nobody/);
    await assert.rejects(sql("SELECT send_message('user0', 'user1', '')"), /1 to 4000/);
    await assert.rejects(sql("SELECT send_message('user0', 'user1', repeat('x', 4001))"), /1 to 4000/);
    await assert.rejects(sql("SELECT send_message('user0', 'user1', NULL)"), /1 to 4000/);
  });

  test('reading counts what others wrote, and is told once', async () => {
    const [, , , , d, e] = users;
    const unread = who => sql(`SELECT c.last_seq - m.read_seq - m.own_after_read FROM members m JOIN chats c ON c.id = m.chat_id
      WHERE m.user_id = '${who}' AND c.low_id IN ('${d}', '${e}') AND c.high_id IN ('${d}', '${e}')`);
    const sent = await rows(append([[d, e], [d, e], [e, d], [d, e], [e, d]]));
    const id = ord => sent.find(row => row[0] === `${ord}`)[5];
    assert.deepEqual([await unread(d), await unread(e)], ['2', '3']);
    const read = (...pairs) => rows(`SELECT ${outcome}, user_id FROM message_mark_read(${array(pairs.map(p => p[0]), 'uuid')},
      ${array(pairs.map(p => p[1]), 'uuid')}, ${array(pairs.map(() => 'message-read'), 'text')}) ORDER BY ord, user_id`);
    assert.deepEqual(await read([e, id(2)]), [d, e].sort().map(user => ['1 OK message-read', user]));
    assert.deepEqual([await unread(d), await unread(e)], ['2', '1']);
    assert.deepEqual((await read([e, id(1)], [e, id(2)])).map(row => row[1]), ['', '']); // had been read
    assert.deepEqual((await read([e, id(3)], [users[0], id(1)], [e, users[0]])).map(row => row[0].split(' ')[1]),
      ['FORBIDDEN', 'FORBIDDEN', 'NOT_FOUND']);
    await read([e, id(4)], [d, id(5)]);
    assert.deepEqual([await unread(d), await unread(e)], ['0', '0']);
    assert.equal(await sql(`SELECT own_after_read FROM members WHERE chat_id = '${await chat(4, 5)}' AND user_id = '${e}'`), '1');
  });

  test('a friend request goes one way at a time, and ends in a chat that comes back', async () => {
    const [a, , , , , , g, h] = users;
    const send = (from, to) => rows(`SELECT ${outcome} FROM friend_request_send(ARRAY[uuid_v7()], '{${from}}', '{${to}}')`);
    const answer = (verb, by, from) => rows(`SELECT ${outcome} FROM friend_request_${verb}('{${by}}', '{${from}}'
      ${verb === 'accept' ? ", '{true}'" : ''})`);
    assert.deepEqual(await send(g, g), [['1 SELF friend_request_received']]);
    assert.equal((await send(g, users[0].replace(/.$/, c => (c === '0' ? '1' : '0'))))[0][0].split(' ')[1], 'NO_SUCH_USER');
    const statuses = async steps => {
      const all = [];
      for (const step of steps) all.push((await step())[0][0].split(' ')[1]);
      return all;
    };
    assert.deepEqual(await statuses([
      () => send(g, h), () => send(g, h), () => send(h, g), () => answer('accept', g, h), () => answer('reject', h, g),
      () => answer('reject', h, g), () => send(h, g), () => answer('accept', g, h), () => answer('accept', g, h),
      () => send(g, h),
    ]), ['OK', 'ALREADY_SENT', 'ALREADY_RECEIVED', 'NO_SUCH_REQUEST', 'OK', 'NO_SUCH_REQUEST', 'OK', 'OK', 'NO_SUCH_REQUEST',
      'ALREADY_FRIENDS']);
    const before = await chat(6, 7);
    const remove = () => rows(`SELECT ${outcome} FROM contact_remove('{${h},${a}}', '{${g},${h}}')`);
    assert.deepEqual((await remove()).map(row => row[0]).sort(), ['1 OK', '2 NO_SUCH_CONTACT']);
    assert.equal(await chat(6, 7), '');
    assert.equal((await rows(append([[g, h]])))[0][1], 'FORBIDDEN');
    await send(g, h);
    await answer('accept', h, g);
    assert.equal(await chat(6, 7), before);
  });

  test('failed logins are forgotten after the lock-out, and no sooner than after a day', async () => {
    await sql(`INSERT INTO login_failures (username, failures, last_at) SELECT 'tried' || n, 1, now() - n * interval '1 hour'
      FROM unnest('{23,25,47,49}'::int[]) n`);
    const prune = (minutes, max) => sql(`SELECT pruned FROM prune_login_failures('{${minutes}}', '{${max}}')`);
    assert.deepEqual([await prune(48 * 60, 9), await prune(48 * 60, 9)], ['1', '0']);
    assert.deepEqual([await prune(1, 1), await prune(1, 9), await prune(1, 9)], ['1', '1', '0']);
    assert.equal(await sql('SELECT username FROM login_failures'), 'tried23');
  });

  test('the views show messages, chats and events by name', async () => {
    const [f, g] = [users[4], users[5]];
    const name = id => sql(`SELECT username FROM users WHERE id = '${id}'`);
    const [one, other] = [await name(f), await name(g)];
    await sql(append([[f, g], [g, f], [g, f]]));
    const seen = await rows(`SELECT sender, receiver, content, seen FROM message_log
      WHERE sender IN ('${one}', '${other}') AND receiver IN ('${one}', '${other}') ORDER BY seq DESC LIMIT 3`);
    assert.deepEqual(seen, [[other, one, 'text 2', 'f'], [other, one, 'text 1', 'f'], [one, other, 'text 0', 'f']]);
    const chats = await rows(`SELECT username, unread FROM chat_list
      WHERE username IN ('${one}', '${other}') AND contact IN ('${one}', '${other}') ORDER BY unread`);
    assert.deepEqual(chats.map(row => row[0]), [other, one]);
    const [[type, payload]] = await rows(`SELECT type, payload::jsonb ->> 'content' FROM event_log
      WHERE user_id = '${f}' ORDER BY seq DESC LIMIT 1`);
    assert.deepEqual([type, payload], ['private-message', 'text 2']);
    assert.equal(await sql(`SELECT count(*) FROM pg_class c WHERE relkind = 'v' AND relnamespace = 'public'::regnamespace
      AND obj_description(oid) IS NULL`), '0');
  });

  test('two who ask each other at once have one request', async () => {
    const [, , , , , , g, h] = users;
    await sql(`SELECT contact_remove('{${g}}', '{${h}}')`);
    const send = (from, to) => sql(`SELECT status FROM friend_request_send(ARRAY[uuid_v7()], '{${from}}', '{${to}}')`);
    const statuses = await Promise.all([send(g, h), send(h, g), send(g, h), send(h, g)]);
    assert.equal(statuses.filter(status => status === 'OK').length, 1);
    assert.equal(await sql("SELECT count(*) FROM friend_requests WHERE status = 'pending'"), '1');
  });

  test('a call rings once, is answered once, and ends once', async () => {
    const [a, b, c] = users;
    const ids = (await rows('SELECT uuid_v7() FROM generate_series(1, 4)')).map(row => row[0]);
    const run = async text => (await rows(`SELECT status FROM ${text}`)).map(row => row[0]);
    const start = (i, from, to) => run(`call_start('{${ids[i]}}', '{${from}}', '{${to}}', ARRAY['{}'])`);
    const take = (i, by) => run(`call_answer('{${ids[i]}}', '{${by}}', ARRAY['{}'])`);
    const end = (i, by, how) => run(`call_end('{${ids[i]}}', '{${by}}', '{${how}}')`);
    const state = i => sql(`SELECT status || coalesce(' ' || (ended_at IS NOT NULL)::text, '') FROM calls WHERE id = '${ids[i]}'`);
    assert.deepEqual(await start(0, a, users[7]), ['FORBIDDEN']);
    assert.deepEqual(await start(0, a, b), ['OK']);
    assert.deepEqual(await start(1, c, a), ['BUSY']);
    assert.equal(await state(1), 'busy true');
    assert.deepEqual(await take(0, a), ['FORBIDDEN']);
    assert.deepEqual(await take(2, b), ['NOT_FOUND']);
    assert.deepEqual((await Promise.all([take(0, b), take(0, b), take(0, b)])).map(s => s[0]).sort(),
      ['CONFLICT', 'CONFLICT', 'OK']);
    assert.equal(await state(0), 'ongoing false');
    assert.deepEqual(await end(0, c, 'ended'), ['FORBIDDEN']);
    assert.deepEqual(await end(0, a, 'rejected'), ['OK', 'OK']);
    assert.equal(await state(0), 'ended true'); // it had been answered
    assert.deepEqual(await end(0, b, 'ended'), ['CONFLICT']);
    assert.deepEqual(await start(2, a, b), ['OK']);
    assert.deepEqual(await run("call_expire('{60}')"), []);
    await sql(`UPDATE calls SET started_at = now() - interval '1 hour' WHERE id = '${ids[2]}'`);
    assert.deepEqual(await run("call_expire('{60}')"), ['OK', 'OK']);
    assert.equal(await state(2), 'missed true');
    assert.deepEqual(await start(3, a, b), ['OK']);
    await take(3, b);
    assert.deepEqual(await run(`call_abandon('{${ids[3]}}')`), ['OK', 'OK']);
    assert.equal(await state(3), 'ended true');
    assert.deepEqual(await run(`call_abandon('{${ids[3]}}')`), ['CONFLICT']);
  });

  test('two who call each other at once have one call', async () => {
    const [a, b, c] = users;
    const start = (from, to) => sql(`SELECT status FROM call_start(ARRAY[uuid_v7()], '{${from}}', '{${to}}', ARRAY['{}'])`);
    const statuses = await Promise.all([start(a, b), start(b, a), start(c, a), start(b, c)]);
    assert.equal(statuses.filter(status => status === 'OK').length, 1);
    await sql("UPDATE calls SET status = 'ended', ended_at = now() WHERE ended_at IS NULL");
  });

  test('of accounts that are deleted at once each is told its own contacts', async () => {
    const [a, b, c] = users.slice(0, 3).sort();
    const answer = (await rows(`BEGIN; SELECT ord, status, contact_id FROM user_delete('{${b},${a},${a},${c}}', '{0,0,0,7}',
      '{NULL,NULL,NULL,NULL}'); ROLLBACK`)).map(([ord, status, contact]) => [`${ord} ${status}`, contact]);
    const others = users.slice(0, 6).filter(user => user !== a).sort();
    assert.deepEqual(answer, [
      ['2 OK', ''], ...others.map(user => ['2 OK', user]), ['3 INVALID_CREDENTIALS', ''],
      ['1 OK', ''], ...others.filter(user => user !== b).map(user => ['1 OK', user]), ['4 INVALID_CREDENTIALS', ''],
    ]);
  });

  test('contacts and accounts are locked after the chats, and users last', async t => {
    const [a, b] = users.slice(0, 2).sort();
    const id = await chat(0, 1);
    const locked = (what, where) => `SELECT count(*) FROM (SELECT FROM ${what} WHERE ${where} FOR UPDATE NOWAIT) l`;
    const account = `SELECT status FROM user_delete('{${a},${b}}', '{0,0}', '{NULL,NULL}')`;
    for (const [held, text, free] of [
      [['chats', `id = '${id}'`], `SELECT status FROM contact_remove('{${a}}', '{${b}}')`,
        [['members', `chat_id = '${id}'`], ['contacts', `chat_id = '${id}'`]]],
      [['chats', `id = '${id}'`], `INSERT INTO friend_requests (from_id, to_id) VALUES ('${a}', '${b}');
        SELECT status FROM friend_request_accept('{${b}}', '{${a}}', '{true}')`, [['members', `chat_id = '${id}'`]]],
      [['chats', `id = '${id}'`], account, [['members', `chat_id = '${id}'`], ['contacts', `chat_id = '${id}'`]]],
      [['contacts', `user_id = '${b}' AND contact_id <> '${a}'`], account, [['users', `id = '${a}'`]]],
    ]) {
      const holder = new Psql(url);
      t.after(() => holder.end());
      await holder.run(`BEGIN; ${locked(...held)}`);
      const waiting = sql(`BEGIN; ${text}; ROLLBACK`);
      await until(async () => (await sql(`SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'
        AND datname = current_database()`)) === '1', `${text} to wait`);
      for (const rows of free) assert.notEqual(parseInt(await holder.run(locked(...rows)), 10), 0);
      await holder.run('COMMIT; SELECT 1');
      await waiting;
    }
  });

  test('sessions that run all of it at once never deadlock, whatever the plans', async () => {
    const pick = list => list[Math.floor(Math.random() * list.length)];
    const people = users.slice(0, 6);
    const other = one => pick(people.filter(user => user !== one));
    function group() {
      return upTo(12).map(() => {
        const sender = pick(people);
        return [sender, other(sender)];
      });
    }
    const pairs = () => {
      const senders = upTo(6).map(() => pick(people));
      return [senders, senders.map(other)];
    };
    const statements = [
      () => `SELECT count(*) FROM (${append(group())}) s`,
      () => `SELECT count(*) FROM (${append([group()[0]])}) s`,
      () => `SELECT count(*) FROM message_mark_read(
        ARRAY(SELECT CASE sender_id WHEN low_id THEN high_id ELSE low_id END FROM messages JOIN chats c ON c.id = chat_id
              ORDER BY md5(messages.id::text || random()) LIMIT 8), ARRAY(SELECT id FROM messages ORDER BY md5(id::text) LIMIT 8),
        array_fill('message-read'::text, ARRAY[8]))`,
      () => `SELECT count(*) FROM friend_request_send(ARRAY(SELECT uuid_v7() FROM generate_series(1, 6)),
        ${pairs().map(list => array(list, 'uuid')).join(', ')})`,
      () => `SELECT count(*) FROM friend_request_accept(${pairs().map(list => array(list, 'uuid')).join(', ')},
        array_fill(true, ARRAY[6]))`,
      () => `SELECT count(*) FROM contact_remove(${pairs().map(list => array(list.slice(0, 2), 'uuid')).join(', ')})`,
      () => `WITH r AS (SELECT * FROM friend_requests WHERE status = 'pending' LIMIT 6)
        SELECT count(*) FROM friend_request_accept(ARRAY(SELECT to_id FROM r), ARRAY(SELECT from_id FROM r), array_fill(true, ARRAY[6]))`,
      () => `SELECT count(*) FROM call_start(ARRAY(SELECT uuid_v7() FROM generate_series(1, 6)),
        ${pairs().map(list => array(list, 'uuid')).join(', ')}, array_fill('{}'::text, ARRAY[6]))`,
      () => `SELECT count(*) FROM call_abandon(ARRAY(SELECT id FROM calls WHERE ended_at IS NULL ORDER BY random() LIMIT 3) || uuid_v7())`,
      () => "SELECT count(*) FROM call_expire('{0}')",
    ];
    await Promise.all(upTo(8).map(async () => {
      for (let round = 0; round < 8; round++) {
        await query(url, pick(plans) + upTo(12).map(() => pick(statements)()).map(text => `${text};`).join('COMMIT;'));
      }
    }));
    await until(async () => (await sql("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")) === '0',
      'no deadlock to be counted', 1000);
    await sql("UPDATE calls SET status = 'ended', ended_at = now() WHERE ended_at IS NULL");
    await assertDense();
  });
});
