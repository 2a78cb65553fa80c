// Nodes that crash, are restarted, or stand still, under load.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { underLoad } from './chatters.mjs';
import { Cluster, rounds } from './cluster.mjs';

const pause = ms => new Promise(resolve => setTimeout(resolve, ms));

describe('nodes', () => {
  let cluster;

  before(async () => (cluster = await Cluster.start()));
  after(() => cluster?.stop());

  test('nothing breaks', async t => {
    const { report } = await underLoad(t, cluster, () => {}, { times: 1 });
    assert.ok(report.resumed >= 2, `${report}`);
  });

  test('a node is killed', async t => {
    await underLoad(t, cluster, async (load, i) => {
      await cluster.nodes[i % cluster.nodes.length].restart({ isCrash: true });
    }, { times: 2 * rounds });
  });

  test('all nodes are restarted, one after the other', async t => {
    await underLoad(t, cluster, async () => {
      for (const node of cluster.nodes) await node.restart();
    });
  });

  test('a node is stopped for a while, and goes on', async t => {
    await underLoad(t, cluster, async (load, i) => {
      const { pid } = cluster.nodes[i % cluster.nodes.length];
      process.kill(pid, 'SIGSTOP');
      await pause(rounds > 1 ? 10_000 : 4000);
      process.kill(pid, 'SIGCONT');
    });
  });
});
