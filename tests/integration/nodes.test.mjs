// Two nodes on one database, which hear of each other by NOTIFY.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, describe, test } from 'node:test';

import { Client, Device, friends, nobody, patienceMs, stopServer } from '../support/api.mjs';
import { Traffic, at, meet, seen, startNodes, testDelivery, typing } from '../support/nodes.mjs';
import { Psql } from '../support/psql.mjs';
import { startServer, until } from '../support/server.mjs';

const env = { PRESENCE_GRACE_MS: '500', PRESENCE_LEASE_SECONDS: '2' };

/** How many nodes that have died it has noticed. */
async function lost(server) {
  const text = await (await fetch(`${server.url}/metrics`)).text();
  return Number(/^stonechat_nodes_lost_total (\d+)$/m.exec(text)[1]);
}

const isComplaint = line => /is not ours/.test(JSON.stringify(line));

describe('two nodes and PostgreSQL', () => {
  let nodes;

  before(async () => (nodes = await startNodes(env, env)));
  after(async () => {
    await stopServer(nodes?.[0]);
    await nodes?.[1].stop();
  });

  testDelivery(() => nodes);

  test('a message written in psql comes with its transaction, or not at all', async t => {
    const [here, there] = nodes;
    const [alice, bob] = await friends(here, 'alice', 'bob');
    const [laptop, phone, watch] = await Promise.all(
      [alice, bob, at(bob, there)].map(client => client.connect()));
    const psql = new Psql(here.databaseUrl);
    t.after(() => psql.child.kill());
    const write = content => psql.run(`SELECT send_message('${alice.username}', '${bob.username}', '${content}')`);
    await psql.run("SELECT 'begin'; BEGIN");
    await write('never');
    await psql.run("ROLLBACK; SELECT 'rolled back'");

    await psql.run("SELECT 'begin'; BEGIN");
    const id = (await write('from SQL')).trim();
    for (const device of [phone, watch]) {
      const [others] = await Device.untilTyping([device], laptop);
      assert.deepEqual(others.filter(({ event }) => event !== 'typing'), []);
    }
    await psql.run("COMMIT; SELECT 'committed'");
    for (const device of [laptop, phone, watch]) {
      const message = await device.next('private-message');
      assert.deepEqual([message.id, message.seq, message.content], [id, 1, 'from SQL']);
    }
    for (const device of [phone, watch]) {
      assert.deepEqual((await device.untilMarker(alice)).filter(({ event }) => event !== 'typing'), []);
    }
    await psql.end();
    for (const device of [laptop, phone, watch]) device.close();
  });

  test('garbage by NOTIFY is logged once, and harms nobody', async () => {
    const [here, there] = nodes;
    const [alice, bob] = await friends(here, 'alice', 'bob');
    const phone = await at(bob, there).connect();
    const newest = await here.query(`SELECT event_seq FROM users WHERE id = '${bob.id}'`);
    const stranger = '0190a0b0-c0d0-7123-8123-0123456789ab';
    const event = `${stranger} private-message {"forged":true}`;
    const next = Number(newest) + 1;
    for (const payload of ['', 'x', '{"a":1}', stranger, `${stranger}\nh`, `${stranger}\nh${bob.id}:99x`,
      `${stranger}\nd${bob.id}:1 ${event}`, `${stranger}\nd${bob.id}:${next} ${event}`,
      `${stranger}\nx${stranger}`, `${stranger}\ne${bob.id} typing {`,
      `${stranger}\nh${bob.id}:999999999`, `${stranger}\n`.repeat(100)]) {
      await here.query(`SELECT pg_notify('stonechat', $$${payload}$$)`);
    }
    await here.query("SELECT pg_notify('stonechat', repeat('é', 3900))");
    const witness = new Promise(resolve => phone.io.onAny((_, data, offset) => offset && resolve([data, offset])));
    const message = await alice.send(bob, 'still here');
    assert.deepEqual(await phone.next('private-message'), message);
    assert.deepEqual(await witness, [message, `${next}`]);
    const newestRead = () => here.query(`SELECT max(query_start) FROM pg_stat_activity
      WHERE query LIKE '%event_log%' AND datname = current_database() AND pid <> pg_backend_pid()`);
    await until(async () => (await newestRead()) === (await newestRead()), 'an end of looking for what there is not', patienceMs);
    assert.deepEqual(await phone.untilMarker(alice), []);
    for (const node of nodes) {
      await node.waitForLog(isComplaint);
      assert.equal(node.logs.filter(isComplaint).length, 1);
    }
    phone.close();
  });

  // It may have slept while others took it for dead: only the greeting lets it look for what it was not told meanwhile.
  for (const [what, letter] of [['is there', 'n'], ['holds somebody', '+'], ['has lost somebody', '-']]) {
    test(`a node that nobody knew is greeted when it says that it ${what}`, async t => {
      const [here] = nodes;
      const psql = new Psql(here.databaseUrl);
      t.after(() => psql.child.kill());
      await psql.run("LISTEN stonechat; SELECT 'listens'");
      const ids = (await here.query('SELECT id FROM nodes WHERE lease_until > now()')).split('\n');
      const stranger = randomUUID();
      const user = letter === 'n' ? '' : nobody;
      await here.query(`SELECT pg_notify('stonechat', $$${stranger}\n${letter}${stranger}${user}$$)`);
      let heard = '';
      await until(async () => {
        heard += await psql.run("SELECT 'goes on'");
        return ids.filter(id => heard.includes(`\nn${id}`)).length >= nodes.length; // perhaps behind other news
      }, 'both nodes to say hello', patienceMs);
      await psql.end();
    });
  }

  test('whoever listens is cut off, and catches up', async () => {
    const traffic = await Traffic.start(nodes);
    for (let i = 0; i < 5; i++) {
      const cut = await nodes[0].query(`SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
        WHERE datname = current_database() AND (query LIKE 'LISTEN %' OR query LIKE 'SELECT pg_notify%')
        AND pid <> pg_backend_pid()`);
      assert.ok(Number(cut) <= 2, cut);
      await traffic.progress(20);
    }
    await traffic.stop();
    await meet(nodes);
  });

  test('the users of a node that is killed go offline when its lease ends, and come back with it', async () => {
    const [here, there] = nodes;
    const [alice, bob] = await friends(here, 'alice', 'bob');
    const watcher = await bob.connect();
    await seen(bob, there);
    const laptop = await at(alice, there).connect();
    await watcher.next('user-online');
    const before = await lost(here);
    await there.kill();
    const offline = await watcher.next('user-offline');
    assert.equal(offline.userId, alice.id);
    const { user } = await bob.chat(alice);
    assert.deepEqual([user.online, user.lastSeen], [false, offline.lastSeen]);
    assert.equal(await lost(here), before + 1);
    laptop.close();

    await there.start();
    const tablet = await at(alice, there).connect();
    assert.equal((await watcher.next('user-online')).userId, alice.id);
    await typing(tablet, watcher);
    assert.deepEqual(watcher.untaken().filter(({ event }) => event !== 'typing'), []);
    watcher.close();
    tablet.close();
  });

  test('somebody with many friends is seen by all of them', async () => {
    const [here, there] = nodes;
    const alice = await Client.register(here, 'alice');
    const bob = await Client.register(here, 'bob');
    await alice.do('/api/contacts/request', { targetId: bob.id });
    await bob.do('/api/contacts/accept', { requesterId: alice.id });
    // 300 more that count as online, since a node that there is not holds them.
    await here.query(`
      INSERT INTO users (id, username, password_hash)
        SELECT gen_random_uuid(), 'crowd_' || i, 'x' FROM generate_series(1, 300) i;
      INSERT INTO chats (kind, low_id, high_id)
        SELECT 'direct', least(id, '${alice.id}'), greatest(id, '${alice.id}') FROM users WHERE username ~ '^crowd_';
      INSERT INTO contacts (user_id, contact_id, chat_id)
        SELECT low_id, high_id, id FROM chats WHERE '${alice.id}' IN (low_id, high_id)
        UNION ALL SELECT high_id, low_id, id FROM chats WHERE '${alice.id}' IN (low_id, high_id)
        ON CONFLICT DO NOTHING;
      INSERT INTO nodes (id, number, address, lease_until)
        VALUES ('0190a0b0-c0d0-7123-8123-0123456789ac', 12345, 'http://127.0.0.1:1', now() + '1 hour');
      INSERT INTO online SELECT '0190a0b0-c0d0-7123-8123-0123456789ac', id FROM users WHERE username ~ '^crowd_'`);
    await until(async () => {
      const crowd = await alice.read('/api/users', { search: 'crowd_', limit: 50 });
      return crowd.length === 50 && crowd.every(user => user.online);
    }, 'the crowd to be online', patienceMs);
    const watcher = await at(bob, there).connect();
    await seen(bob, here);
    const laptop = await alice.connect();
    assert.deepEqual(await watcher.next('user-online', data => data.userId === alice.id), { userId: alice.id });
    laptop.close();
    watcher.close();
  });
});

