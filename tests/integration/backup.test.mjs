// Backups, as docs/operations.md has them: its own lines are run here, with other paths. What came before the moment to which
// PostgreSQL is restored is there, what came after it is not, and every client knows that it has to load the state afresh. What
// was restored can be backed up and restored again.

import assert from 'node:assert/strict';
import { chownSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';

import { befriend, Client, patienceMs, stopServer } from '../support/api.mjs';
import { blocksOf } from '../support/documents.mjs';
import { query, startPostgres, startServer, until } from '../support/server.mjs';

const blocks = blocksOf('docs/operations.md', 'Backups');
const [settings, backUp, cleanUp, restore, takeBack, startOver] = blocks.map(({ text }) => text);

// The lines for this PostgreSQL, whose backups lie in a directory beside it, and for a base of this name.
function here(postgres, text, base) {
  return text.replaceAll('/var/backups/stonechat', path.join(postgres.directory, 'backups'))
    .replaceAll('/var/lib/postgresql/15/main', postgres.data)
    .replace(/base-(\$\(date [^)]*\)|2024-11-14)/, `base-${base}`);
}

// The same as one who types these lines.
function shellOf(postgres) {
  const env = [`PGHOST=${postgres.sockets}`, 'PGUSER=stonechat', 'PGDATABASE=postgres'];
  return (text, base) => postgres.run('env', ...env, 'bash', '-euc', here(postgres, text, base));
}

const restoreTo = moment => restore.replace(/^recovery_target_time = .*\n/m, moment ? `recovery_target_time = '${moment}'\n` : '');

async function restart(postgres, databaseUrl) {
  await postgres.start();
  await until(async () => (await query(databaseUrl, 'SELECT pg_is_in_recovery()')) === 'f', 'the end of the recovery', patienceMs);
}

async function startArchivingPostgres() {
  const postgres = await startPostgres();
  for (const directory of ['backups', 'backups/wal']) {
    mkdirSync(path.join(postgres.directory, directory));
    if (postgres.user) chownSync(path.join(postgres.directory, directory), postgres.user.uid, postgres.user.gid);
  }
  await postgres.stop();
  const lines = here(postgres, settings).split('\n').filter(line => line.includes('='));
  postgres.settings = lines.map(line => line.replace(/^(\w+) = '?(.*?)'?$/, '$1=$2'));
  await postgres.start();
  return postgres;
}

async function reconnect(phone) {
  phone.io.connect();
  await until(() => phone.io.connected, 'the phone to be back', patienceMs);
}

test('a backup is restored to the moment before the accident', async () => {
  assert.deepEqual(blocks.map(({ language }) => language), ['ini', 'sh', 'sh', 'sh', 'sh', 'sql']);
  const postgres = await startArchivingPostgres();
  const shell = shellOf(postgres);
  const databaseUrl = await postgres.createDatabase();
  const server = await startServer({ databaseUrl });
  const [alice, bob] = await Promise.all([Client.register(server, 'alice'), Client.register(server, 'bob')]);
  await befriend(alice, bob);
  const phone = await bob.connect();

  await alice.send(bob, 'before the backup');
  await shell(backUp, 'first');
  await alice.send(bob, 'after the backup');
  const moment = await query(databaseUrl, 'SELECT clock_timestamp()');
  await alice.send(bob, 'after the moment');
  await query(databaseUrl, 'DELETE FROM messages');
  await phone.next('private-message', ({ content }) => content === 'after the moment');

  await server.stop();
  await postgres.stop();
  await shell(restoreTo(moment), 'first');
  await restart(postgres, databaseUrl);
  await shell(takeBack);
  await query(databaseUrl, startOver);

  // By now there are other events under the numbers that the phone has seen.
  const again = await startServer({ databaseUrl, env: { PORT: `${server.port}` } });
  const contents = ['before the backup', 'after the backup', 'one', 'two', 'three'];
  for (const content of contents.slice(2)) await alice.send(bob, content);
  await reconnect(phone);
  assert.equal(phone.io.recovered, false);
  assert.deepEqual((await bob.history(alice)).messages.map(({ content }) => content), contents);

  const message = await alice.send(bob, 'from here on');
  assert.deepEqual(await phone.next('private-message', ({ content }) => content === 'from here on'), message);
  phone.io.io.engine.close();
  await until(() => !phone.io.connected, 'the end of the connection', patienceMs);
  await alice.send(bob, 'missed');
  await reconnect(phone);
  assert.equal(phone.io.recovered, true);
  await phone.next('private-message', ({ content }) => content === 'missed');
  await stopServer(again);
  await postgres.destroy();
});

test('what was restored is backed up and restored again, to its last commit', async () => {
  const postgres = await startArchivingPostgres();
  const shell = shellOf(postgres);
  const databaseUrl = await postgres.createDatabase();
  const insert = name => query(databaseUrl, `INSERT INTO users (username, password_hash) VALUES ('${name}', '')`);
  const names = () => query(databaseUrl, 'SELECT username FROM users ORDER BY username');

  await shell(backUp, 'first');
  await insert('alice');
  const moment = await query(databaseUrl, 'SELECT clock_timestamp()');
  await insert('bob');
  await postgres.stop();
  await shell(restoreTo(moment), 'first');
  await restart(postgres, databaseUrl);
  await shell(takeBack);
  assert.equal(await names(), 'alice');

  await insert('carol');
  await shell(backUp, 'second');
  await shell(cleanUp, 'second');
  await insert('dave');
  await postgres.kill();
  await shell(restoreTo(null), 'second');
  await restart(postgres, databaseUrl);
  assert.equal(await names(), 'alice\ncarol\ndave');
  await postgres.destroy();
});

test('WAL is archived whole, once, and until no base needs it', async () => {
  const postgres = await startArchivingPostgres();
  const wal = path.join(postgres.directory, 'backups/wal');
  const archived = () => readdirSync(wal).filter(name => /^[0-9A-F]{24}$/.test(name)).sort();
  const file = await query(postgres.url(), 'SELECT pg_walfile_name(pg_switch_wal())');
  await until(() => archived().includes(file), 'a file of WAL', patienceMs);
  const archive = name => postgres.run('env', '-C', postgres.directory, 'sh', '-c',
    postgres.settings.find(line => line.startsWith('archive_command=')).replace('archive_command=', '')
      .replaceAll('%f', name).replaceAll('%p', 'new'));

  const content = readFileSync(path.join(wal, file));
  writeFileSync(path.join(postgres.directory, 'new'), content);
  await archive(file); // PostgreSQL crashed before it knew that this was done
  writeFileSync(path.join(wal, 'F.new'), content.subarray(0, 100), { mode: 0o666 }); // and before it was done
  if (postgres.user) chownSync(path.join(wal, 'F.new'), postgres.user.uid, postgres.user.gid);
  await archive('F');
  assert.deepEqual(readFileSync(path.join(wal, 'F')), content);
  writeFileSync(path.join(postgres.directory, 'new'), 'another');
  await assert.rejects(archive(file));
  assert.deepEqual(readFileSync(path.join(wal, file)), content);

  const shell = shellOf(postgres);
  await shell(backUp, 'first');
  await shell(cleanUp, 'first');
  const [, needed] = readFileSync(path.join(postgres.directory, 'backups/base-first/backup_label'), 'utf8').match(/\(file (\w+)\)/);
  assert.equal(archived()[0], needed);
  await postgres.destroy();
});
