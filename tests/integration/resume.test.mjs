// Coming back, with the stock client and nothing added: what was missed comes, in order and once; or the client is told to
// load the state afresh.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { Device, friends, stopServer, unique } from '../support/api.mjs';
import { startServer, until } from '../support/server.mjs';

const upTo = n => Array.from({ length: n }, (_, i) => i + 1);

describe('resume', () => {
  let server;

  before(async () => {
    server = await startServer();
  });

  after(() => stopServer(server));

  /** The offsets of the events that a socket gets from now on; ephemeral events have none. */
  function offsets(device) {
    const seen = [];
    device.io.onAny((event, ...args) => seen.push(typeof args.at(-1) === 'string' ? Number(args.at(-1)) : null));
    return seen;
  }

  /** Breaks the connection, does `meanwhile`, and lets the stock client come back. */
  async function away(device, meanwhile = () => {}) {
    const gone = new Promise(resolve => device.io.once('disconnect', resolve));
    device.io.io.engine.close();
    await gone;
    await meanwhile();
    const back = device.connected();
    device.io.connect();
    await back;
  }

  /** Connects as the client of `device` with these credentials for resuming: what the CONNECT reply says, and what comes. */
  async function comeBack(client, auth) {
    const device = await client.connect({ auth: { token: client.token, ...auth }, transports: ['websocket'] });
    const pid = device.io._pid;
    return { device, isResumed: auth.pid !== undefined && pid === auth.pid, pid };
  }

  for (const transports of [['websocket'], ['polling'], ['polling', 'websocket']]) {
    test(`what was missed comes in order and once: ${transports.join(', then ')}`, async () => {
      const [alice, bob] = await friends(server, 'alice', 'bob');
      const phone = await bob.connect({ transports });
      assert.match(phone.io._pid, /^[\w-]{20,}$/);
      assert.equal(phone.io.recovered, false);
      await alice.send(bob, '1');
      await phone.next('private-message');
      await away(phone, async () => {
        for (const i of upTo(150)) await alice.send(bob, `missed ${i}`);
      });
      assert.equal(phone.io.recovered, true);
      await alice.send(bob, 'live again');
      for (const i of upTo(150)) assert.equal((await phone.next('private-message')).content, `missed ${i}`);
      assert.equal((await phone.next('private-message')).content, 'live again');
      assert.deepEqual(await phone.untilMarker(alice), []);
    });
  }

  test('durable events carry the offset 1, 2, 3…, others none', async () => {
    const [alice, bob] = await friends(server, 'alice', 'bob');
    const [laptop, phone] = await Promise.all([alice.connect(), bob.connect()]);
    const seen = offsets(phone);
    const message = await alice.send(bob, 'a');
    await phone.next('private-message');
    await Device.untilTyping([phone], laptop);
    await phone.done('message_read', { messageId: message.id });
    await laptop.next('message_read');
    await alice.send(bob, 'b');
    await phone.next('private-message', ({ content }) => content === 'b');
    const first = seen.find(offset => offset !== null);
    // The receipt between the two messages is bob's own, by this device: it has an offset, and is not sent to it.
    assert.deepEqual(seen.filter(offset => offset !== null), [first, first + 2]);
    assert.ok(seen.includes(null));
  });

  test('nothing missed is a recovery too, and a device that never got an event resumes', async () => {
    const [alice, bob] = await friends(server, 'alice', 'bob');
    const phone = await bob.connect();
    await away(phone);
    assert.equal(phone.io.recovered, true);
    await away(phone, () => alice.send(bob, 'the first'));
    assert.equal(phone.io.recovered, true);
    assert.equal((await phone.next('private-message')).content, 'the first');
    assert.deepEqual(await phone.untilMarker(alice), []);
  });

  test('a device does not get its own actions, also when it resumes; the others do', async () => {
    const [alice, bob] = await friends(server, 'alice', 'bob');
    const [laptop, tablet] = await Promise.all([alice.connect(), alice.connect()]);
    await laptop.done('private-message', { receiverId: bob.id, content: 'by laptop' });
    assert.equal((await tablet.next('private-message')).content, 'by laptop');
    await away(laptop, () => alice.send(bob, 'by REST'));
    assert.equal((await laptop.next('private-message')).content, 'by REST');
    assert.deepEqual(await laptop.untilMarker(bob), []);
  });

  test('the log tells the same as the live event', async () => {
    const [alice, bob] = await friends(server, 'alice', 'bob');
    const [live, resumed] = await Promise.all([bob.connect(), bob.connect()]);
    const contents = ['plain', 'quotes " \\ / and \b\f\n\r\t\u0001\u001f\u007f', 'ümläut 😀 \u2028', 'x'.repeat(4000)];
    await away(resumed, async () => {
      for (const content of contents) await alice.send(bob, content);
      await alice.send(bob, 'with an id', { clientId: `"${unique('client')}"` });
    });
    for (const _ of [...contents, 'with an id']) {
      assert.deepEqual(await resumed.next('private-message'), await live.next('private-message'));
    }
  });

  test('every kind of durable event is resumed', async () => {
    const [alice, bob, carol] = await friends(server, 'alice', 'bob', 'carol');
    const [laptop, phone] = await Promise.all([alice.connect(), bob.connect()]);
    await bob.do('/api/contacts/remove', { contactId: carol.id });
    const mine = await bob.send(alice, 'read me');
    await phone.next('private-message');
    await away(phone, async () => {
      await laptop.done('message-seen', { messageId: mine.id });
      await carol.do('/api/contacts/request', { targetId: bob.id });
      const { callId } = await laptop.done('call-user', { calleeId: bob.id, signal: { sdp: 'offer' } });
      await laptop.done('end-call', { callId, status: 'missed' });
    });
    const names = ['message-seen', 'friend_request_received', 'call-user', 'end-call'];
    for (const name of names) await phone.next(name);
    const order = phone.received.map(({ event }) => event).filter(event => names.includes(event));
    assert.deepEqual(order, names);
  });

  test('a crash of the server changes nothing', async () => {
    const [alice, bob] = await friends(server, 'alice', 'bob');
    const phone = await bob.connect();
    await alice.send(bob, 'before');
    await phone.next('private-message');
    await away(phone, async () => {
      await alice.send(bob, 'while away');
      await server.restart({ isCrash: true });
      await alice.send(bob, 'after');
    });
    assert.equal(phone.io.recovered, true);
    for (const content of ['while away', 'after']) {
      assert.equal((await phone.next('private-message')).content, content);
    }
    assert.deepEqual(await phone.untilMarker(alice), []);
  });

  test('a pid or an offset that is made up gets a new session, and nothing of the past', async () => {
    const [alice, bob] = await friends(server, 'alice', 'bob');
    const first = await comeBack(bob, {});
    const late = await comeBack(bob, {}).then(({ pid }) => pid);
    for (const i of upTo(3)) await alice.send(bob, `${i}`);
    await first.device.next('private-message', ({ content }) => content === '3');
    const offset = first.device.io._lastOffset;
    const foreign = (await comeBack(alice, {})).pid;
    const { pid } = first;
    const forgeries = [
      { pid, offset: `${Number(offset) + 1}` }, { pid, offset: '999999999999' }, { pid, offset: '-1' }, { pid, offset: 'abc' },
      { pid, offset: ` ${offset}` }, { pid, offset: '9'.repeat(40) }, { pid, offset: '0' }, { pid: foreign }, { pid: foreign, offset },
      { pid: `${pid.slice(0, -1)}${pid.endsWith('A') ? 'B' : 'A'}`, offset }, { pid: 'x' }, { pid: '', offset }, { pid: 'x'.repeat(3000), offset },
    ];
    for (const forgery of forgeries) {
      const { device, isResumed } = await comeBack(bob, forgery);
      assert.equal(isResumed, false, JSON.stringify(forgery));
      assert.deepEqual(await device.untilMarker(alice), []);
      device.close();
    }
    const { device, isResumed } = await comeBack(bob, { pid: late });
    assert.equal(isResumed, true);
    for (const i of upTo(3)) assert.equal((await device.next('private-message')).content, `${i}`);
  });

  test('who was away for longer than the log is kept starts afresh', async () => {
    const [alice, bob] = await friends(server, 'alice', 'bob');
    const phone = await bob.connect({ transports: ['websocket'] });
    await alice.send(bob, 'old');
    await phone.next('private-message');
    const { _pid: pid, _lastOffset: offset } = phone.io;
    await alice.send(bob, 'old as well');
    await phone.next('private-message');
    const kept = phone.io._lastOffset;
    await server.query("UPDATE events SET created_at = now() - interval '40 days'");
    await server.restart();
    await until(async () => (await server.query('SELECT count(*) FROM events')) === '0', 'the pruning');
    await alice.send(bob, 'new');
    const stale = await comeBack(bob, { pid, offset });
    assert.equal(stale.isResumed, false);
    const fresh = await comeBack(bob, { pid, offset: kept });
    assert.equal(fresh.isResumed, true);
    assert.equal((await fresh.device.next('private-message')).content, 'new');
    assert.deepEqual((await bob.history(alice)).messages.map(({ content }) => content), ['old', 'old as well', 'new']);
  });
});
