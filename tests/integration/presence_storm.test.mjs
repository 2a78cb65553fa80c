// All users of a node are cut off at once, and come back: nobody who is back within the grace time was ever away.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { friends, patienceMs, stopServer } from '../support/api.mjs';
import { Crowd } from '../support/crowd.mjs';
import { at, startNodes } from '../support/nodes.mjs';
import { until } from '../support/server.mjs';

const size = 1000;
const movers = size / 10; // who come back to the other node
const env = { PRESENCE_GRACE_MS: '8000', PING_INTERVAL_MS: '60000', MAX_CONNECTIONS_PER_IP: '0' };

const isPresence = ({ event }) => ['user-online', 'user-offline'].includes(event);
const seen = watcher => watcher.received.filter(isPresence);

async function countSessions(node) {
  const text = await (await fetch(`${node.url}/metrics`)).text();
  return Number(/^stonechat_sessions (\d+)$/m.exec(text)[1]);
}

const holds = (node, count) => until(async () => (await countSessions(node)) === count, `${count} sessions`, patienceMs);

describe('a mass reconnect', () => {
  let nodes, watchers, crowd;

  before(async () => {
    nodes = await startNodes(env, env);
    const people = await friends(nodes[0], 'alice', 'bob', 'carol');
    const [alice, bob, carol] = people;
    watchers = await Promise.all([alice, bob, at(carol, nodes[1])].map(client => client.connect()));
    crowd = await Crowd.of(size + movers, people);
  });

  after(async () => {
    crowd?.cut();
    await stopServer(nodes?.[0]);
    await nodes?.[1].stop();
  });

  // What a watcher was told of the crowd, from its `from`th event on, as `event user`, sorted.
  function told(watcher, from = 0) {
    const ids = new Set(crowd.users.map(({ id }) => id));
    const ofCrowd = seen(watcher).filter(({ data }) => ids.has(data.userId));
    return ofCrowd.slice(from).map(({ event, data }) => `${event} ${data.userId}`).sort();
  }

  const hasHeard = (watcher, event, { id }) => seen(watcher).some(r => r.event === event && r.data.userId === id);

  test('tells nobody anything, but for who stays away', async t => {
    const [here, there] = nodes;
    const [last, absent, ...rest] = crowd.users;
    await crowd.connect(here);
    const arrivals = crowd.users.map(({ id }) => `user-online ${id}`).sort();
    for (const watcher of watchers) {
      await until(() => told(watcher).length >= arrivals.length, 'the crowd to come', patienceMs);
      assert.deepEqual(told(watcher), arrivals);
    }

    const cutAt = performance.now();
    crowd.cut();
    await holds(here, 2);
    await crowd.connect(there, rest.slice(0, movers));
    await crowd.connect(here, rest.slice(movers));
    await crowd.connect(here, [last]);
    t.diagnostic(`${size + movers} users were back after ${Math.round(performance.now() - cutAt)} ms`);

    // The grace time of the last one begins when all others are back: theirs is over when his is.
    crowd.sockets.at(-1).destroy();
    const departures = [last, absent].map(({ id }) => `user-offline ${id}`).sort();
    for (const watcher of watchers) {
      await until(() => hasHeard(watcher, 'user-offline', last), 'the last one to go', patienceMs);
      assert.deepEqual(told(watcher, arrivals.length), departures);
    }
  });
});
