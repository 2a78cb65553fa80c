// PostgreSQL crashes, or the line to it is cut, goes dead, or gets slow, under load.

import { after, before, describe, test } from 'node:test';

import { friends, unique } from '../support/api.mjs';
import { until } from '../support/server.mjs';
import { underLoad } from './chatters.mjs';
import { Cluster, rounds } from './cluster.mjs';

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

  test('what it committed while the answer got lost is delivered, though nothing else happens', async () => {
    const [alice, bob] = await friends(cluster, 'alice', 'bob');
    const phones = await Promise.all(cluster.urls.map(url => Object.create(bob, { server: { value: { url } } }).connect()));
    const clientId = unique('unheard');
    lines(line => line.blackHole('answers'));
    alice.send(bob, clientId, { clientId }).catch(() => {});
    await until(
      () => cluster.query(`SELECT count(*) FROM messages WHERE client_id = '${clientId}'`).then(Number), 'the message'
    );
    lines(line => line.heal());
    for (const phone of phones) {
      await phone.next('private-message', ({ content }) => content === clientId);
      phone.close();
    }
  });

  test('it is slow', async t => {
    await underLoad(t, cluster, async load => {
      lines(line => line.delay(50));
      await load.acks(30);
      lines(line => line.heal());
    });
  });
});
