// Redis crashes, is flushed, or the line to it is cut or goes dead, under load: the nodes go on by NOTIFY, and nothing shows.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { friends, unique } from '../support/api.mjs';
import { at } from '../support/nodes.mjs';
import { underLoad } from './chatters.mjs';
import { Cluster, nodeCount, rounds } from './cluster.mjs';

const pause = ms => new Promise(resolve => setTimeout(resolve, ms));

describe('Redis', { skip: nodeCount < 2 && 'needs two nodes' }, () => {
  let cluster, alice, bob, phone;

  before(async () => {
    cluster = await Cluster.start({ hasRedis: true });
    await cluster.subscribed();
    [alice, bob] = await friends(cluster.nodes[0], 'alice', 'bob');
    // On a busy machine this process may be too late for a ping, so that it has to come back.
    phone = await at(bob, cluster.nodes.at(-1)).connect({ reconnection: true, reconnectionDelay: 50, reconnectionDelayMax: 250 });
  });
  after(async () => {
    phone?.close();
    await cluster?.stop();
  });

  // From the first node to the last, of two to whom nobody else writes: nothing but the bus tells of it.
  async function crosses() {
    const { id } = await alice.send(bob, unique('meanwhile'));
    await phone.next('private-message', message => message.id === id);
  }

  const lines = act => cluster.redisLines.forEach(act);
  const isLost = node => node.logs.filter(({ msg }) => /Redis is lost/.test(msg)).length;

  test('it is killed, and comes back empty', async t => {
    await underLoad(t, cluster, async load => {
      await cluster.redis.kill();
      await crosses();
      await load.acks();
      await cluster.redis.start();
      await cluster.subscribed();
    });
    for (const node of cluster.nodes) assert.ok(isLost(node) > 0, node.logText());
  });

  test('everything in it is flushed, and its clients are thrown out', async t => {
    await underLoad(t, cluster, async load => {
      for (const type of ['pubsub', 'normal', 'pubsub']) {
        await cluster.redis.command('FLUSHALL');
        await cluster.redis.command('CLIENT', 'KILL', 'TYPE', type);
        await crosses();
        await load.acks(20);
      }
      await cluster.subscribed();
    });
  });

  test('its connections are cut', async t => {
    await underLoad(t, cluster, async load => {
      for (let i = 0; i < 3; i++) {
        lines(line => line.cut({ isReset: i % 2 === 0 }));
        await crosses();
        await load.acks(20);
      }
      await cluster.subscribed();
    });
  });

  test('the line to it is dead for a while', async t => {
    await underLoad(t, cluster, async load => {
      lines(line => line.blackHole());
      await pause(rounds > 1 ? 5000 : 2000);
      await crosses();
      await load.acks();
      lines(line => line.heal());
      await cluster.subscribed();
    });
  });

  test('one node has lost it, and the others have not', async t => {
    await underLoad(t, cluster, async (load, i) => {
      const line = cluster.redisLines[i % cluster.redisLines.length];
      line.blackHole();
      line.cut();
      await crosses();
      await load.acks();
      line.heal();
      await cluster.subscribed();
    });
  });
});