describe('a node that looks who is there', () => {
  // Few looks, so that those that wait leave connections to the others.
  const quick = { PRESENCE_GRACE_MS: '0', PRESENCE_LEASE_SECONDS: '9', DB_CONNECTIONS: '4' };

  test('does not find who leaves meanwhile', async t => {
    const nodes = await startNodes(quick, quick);
    const [here, there] = nodes;
    t.after(() => Promise.all(nodes.map(stopServer)));
    const [alice, bob] = await friends(here, 'alice', 'bob');
    const watcher = await bob.connect();
    await seen(bob, there);
    const laptop = await at(alice, there).connect();
    await watcher.next('user-online');
    const isWritten = async () => (await here.query(`SELECT count(*) FROM online WHERE user_id = '${alice.id}'`)) === '1';
    await until(isWritten, 'Alice to be written down', patienceMs);
    // Whoever reads all of the table waits, once it has seen who is there; those who write do not.
    await here.query(`CREATE TABLE gate (is_open boolean); INSERT INTO gate VALUES (false);
      CREATE FUNCTION wait_at_gate() RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN
        WHILE current_query() LIKE '%LEFT JOIN online%' AND NOT (SELECT is_open FROM public.gate) LOOP
          PERFORM pg_sleep(0.01);
        END LOOP;
        RETURN true;
      END $$;
      ALTER TABLE online ENABLE ROW LEVEL SECURITY;
      CREATE POLICY gate ON online USING (wait_at_gate())`);
    const waiting = () => here.query(`SELECT coalesce(string_agg(query_start::text, ' ' ORDER BY query_start), '')
      FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'`);
    const first = await until(async () => {
      const starts = await waiting();
      return starts.split(' 20').length >= nodes.length && starts;
    }, 'both to look', patienceMs);
    laptop.close();
    assert.equal((await watcher.next('user-offline')).userId, alice.id);
    await until(async () => !(await isWritten()), 'her row to go', patienceMs);
    await here.query('UPDATE gate SET is_open = true');
    await until(async () => (await waiting()) === '', 'them to go on', patienceMs);
    await here.query('UPDATE gate SET is_open = false');
    await until(async () => (await waiting()).split(' 20').length >= nodes.length, 'both to look again', patienceMs);
    assert.notEqual(await waiting(), first);
    assert.equal((await bob.chat(alice)).user.online, false);
    await here.query('UPDATE gate SET is_open = true');
    watcher.close();
  });
});

