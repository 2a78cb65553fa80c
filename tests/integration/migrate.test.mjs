// scripts/migrate, and the server's opinion of the schema that it finds.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { before, describe, test } from 'node:test';
import { promisify } from 'node:util';

import { Client } from '../support/api.mjs';
import { postgresPrograms, query, root, sharedPostgres, startPostgres, startServer, temporaryDirectory } from '../support/server.mjs';

const names = readdirSync(path.join(root, 'migrations')).filter(name => /^\d{4}_\w+\.sql$/.test(name))
  .map(name => name.replace('.sql', '')).sort();

describe('migrations', () => {
  let postgres;

  before(async () => (postgres = await sharedPostgres()));

  function migrate(databaseUrl, ...args) {
    const env = { PATH: `${postgresPrograms}:${process.env.PATH}`, DATABASE_URL: databaseUrl };
    return new Promise(resolve => {
      execFile(path.join(root, 'scripts/migrate'), args, { env }, (error, stdout, stderr) => {
        resolve({ code: error ? error.code : 0, stdout, stderr });
      });
    });
  }

  async function migrated(databaseUrl, ...args) {
    const result = await migrate(databaseUrl, ...args);
    assert.equal(result.code, 0, result.stderr);
    return result.stdout;
  }

  // What is in the database, but for what scripts/migrate keeps for itself.
  const objects = url => query(url, `
    SELECT 'relation', relname FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relname !~ '^schema_migrations'
    UNION ALL SELECT 'function', proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace
    UNION ALL SELECT 'type', typname FROM pg_type
    WHERE typnamespace = 'public'::regnamespace AND typname !~ 'schema_migrations'
    ORDER BY 1, 2`);

  const shape = url => query(url, `
    SELECT table_name, column_name, data_type, is_nullable, column_default FROM information_schema.columns
    WHERE table_schema = 'public' ORDER BY 1, 2`);

  test('up, down to nothing, and up again', async () => {
    const url = await postgres.createDatabase({ migrate: false });
    const first = await migrated(url, 'up');
    for (const name of names) assert.match(first, new RegExp(name));
    const [before, columns] = [await objects(url), await shape(url)];
    const down = await migrated(url, 'down', `${names.length}`);
    assert.match(down, new RegExp(`version 0 of ${names.length}`));
    assert.equal(await objects(url), '');
    await migrated(url);
    assert.deepEqual([await objects(url), await shape(url)], [before, columns]);
  });

  test('the address may lie in a file', async () => {
    const directory = temporaryDirectory();
    const file = path.join(directory, 'database_url');
    writeFileSync(file, `${await postgres.createDatabase({ migrate: false })}\n`);
    const env = { PATH: `${postgresPrograms}:${process.env.PATH}`, DATABASE_URL_FILE: file };
    const run = promisify(execFile)(path.join(root, 'scripts/migrate'), ['up'], { env });
    assert.match((await run).stdout, /applied/);
    await assert.rejects(promisify(execFile)(path.join(root, 'scripts/migrate'), ['up'], { env: { ...env, DATABASE_URL_FILE: '/no' } }),
      /DATABASE_URL_FILE cannot be read/);
  });

  // A psql that notes its arguments and its password, then goes on.
  function watchedPsql() {
    const directory = temporaryDirectory();
    const notes = path.join(directory, 'notes');
    writeFileSync(path.join(directory, 'psql'),
      `#!/bin/sh\necho "password $PGPASSWORD arguments $*" >>${notes}\nexec ${postgresPrograms}/psql "$@"\n`, { mode: 0o755 });
    return { PATH: `${directory}:${process.env.PATH}`, notes: () => readFileSync(notes, 'utf8') };
  }

  test('the password is not among the arguments of psql, which everybody can read', async () => {
    const url = await postgres.createDatabase();
    const [, name, host] = url.match(/@\/(\w+)\?(.*)$/);
    const directory = decodeURIComponent(host.replace('host=', ''));
    for (const [address, password] of [
      [`postgresql://stonechat:s%2Fecret%5C%3a1@/${name}?${host}`, 's/ecret\\:1'],
      [`postgres://stonechat@/${name}?password=secret%26&${host}`, 'secret&'],
      [`postgres://stonechat@/${name}?${host}&password=secret`, 'secret'],
      [`user=stonechat password = 'sec\\'ret \\\\' dbname=${name} host=${directory}`, "sec'ret \\"],
      [`password=sec\\'ret user=stonechat dbname=${name} host=${directory}`, "sec'ret"],
      [url, ''],
    ]) {
      const { PATH, notes } = watchedPsql();
      const run = promisify(execFile)(path.join(root, 'scripts/migrate'), ['status'], { env: { PATH, DATABASE_URL: address } });
      assert.match((await run).stdout, new RegExp(`version ${names.length} `));
      assert.ok(notes().startsWith(`password ${password} arguments `), notes());
      assert.doesNotMatch(notes().replace(password, ''), /s(%2F)?ec.*ret/);
    }
  });

  test("nor in the image, where a role for the server is made", async () => {
    const directory = temporaryDirectory();
    const [file, app] = ['database_url', 'app_password'].map(name => path.join(directory, name));
    const url = await postgres.createDatabase({ migrate: false });
    writeFileSync(file, url.replace('stonechat@', 'stonechat:secret@'));
    writeFileSync(app, 'hidden\n');
    const { PATH, notes } = watchedPsql();
    const env = { PATH, SHARE_DIR: root, DATABASE_URL_FILE: file, APP_PASSWORD_FILE: app };
    await promisify(execFile)(path.join(root, 'docker/migrate'), { env });
    const lines = notes().trimEnd().split('\n');
    assert.equal(lines.length, 2);
    for (const line of lines) assert.match(line, /^password secret arguments (?!.*(secret|hidden))/);
    assert.equal(await query(url, "SELECT rolpassword ~ '^SCRAM' FROM pg_authid WHERE rolname = 'stonechat_server'"), 't');
  });

  test('each step down is taken back by a step up', async () => {
    const url = await postgres.createDatabase();
    const versions = () => query(url, 'SELECT version FROM schema_migrations ORDER BY version');
    const whole = [await objects(url), await shape(url)];
    for (let n = 1; n <= names.length; n++) {
      await migrated(url, 'down', `${n}`);
      assert.equal((await versions()).split('\n').filter(Boolean).length, names.length - n);
      await migrated(url, 'up');
      assert.deepEqual([await objects(url), await shape(url)], whole);
    }
  });

  test('up a second time does nothing', async () => {
    const url = await postgres.createDatabase();
    const applied = await query(url, 'SELECT * FROM schema_migrations ORDER BY version');
    assert.doesNotMatch(await migrated(url, 'up'), /applied/);
    assert.equal(await query(url, 'SELECT * FROM schema_migrations ORDER BY version'), applied);
  });

  test('status tells what is there and what is missing', async () => {
    const url = await postgres.createDatabase();
    await migrated(url, 'down', '1');
    const lines = (await migrated(url, 'status')).trim().split('\n');
    for (const [i, name] of names.entries()) {
      assert.match(lines[i], new RegExp(`^${name} ${i < names.length - 1 ? 'applied ' : 'missing'}`));
    }
  });

  test('two runs at once take turns', async () => {
    const url = await postgres.createDatabase({ migrate: false });
    const results = await Promise.all([migrate(url), migrate(url), migrate(url)]);
    for (const result of results) assert.equal(result.code, 0, result.stderr);
    assert.equal(await query(url, 'SELECT count(*) FROM schema_migrations'), `${names.length}`);
  });

  test('a newer schema is left alone', async () => {
    const url = await postgres.createDatabase();
    await query(url, `INSERT INTO schema_migrations (version, name) VALUES (9999, 'from_the_future')`);
    for (const args of [['up'], ['down', '1'], ['down', '99']]) {
      const { code, stderr } = await migrate(url, ...args);
      assert.notEqual(code, 0);
      assert.match(stderr, /9999/);
    }
    assert.equal(await query(url, 'SELECT count(*) FROM schema_migrations'), `${names.length + 1}`);
  });

  test('an owner who may not create roles migrates once they are there', async () => {
    const own = await startPostgres();
    await query(own.url(), 'CREATE ROLE landlord LOGIN');
    await query(own.url(), 'CREATE DATABASE chats OWNER landlord');
    const url = own.url('chats').replace('stonechat@', 'landlord@');
    const { code, stdout, stderr } = await migrate(url, 'up');
    assert.notEqual(code, 0);
    assert.match(stdout, /applied 0011_two_factors\n$/);
    assert.match(stderr, /landlord may not create roles, and there is no role stonechat_app\n/);
    const [, statements] = stderr.match(/HINT: +As a superuser: (.*;) Then migrate again/);

    await query(own.url(), statements);
    assert.match(await migrated(url, 'up'), new RegExp(`version ${names.length} of ${names.length}`));
    assert.equal(await query(own.url('chats'), "SELECT has_table_privilege('stonechat_app', 'messages', 'INSERT')"), 't');
    await own.destroy();
  });

  test('what cannot be understood is said, and nothing is done', async () => {
    const url = await postgres.createDatabase({ migrate: false });
    for (const args of [['sideways'], ['down'], ['down', 'x'], ['down', '-1'], ['up', '3']]) {
      const { code, stderr } = await migrate(url, ...args);
      assert.deepEqual([code, /usage/.test(stderr)], [2, true], args.join(' '));
    }
    assert.notEqual((await migrate('')).code, 0);
    const nowhere = await migrate('postgresql://nobody@/nothing?host=/nowhere');
    assert.notEqual(nowhere.code, 0);
    assert.match(nowhere.stderr, /nowhere/);
    assert.equal(await objects(url), '');
  });

  test('the server refuses an older schema, and says what to type', async () => {
    const isRefused = databaseUrl => assert.rejects(
      startServer({ databaseUrl }).then(server => server.stop()), /scripts\/migrate/
    );
    const url = await postgres.createDatabase();
    await migrated(url, 'down', '1');
    await isRefused(url);
    await migrated(url, 'down', '99');
    await isRefused(url);
    await isRefused(await postgres.createDatabase({ migrate: false }));
    await migrated(url, 'up');
    const server = await startServer({ databaseUrl: url });
    await Client.register(server);
    await server.stop();
  });
});
