// A DATABASE_URL that is no good: a reason, what to do, never the password, and another program's tables stay as they are.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';

import { patienceMs } from '../support/api.mjs';
import {
  freePort, postgresPrograms, prepareServer, query, root, startPostgres, until,
} from '../support/server.mjs';

const secret = 'sesame0pen';

describe('a database', () => {
  let postgres;

  before(async () => {
    postgres = await startPostgres();
    await query(postgres.url(), `CREATE ROLE somebody LOGIN PASSWORD '${secret}'`);
    const rules = path.join(postgres.directory, 'data/pg_hba.conf');
    writeFileSync(rules, `local all somebody scram-sha-256\n${readFileSync(rules, 'utf8')}`);
    await query(postgres.url(), 'SELECT pg_reload_conf()');
  });
  after(() => postgres?.destroy());

  const sockets = () => encodeURIComponent(postgres.sockets);

  async function launched(databaseUrl) {
    const server = await prepareServer({ env: { DATABASE_URL: databaseUrl, LOG_LEVEL: 'debug' }, databaseUrl });
    server.env.DATABASE_URL = databaseUrl;
    server.launch();
    return server;
  }

  /** The server serves, and says why there is no database. */
  async function complaint(databaseUrl) {
    const server = await launched(databaseUrl);
    const line = await server.waitForLog(({ msg }) => msg === 'database connection lost', patienceMs);
    const ready = await until(() => fetch(`${server.url}/health/ready`).catch(() => null), 'an answer', patienceMs);
    assert.equal(ready.status, 503);
    await server.stop();
    assert.ok(!server.logText().includes(secret));
    assert.ok(!line.reason.includes('\n'));
    return line;
  }

  /** The server ends at once, and says this. */
  async function refusal(databaseUrl) {
    const server = await launched(databaseUrl);
    assert.equal((await server.child.ended).code, 1, server.logText());
    assert.ok(!server.logText().includes(secret));
    return server.logs.find(({ level }) => level === 'error').msg;
  }

  test('that cannot be used has a reason and an advice', async () => {
    const url = await postgres.createDatabase();
    const name = /\/(test_\w+)\?/.exec(url)[1];
    for (const [address, reason, advice] of [
      [`postgresql://somebody:not${secret}@/${name}?host=${sockets()}`, /password authentication/, /check .* password/],
      [`postgresql://somebody@/${name}?host=${sockets()}`, /no password/, /put the password/],
      [`postgresql://nobody_of:${secret}@/${name}?host=${sockets()}`, /role "nobody_of"/, /create the role/],
      [`postgresql://somebody:${secret}@/nothing?host=${sockets()}`, /database "nothing"/, /scripts\/migrate up/],
      [`postgresql://somebody:${secret}@/${name}?host=${sockets()}`, /permission denied/, /GRANT stonechat_app/],
      [`postgresql://somebody:${secret}@no.such.host.invalid/x`, /no\.such\.host/, /check the host/],
      [`postgresql://somebody:${secret}@127.0.0.1:${await freePort()}/x`, /refused/, /start PostgreSQL/],
      [`postgresql://somebody:${secret}@/x?host=/nowhere`, /nowhere/, /start PostgreSQL/],
    ]) {
      const line = await complaint(address);
      assert.match(line.reason, reason);
      assert.match(line.advice, advice);
    }
  });

  test('whose address cannot be read is refused, without a part of it', async () => {
    for (const address of [
      `postgresql://somebody:${secret}/@localhost/x`, `postgresql://somebody:1@${secret}@localhost/x`,
      `postgresql://somebody:${secret}@localhost:99999/x`, `postgresql://somebody:${secret}%zz@localhost/x`,
      `postgresql://somebody:${secret}@localhost/x?sslmod=require`, `hostname=${secret}`,
    ]) {
      assert.match(await refusal(address), /^DATABASE_URL has to look like .*%40/, address);
    }
  });

  function migrate(databaseUrl, ...args) {
    const env = { PATH: `${postgresPrograms}:${process.env.PATH}`, DATABASE_URL: databaseUrl };
    return new Promise(resolve => {
      execFile(path.join(root, 'scripts/migrate'), args, { env }, (error, stdout, stderr) => {
        resolve({ code: error ? error.code : 0, stderr });
      });
    });
  }

  test('of another program is left alone', async () => {
    const tables = url => query(url, `SELECT relname, relkind FROM pg_class WHERE relnamespace = 'public'::regnamespace ORDER BY 1`);
    for (const sql of [
      'CREATE TABLE things (id int)',
      'CREATE VIEW things AS SELECT 1',
      "CREATE TABLE schema_migrations (version varchar PRIMARY KEY); INSERT INTO schema_migrations VALUES ('20200101000000')",
      'CREATE TABLE schema_migrations (version bigint, dirty boolean); INSERT INTO schema_migrations VALUES (12, false)',
    ]) {
      const url = await postgres.createDatabase({ migrate: false });
      await query(url, sql);
      const before = await tables(url);
      for (const args of [[], ['up'], ['status'], ['down', '1']]) {
        const { code, stderr } = await migrate(url, ...args);
        assert.equal(code, 1);
        assert.match(stderr, /belongs to another program, and was left alone: name an empty one/);
      }
      assert.match(await refusal(url), /belongs to another program.*name an empty one/);
      assert.equal(await tables(url), before);
    }
  });

  test('that has only what extensions brought is empty', async () => {
    const url = await postgres.createDatabase({ migrate: false });
    await query(url, 'CREATE EXTENSION pg_stat_statements');
    assert.match(await refusal(url), /older schema: run scripts\/migrate up/);
    assert.deepEqual(await migrate(url, 'up'), { code: 0, stderr: '' });
  });
});