describe('a node that is stopped', () => {
  const patient = { PRESENCE_GRACE_MS: '3000', PRESENCE_LEASE_SECONDS: '9' };
  const hasStopped = ({ level, msg }) => level === 'info' && /a node has stopped/.test(msg);
  const warnings = server => server.logs.filter(({ level }) => level === 'warn').map(({ msg }) => msg);

  test('keeps its lease for the grace time, and nobody takes it for dead', async t => {
    const nodes = await startNodes(patient, patient);
    const [here, there] = nodes;
    t.after(() => stopServer(here));
    const [alice, bob] = await friends(here, 'alice', 'bob');
    const watcher = await bob.connect();
    await seen(bob, there);
    const laptop = await at(alice, there).connect();
    await watcher.next('user-online');
    const id = await here.query(`SELECT id FROM nodes WHERE address LIKE '%:${there.port}'`);
    await there.stop();
    assert.equal(await here.query(`SELECT count(*) FROM nodes WHERE id = '${id}' AND lease_until > now() + '3 seconds'`), '0');
    const offline = await watcher.next('user-offline');
    assert.equal(offline.userId, alice.id);
    assert.deepEqual((await bob.chat(alice)).user, { ...alice.user, online: false, lastSeen: offline.lastSeen });
    assert.equal(await here.query(`SELECT count(*) FROM nodes WHERE id = '${id}'`), '0');
    assert.equal(await here.query(`SELECT count(*) FROM online WHERE node_id = '${id}'`), '0');
    await here.waitForLog(hasStopped, patienceMs);
    assert.deepEqual(warnings(here), []);
    assert.equal(await lost(here), 0);
    watcher.close();
    laptop.close();
  });

  test('and started again tells of those who have not come back', async t => {
    const server = await startServer({ env: patient });
    t.after(() => stopServer(server));
    const [alice, bob] = await friends(server, 'alice', 'bob');
    const laptop = await alice.connect({ reconnection: false });
    const seen = () => server.query(`SELECT last_seen_at FROM users WHERE id = '${alice.id}'`);
    await until(async () => (await server.query(`SELECT count(*) FROM online WHERE user_id = '${alice.id}'`)) === '1',
      'Alice to be online', patienceMs);
    const before = await seen();
    await server.restart();
    laptop.close();
    await server.waitForLog(hasStopped, patienceMs);
    await until(async () => (await seen()) !== before, 'her going to be noted', patienceMs);
    assert.equal((await bob.chat(alice)).user.online, false);
    assert.deepEqual(warnings(server), []);
  });

  test('does not wait for a database that does not answer', async t => {
    const server = await startServer({ env: patient });
    t.after(() => stopServer(server));
    const psql = new Psql(server.databaseUrl);
    t.after(() => psql.child.kill());
    await psql.run("BEGIN; LOCK TABLE nodes IN ACCESS EXCLUSIVE MODE; SELECT 'is locked'");
    await server.stop();
    await psql.end();
  });
});
