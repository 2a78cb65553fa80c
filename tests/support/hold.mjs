// What happens while the server waits for the database.

import { friends, patienceMs } from './api.mjs';
import { Psql } from './psql.mjs';
import { until } from './server.mjs';

/** Locks a table until `release`. */
export async function holdTable(t, server, table, mode = 'ACCESS EXCLUSIVE') {
  const psql = new Psql(server.databaseUrl);
  t.after(() => psql.end());
  await psql.run(`BEGIN; LOCK TABLE ${table} IN ${mode} MODE; SELECT 1`);
  return {
    /** Waits until somebody waits for the table. Databases are copies: its oid is the same in all of them. */
    waiting: () => until(async () => (await psql.run(`SELECT count(*) FROM pg_locks WHERE relation = '${table}'::regclass
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) AND NOT granted`)) !== '0',
    `somebody to wait for ${table}`, patienceMs),
    release: () => psql.end(),
    psql,
  };
}

/** Has a message wait for a row on each connection that appends, until `release`: all that is asked meanwhile waits too. */
export async function holdAppends(t, server) {
  const pairs = [await friends(server, 'from', 'to'), await friends(server, 'from', 'to')];
  const psql = new Psql(server.databaseUrl);
  t.after(() => psql.end());
  await psql.run(`BEGIN; SELECT count(*) FROM (SELECT FROM users WHERE id IN (${pairs.map(([, to]) => `'${to.id}'`)}) FOR UPDATE) l`);
  const sent = [];
  const isWaiting = `SELECT count(*) FROM pg_stat_activity
    WHERE wait_event_type = 'Lock' AND datname = current_database() AND query LIKE '%message_append%'`;
  for (const [from, to] of pairs) {
    sent.push(from.send(to, 'wait'));
    await until(async () => (await server.query(isWaiting)) === `${sent.length}`, 'a message that waits', patienceMs);
  }
  return {
    /** Waits until n statements wait behind it. */
    waiting: n => until(async () => {
      const metrics = await (await fetch(`${server.url}/metrics`)).text();
      return Number(/^stonechat_db_waiting (\d+)$/m.exec(metrics)[1]) >= n;
    }, `${n} statements that wait`, patienceMs),
    async release() {
      await psql.run('ROLLBACK; SELECT 1');
      await Promise.all(sent);
    },
  };
}
