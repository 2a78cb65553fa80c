// The server stops: what proxies are told before, and how its clients are let go.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import { connect as connectTo } from 'node:http2';
import { describe, test } from 'node:test';

import { Client, friends, password, patienceMs, stopServer, upTo } from '../support/api.mjs';
import { PlainSocket } from '../support/plain_socket.mjs';
import { Psql } from '../support/psql.mjs';
import { Connection, RawWebSocket, exchange } from '../support/raw.mjs';
import { startPostgres, startServer, until } from '../support/server.mjs';

/** What the server says, once its status of HTTP was found to fit. */
async function readiness(server) {
  const { status, headers, body } = await new Client(server).get('/health/ready');
  assert.equal(status, body.status === 'ok' ? 200 : 503);
  assert.equal(headers.get('retry-after'), status === 503 ? '2' : null);
  return body;
}
const good = { database: 'ok', schema: 'ok', bus: 'ok', logins: 'ok', draining: false };

describe('readiness', () => {
  test('names what is missing, and says when all is back', async t => {
    const postgres = await startPostgres();
    t.after(() => postgres.destroy());
    const server = await startServer({ postgres });
    t.after(() => stopServer(server));
    assert.deepEqual((await readiness(server)).checks, good);
    await postgres.stop();
    await until(async () => {
      const { database, bus } = (await readiness(server)).checks;
      return database === 'unavailable' && bus === 'unavailable';
    }, 'the database to be missed', patienceMs);
    assert.deepEqual((await readiness(server)).checks, { ...good, database: 'unavailable', bus: 'unavailable' });
    await postgres.start();
    await until(async () => (await readiness(server)).status === 'ok', 'the server to be ready', patienceMs);
    assert.deepEqual((await readiness(server)).checks, good);
  });

  test('names a schema that is too old', async t => {
    const server = await startServer();
    t.after(() => stopServer(server));
    const disconnect = `SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
      WHERE datname = current_database() AND pid <> pg_backend_pid()`;
    await server.query(`CREATE TABLE newest AS SELECT * FROM schema_migrations ORDER BY version DESC LIMIT 1;
      DELETE FROM schema_migrations WHERE version = (SELECT version FROM newest); ${disconnect}`);
    await until(async () => (await readiness(server)).checks.schema === 'outdated', 'the schema to be seen', patienceMs);
    assert.equal((await readiness(server)).status, 'unavailable');
    await server.query('INSERT INTO schema_migrations SELECT * FROM newest; DROP TABLE newest');
    await until(async () => (await readiness(server)).status === 'ok', 'the server to be ready', patienceMs);
    assert.equal((await readiness(server)).checks.schema, 'ok');
  });
});

/** A connection that stays, and the thread that serves it, as the id of a session says that is opened by it. */
async function connectionOf(server) {
  const connection = await Connection.connect(server);
  connection.write('GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: localhost\r\n\r\n');
  const { sid } = JSON.parse((await connection.response()).body.slice(1));
  return { connection, thread: Buffer.from(sid, 'base64url')[2] };
}

/** `count` connections to a thread that is not the first; the first has none. */
async function connectionsBesidesFirst(server, count) {
  const found = [];
  for (let tries = 0; found.length < count; tries++) {
    assert.ok(tries < 200, 'every connection is on the first thread');
    const { connection, thread } = await connectionOf(server);
    if (thread > 0) found.push(connection);
    else connection.destroy();
  }
  return found;
}

function post(connection, client, pathname, fields) {
  const body = JSON.stringify(fields);
  connection.write(`POST ${pathname} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n` +
    `${client.token ? `Authorization: Bearer ${client.token}\r\n` : ''}Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
}

/** No message is written until `open`. */
class Gate {
  static async close(server) {
    await server.query(`CREATE TABLE gate ();
      CREATE FUNCTION wait_at_gate() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN
        WHILE NOT EXISTS (SELECT FROM public.gate) LOOP PERFORM pg_sleep(0.01); END LOOP;
        RETURN NULL;
      END $$;
      CREATE TRIGGER gate BEFORE INSERT ON messages FOR EACH STATEMENT EXECUTE FUNCTION wait_at_gate()`);
    return new Gate(server);
  }

  constructor(server) {
    this.server = server;
  }

  waitForSomebody() {
    const waiting = `SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'`;
    return until(async () => (await this.server.query(`SELECT EXISTS (${waiting})`)) === 't', 'somebody at the gate', patienceMs);
  }

  open() {
    return this.server.query('INSERT INTO gate DEFAULT VALUES');
  }
}

