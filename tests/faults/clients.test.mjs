// The line between clients and nodes is cut, goes dead, gets slow; a client does not read, or tries everything at once.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { underLoad } from './chatters.mjs';
import { Cluster } from './cluster.mjs';
import { Proxy } from './proxy.mjs';

describe('clients', () => {
  let cluster;

  before(async () => (cluster = await Cluster.start()));
  after(() => cluster?.stop());

  const fronts = act => cluster.fronts.forEach(act);

  test('their connections are cut', async t => {
    const { report } = await underLoad(t, cluster, async load => {
      for (let i = 0; i < 3; i++) {
        fronts(front => front.cut({ isReset: i % 2 === 0 }));
        await load.acks(20);
      }
    });
    assert.ok(report.resumed > 10, `${report}`);
  });

  test('their line is dead until they notice', async t => {
    const { report } = await underLoad(t, cluster, async load => {
      fronts(front => front.blackHole());
      await load.allDown();
      fronts(front => front.heal());
    });
    assert.ok(report.resumed > 10, `${report}`);
  });

  test('they are gone, and the server does not hear of it', async t => {
    await underLoad(t, cluster, async load => {
      fronts(front => front.halfOpen());
      await load.acks();
      await load.counted();
      fronts(front => front.heal());
    });
  });

  test('their line is slow', async t => {
    await underLoad(t, cluster, async load => {
      fronts(front => front.delay(100));
      await load.acks(30);
      fronts(front => front.heal());
    });
  });

  test('one clientId is tried by all devices and by REST at once, while connections are cut', async t => {
    await underLoad(t, cluster, async load => {
      const [person, other] = load.people;
      for (let i = 0; i < 10; i++) {
        const message = load.ledger.sending(`at once ${i} ${person.id}`, person.id, other.id, `at once ${i}`);
        const ways = [person.devices[0], person.devices[1], null, null, person.devices[0], person.devices[1]];
        const tries = ways.map(way => person.try(message, way));
        if (i % 4 === 3) fronts(front => front.cut());
        const replies = (await Promise.all(tries)).filter(reply => reply !== null);
        for (const reply of replies) load.ledger.acked(message, reply);
      }
    });
  });
});

describe('a slow consumer', () => {
  let cluster, front;

  // Nobody is to take it for dead.
  const env = { PING_INTERVAL_MS: '60000', SEND_QUEUE_MAX_BYTES: '262144' };
  before(async () => {
    cluster = await Cluster.start({ env });
    front = await Proxy.start(() => cluster.nodes[0].port);
  });
  after(async () => {
    front?.heal();
    await front?.stop();
    await cluster?.stop();
  });

  test('it does not read, and resumes', async t => {
    let slow;
    const prepare = ({ people: [person] }) => {
      slow = person.add('slow', { transports: ['websocket'] }, { url: `http://127.0.0.1:${front.port}` });
    };
    await underLoad(t, cluster, async load => {
      const [person, other] = load.people;
      const isHeld = async () => (await cluster.countSessions()) === load.present.length;
      await load.counted();
      front.freeze();
      // Once an event comes out of turn (of a batch, or of another node) it reads the log at its own pace: then it has no
      // queue, and need not go.
      for (let i = 0; i < 30 && (await isHeld()); i++) {
        await Promise.all(Array.from({ length: 4 }, () => other.say(person, '漢'.repeat(4000), [null])));
      }
      const others = load.present.filter(handset => handset !== slow);
      assert.equal(others.flatMap(handset => handset.record.resumes).length, 0, 'somebody else was disconnected');
      front.heal();
    }, { times: 1, prepare });
    t.diagnostic(`the slow one resumed ${slow.record.resumes.length} times`);
  });
});
