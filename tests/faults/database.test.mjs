// PostgreSQL crashes, or the line to it is cut, goes dead, or gets slow, under load.

import { after, before, describe, test } from 'node:test';

import { friends, unique } from '../support/api.mjs';
import { at } from '../support/nodes.mjs';
import { testedBinary, until } from '../support/server.mjs';
import { underLoad } from './chatters.mjs';
import { Cluster, nodeCount, rounds } from './cluster.mjs';

const pause = ms => new Promise(resolve => setTimeout(resolve, ms));

describe('the database', () => {
  let cluster;

  before(async () => (cluster = await Cluster.start({ hasOwnPostgres: true })));
  after(() => cluster?.stop());

  const lines = act => cluster.lines.forEach(act);

  test('PostgreSQL crashes', async t => {
    await underLoad(t, cluster, async () => {
      await cluster.postgres.kill();
      await until(async () => !(await cluster.isReady()), 'the nodes to notice');
      await cluster.postgres.start();
      await cluster.ready();
    });
  });

  test('its connections are cut', async t => {
    await underLoad(t, cluster, async load => {
      for (let i = 0; i < 3; i++) {
        lines(line => line.cut());
        await cluster.ready();
        await load.acks(20);
      }
    });
  });

  test('the line is dead for a while', async t => {
    await underLoad(t, cluster, async () => {
      lines(line => line.blackHole());
      await pause(rounds > 1 ? 5000 : 2000);
      lines(line => line.heal());
      await cluster.ready();
    });
  });

  // Bob has a phone at each node. Alice writes by the first node, whose line takes what it says and gives no answer.
  async function commitUnheard() {
    const [alice, bob] = await friends(cluster, 'alice', 'bob');
    const at = (client, url) => Object.create(client, { server: { value: { url } } });
    const phones = await Promise.all(cluster.urls.map(url => at(bob, url).connect()));
    const clientId = unique('unheard');
    cluster.lines[0].blackHole('answers');
    at(alice, cluster.urls[0]).send(bob, clientId, { clientId }).catch(() => {});
    const count = `SELECT count(*) FROM messages WHERE client_id = '${clientId}'`;
    await until(async () => (await cluster.query(count)) === '1', 'the message');
    return { phones, arrived: phone => phone.next('private-message', ({ content }) => content === clientId) };
  }

  test('what it committed while the answer got lost is delivered, though nothing else happens', async () => {
    const { phones, arrived } = await commitUnheard();
    cluster.lines[0].heal();
    for (const phone of phones) {
      await arrived(phone);
      phone.close();
    }
  });

  const skip = nodeCount < 2 && 'needs two nodes';
  test('and so it is when the node that did not hear of it dies', { skip }, async () => {
    const { phones: [phone, ...others], arrived } = await commitUnheard();
    phone.close();
    await cluster.nodes[0].kill();
    cluster.lines[0].heal();
    for (const other of others) {
      await arrived(other);
      other.close();
    }
    await cluster.nodes[0].restart({ isCrash: true });
  });

  test('it is slow', async t => {
    await underLoad(t, cluster, async load => {
      lines(line => line.delay(50));
      await load.acks(30);
      lines(line => line.heal());
    });
  });

  const isSanitized = /\/(asan|tsan)\//.test(testedBinary());
  const long = { skip: skip || (isSanitized && 'it waits for 35 s: once is enough'), timeout: 120_000 };
  test('a notification is never answered, and the next ones are told all the same', long, async t => {
    const [alice, bob] = await friends(cluster.nodes[0], 'alice', 'bob');
    const phone = await at(bob, cluster.nodes.at(-1)).connect();
    t.after(() => phone.close());
    const { id } = await alice.send(bob, unique('before'));
    await phone.next('private-message', message => message.id === id);
    const backend = Number(await cluster.query(`SELECT pid FROM pg_stat_activity WHERE datname = current_database()
      AND query LIKE 'SELECT pg_notify%' ORDER BY state_change DESC LIMIT 1`));
    process.kill(backend, 'SIGSTOP');
    t.after(() => process.kill(backend, 'SIGCONT'));
    const unheard = await alice.send(bob, unique('unheard'));
    await until(async () => {
      await pause(500);
      await alice.send(bob, unique('next'));
      return phone.received.some(({ data }) => data?.id === unheard.id);
    }, 'the other node to be told', 60_000);
  });
});
