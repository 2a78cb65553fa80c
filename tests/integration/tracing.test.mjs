// One request id from the edge to the database, and the traces of whoever is traced: all that is done for a request says so
// in the log, on whichever node, behind whichever thread, and PostgreSQL's own log has the same by the backend's number.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { Client, friends, password, stopServer, unique } from '../support/api.mjs';
import { at } from '../support/nodes.mjs';
import { roundRobin } from '../support/round_robin.mjs';
import { startRedis, startServer, until } from '../support/server.mjs';

const traceId = '4bf92f3577b34da6a3ce929d0e0e4736';
const parentId = '00f067aa0ba902b7';
const traced = { traceparent: `00-${traceId}-${parentId}-01`, tracestate: 'edge=1' };

const linesOf = (server, requestId) => server.logs.filter(line => line.requestId === requestId);
const statementsOf = (server, requestId) =>
  linesOf(server, requestId).filter(line => line.msg === 'statement').map(line => line.statement);

describe('one request id', () => {
  let server, redis, alice, bob;

  before(async () => {
    redis = await startRedis();
    server = await startServer({ env: { LOG_LEVEL: 'debug', REDIS_URL: redis.url } });
    [alice, bob] = await friends(server, 'alice', 'bob');
  });
  after(async () => {
    await stopServer(server);
    await redis?.stop();
  });

  /** The request's own line. */
  const requestLine = id => until(() => linesOf(server, id).find(line => line.msg === 'request'), `the request ${id}`);

  test('is on the statements of a request, with the process of PostgreSQL that ran them', async () => {
    const id = unique('send');
    await alice.post('/api/messages', { receiverId: bob.id, content: 'hi' }, { 'x-request-id': id });
    await requestLine(id);
    const [statement] = linesOf(server, id).filter(line => line.msg === 'statement');
    assert.equal(statement.statement, 'message_append');
    assert.ok(statement.backend > 0 && statement.group >= 1 && typeof statement.ms === 'number', JSON.stringify(statement));
    const backends = (await server.query('SELECT pid FROM pg_stat_activity')).split('\n').map(Number);
    assert.ok(backends.includes(statement.backend));
  });

  test('stays through the threads that hash, and through Redis', async () => {
    const id = unique('login');
    const credentials = { username: alice.username, password };
    await new Client(server).post('/api/auth/login', credentials, { 'x-request-id': id });
    await requestLine(id);
    assert.ok(statementsOf(server, id).length >= 2, `${statementsOf(server, id)}`); // before the hash, and behind it
    const list = unique('list');
    await alice.request('GET', '/api/chats', { headers: { 'x-request-id': list } });
    await requestLine(list);
    assert.ok(statementsOf(server, list).length >= 1);
  });

  test('is on what failed', async () => {
    const id = unique('broken');
    await server.query('ALTER FUNCTION message_append RENAME TO message_append_away');
    const reply = await alice.post('/api/messages', { receiverId: bob.id, content: 'hi' }, { 'x-request-id': id });
    await server.query('ALTER FUNCTION message_append_away RENAME TO message_append');
    assert.equal(reply.status, 500);
    const failure = await until(() => linesOf(server, id).find(line => line.msg === 'statement failed'), 'the failure');
    assert.equal(failure.level, 'error');
    assert.ok(failure.backend > 0);
  });

  test('is one for each socket event', async () => {
    const laptop = await alice.connect();
    const seen = server.logs.length;
    for (const content of ['one', 'two']) await laptop.done('private-message', { receiverId: bob.id, content });
    const events = await until(() => {
      const found = server.logs.slice(seen).filter(line => line.msg === 'event' && line.event === 'private-message');
      return found.length === 2 && found;
    }, 'both events');
    assert.notEqual(events[0].requestId, events[1].requestId);
    for (const event of events) {
      assert.deepEqual([event.user, event.code], [alice.id, 'CREATED']);
      assert.deepEqual(statementsOf(server, event.requestId), ['message_append']);
    }
  });

  test('comes with the trace that goes through the request', async () => {
    const id = unique('traced');
    await alice.request('GET', '/api/users/me', { headers: { 'x-request-id': id, ...traced } });
    const line = await requestLine(id);
    assert.deepEqual([line.traceId, line.parentId], [traceId, parentId]);
    assert.match(line.spanId, /^[0-9a-f]{16}$/);
    assert.notEqual(line.spanId, parentId);
    for (const other of linesOf(server, id)) assert.equal(other.traceId, traceId, JSON.stringify(other));
    const plain = unique('untraced');
    await alice.request('GET', '/api/users/me', { headers: { 'x-request-id': plain, traceparent: `00-${traceId}-${parentId}` } });
    const { traceId: none, spanId, parentId: nobody } = await requestLine(plain);
    assert.deepEqual([none, spanId, nobody], [undefined, undefined, undefined]);
  });
});

test('a trace goes on at the node to which a request is forwarded', async t => {
  const first = await startServer();
  t.after(() => stopServer(first));
  const second = await startServer({ databaseUrl: first.databaseUrl });
  t.after(() => stopServer(second));
  const balancer = await roundRobin(first.port, second.port);
  t.after(() => balancer.close());
  const alice = await Client.register(first);
  const phone = await at(alice, balancer).connect({ agent: balancer.agent, transports: ['polling'], extraHeaders: traced });
  const [here, there] = await until(() => {
    const traces = [first, second].map(node => node.logs.filter(line => line.msg === 'request' && line.traceId === traceId));
    const found = traces[0].find(line => traces[1].some(other => other.requestId === line.requestId));
    return found && [found, traces[1].find(line => line.requestId === found.requestId)];
  }, 'a request that both have seen');
  const [from, to] = here.parentId === parentId ? [here, there] : [there, here];
  assert.deepEqual([from.parentId, to.parentId], [parentId, from.spanId]);
  phone.close();
});