describe('SIGTERM', () => {
  test('leaves time to see that it is not ready, in which everything is served', async t => {
    const server = await startServer({ env: { DRAIN_DELAY_SECONDS: '3600' } });
    t.after(() => stopServer(server));
    const [alice, bob] = await friends(server, 'alice', 'bob');
    const phone = await bob.connect();
    process.kill(server.pid, 'SIGTERM');
    await until(async () => (await readiness(server)).status === 'unavailable', 'the signal to be seen', patienceMs);
    assert.deepEqual((await readiness(server)).checks, { ...good, draining: true });
    assert.equal((await new Client(server).get('/health/live')).status, 200);
    const message = await alice.send(bob, 'one more');
    assert.deepEqual(await phone.next('private-message'), message);
    await (await PlainSocket.open(bob)).close();
    await server.stop(); // a second signal ends the waiting
  });

  test('lets sockets go in turns, and tells each of them', async t => {
    const server = await startServer({ env: { WORKERS: '1', DRAIN_SECONDS: '20' } });
    t.after(() => stopServer(server));
    const [alice] = await friends(server, 'alice', 'bob');
    const sockets = await Promise.all(upTo(50).map(() => PlainSocket.open(alice)));
    const ends = sockets.map(socket => socket.waitForClose());
    await server.stop();
    assert.deepEqual((await Promise.all(ends)).map(end => end.code), sockets.map(() => 1001));
    const { turns } = server.logs.find(line => line.msg === 'sockets were told to come back, in turns');
    assert.ok(turns >= 3, `${turns} turns`);
  });

  test('has who asks for a Socket.IO session come again elsewhere', async t => {
    const server = await startServer({ env: { WORKERS: '1', DRAIN_SECONDS: '60' } });
    t.after(() => stopServer(server));
    const session = connectTo(server.url);
    session.on('error', () => {});
    const handshake = session.request({ ':path': '/socket.io/?EIO=4&transport=polling' }, { endStream: false });
    let [headers, text] = [null, ''];
    handshake.setEncoding('utf8').on('response', answer => (headers = answer)).on('data', data => (text += data));
    await once(session, 'remoteSettings');
    await new Promise(resolve => session.ping(resolve)); // now the server has the half of it
    const stopped = server.stop();
    await until(() => fetch(`${server.url}/health`).then(() => false, () => true), 'nobody to be let in any more', patienceMs);
    handshake.end('x');
    await once(handshake, 'close');
    assert.deepEqual([headers?.[':status'], headers?.['retry-after']], [503, '2']);
    const { code, requestId } = JSON.parse(text);
    assert.deepEqual([code, requestId], ['UNAVAILABLE', headers['x-request-id']]);
    session.close();
    await stopped;
  });

  test('serves a thread that has clients, when the first has none', async t => {
    const server = await startServer({ env: { WORKERS: '2', DRAIN_SECONDS: '20' } });
    t.after(() => stopServer(server));
    const [alice, bob] = await friends(server, 'alice', 'bob');
    const gate = await Gate.close(server);
    await server.restart(); // without the connections that fetch keeps
    const [writing, idle] = await connectionsBesidesFirst(server, 2);
    post(writing, alice, '/api/messages', { receiverId: bob.id, content: 'the last one' });
    await gate.waitForSomebody();
    process.kill(server.pid, 'SIGTERM');
    await idle.waitForEnd(); // nobody stays who waits for nothing
    await gate.open();
    const { status, body } = await writing.response();
    assert.equal(status, 201, body);
    await server.stop();
  });

  test('ends as it should when it has many threads', async () => {
    const server = await startServer({ env: { WORKERS: '16', DB_CONNECTIONS: '1' } });
    await server.stop();
  });

  test('ends as it should while passwords are hashed that nobody waits for', async t => {
    const server = await startServer({ env: { WORKERS: '1', DRAIN_SECONDS: '20', LOG_LEVEL: 'debug' } });
    t.after(() => stopServer(server));
    const logIn = async ({ username }) => {
      const connection = await Connection.connect(server);
      post(connection, {}, '/api/auth/login', { username, password });
      return connection;
    };
    const alice = await Client.register(server, 'alice');
    await server.restart({ env: { ARGON2_MEMORY_KIB: '65536', ARGON2_ITERATIONS: '10' } });
    const bob = await Client.register(server, 'bob'); // by a hash that takes long
    await server.restart();
    const done = await logIn(alice);
    assert.equal((await done.response()).status, 200); // a longer hash is made of her password now
    done.destroy();
    await server.restart();
    const isFound = ({ msg, statement }) => msg === 'statement' && statement === 'user_find_credentials';
    const count = server.logs.filter(isFound).length;
    const gone = await logIn(bob);
    await until(() => server.logs.filter(isFound).length > count, 'the look at his hash', patienceMs);
    gone.destroy();
    await server.stop();
  });

  test('ends as it should while a socket waits for room in the queue to the database', async t => {
    const env = { WORKERS: '1', DRAIN_SECONDS: '20', DB_CONNECTIONS: '1', DB_QUEUE_MAX: '1' };
    const server = await startServer({ env });
    t.after(() => stopServer(server));
    const alice = await Client.register(server, 'alice');
    await server.restart(); // without the connections that fetch keeps
    const metric = async name => {
      const { body } = await exchange(server, 'GET /metrics HTTP/1.1');
      return Number(new RegExp(`^${name} (.*)$`, 'm').exec(body)[1]);
    };
    const holder = new Psql(server.databaseUrl);
    await holder.run('BEGIN; LOCK TABLE users IN ACCESS EXCLUSIVE MODE; SELECT 1');
    const asking = await Promise.all(upTo(3).map(() => Connection.connect(server)));
    for (const connection of asking) {
      connection.write(`GET /api/users/me HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${alice.token}\r\n\r\n`);
    }
    await until(async () => (await metric('stonechat_db_waiting')) > 0, 'a full queue', patienceMs);
    const socket = await RawWebSocket.open(server);
    socket.send(`40${JSON.stringify({ token: alice.token })}`);
    await until(async () => (await metric('stonechat_sessions')) === 1, 'the session', patienceMs);
    process.kill(server.pid, 'SIGTERM');
    await socket.waitForEnd();
    socket.destroy();
    await holder.end();
    for (const connection of asking) {
      await connection.response();
      connection.destroy();
    }
    await server.stop();
  });

  test('cuts no reply short, however many are under way', async t => {
    const server = await startServer({ env: { DRAIN_SECONDS: '20' } });
    t.after(() => stopServer(server));
    const session = connectTo(server.url);
    session.on('error', () => {});
    const whole = (await (await fetch(`${server.url}/api/docs/openapi.yaml`)).arrayBuffer()).byteLength;
    const outcomes = { whole: 0, cut: 0, none: 0 };
    const count = (hasBegun, length) => outcomes[!hasBegun ? 'none' : length === whole ? 'whole' : 'cut']++;
    const agent = new http.Agent({ keepAlive: true });
    const byHttp1 = () => new Promise(resolve => {
      let [length, hasBegun] = [0, false];
      const request = http.get(`${server.url}/api/docs/openapi.yaml`, { agent }, reply => {
        hasBegun = true;
        reply.on('data', bytes => (length += bytes.length)).on('error', () => {});
      });
      request.on('error', () => {}).on('close', () => resolve(count(hasBegun, length)));
    });
    const byHttp2 = () => new Promise(resolve => {
      let [length, hasBegun] = [0, false];
      if (session.closed || session.destroyed) return resolve();
      const stream = session.request({ ':path': '/api/docs/openapi.yaml' });
      stream.on('response', () => (hasBegun = true)).on('data', bytes => (length += bytes.length));
      stream.on('error', () => {}).on('close', () => resolve(count(hasBegun, length)));
    });
    const isOver = () => server.child.exitCode !== null;
    const askOnAndOn = async ask => {
      while (!isOver()) await ask();
    };
    const asking = [...upTo(6).map(() => askOnAndOn(byHttp1)), ...upTo(6).map(() => askOnAndOn(async () => {
      await byHttp2();
      await new Promise(setImmediate);
    }))];
    await until(() => outcomes.whole > 100, 'replies', patienceMs);
    await server.stop();
    await Promise.all(asking);
    agent.destroy();
    session.destroy();
    assert.equal(outcomes.cut, 0, JSON.stringify(outcomes));
  });
});
