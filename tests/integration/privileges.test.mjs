// What the server and its database role may do: no more than they need.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';

import { Client, stopServer } from '../support/api.mjs';
import { query, startServer, temporaryDirectory, testedBinary } from '../support/server.mjs';

const isRoot = process.getuid() === 0;

/** The program as a service manager starts it that gives root's groups along. */
function withGroups() {
  const script = path.join(temporaryDirectory(), 'start');
  writeFileSync(script, `#!/bin/sh\nexec setpriv --groups=0,1 '${testedBinary()}'\n`, { mode: 0o755 });
  return script;
}

describe('privileges', () => {
  let server;

  before(async () => (server = await startServer({ binary: isRoot ? withGroups() : undefined })));
  after(() => stopServer(server));

  const as = role => server.databaseUrl.replace('stonechat@', `${role}@`);

  test('the server does not run as root, in no thread, and cannot become it', { skip: !isRoot }, () => {
    const threads = execFileSync('ls', [`/proc/${server.pid}/task`], { encoding: 'utf8' }).trim().split('\n');
    assert.ok(threads.length > 2);
    for (const thread of threads) {
      const status = readFileSync(`/proc/${server.pid}/task/${thread}/status`, 'utf8');
      for (const kind of ['Uid', 'Gid']) {
        const ids = status.match(new RegExp(`^${kind}:(.*)$`, 'm'))[1].trim().split('\t');
        assert.ok(!ids.includes('0'), `${thread} ${kind} ${ids}`);
      }
      const groups = status.match(/^Groups:(.*)$/m)[1].trim().split(' ');
      assert.ok(!groups.includes('0'), `${thread} Groups ${groups}`);
      assert.match(status, /^CapPrm:\t0+$/m);
      assert.match(status, /^CapEff:\t0+$/m);
    }
  });

  test('a user who is none, or root, is refused at the start', { skip: !isRoot }, async () => {
    for (const user of ['root', 'no-such-user']) {
      await assert.rejects(startServer({ env: { RUN_AS: user } }), /RUN_AS/);
    }
  });

  test('the server works as stonechat_app, which owns nothing and can change no schema', async () => {
    assert.equal(await query(as('stonechat_server'), 'SELECT current_user'), 'stonechat_server');
    await Client.register(server);
    for (const sql of ['CREATE TABLE mine (id int)', 'DROP TABLE messages', 'ALTER TABLE users ADD COLUMN mine int',
      'UPDATE messages SET content = $$other$$', 'DELETE FROM messages', 'DELETE FROM users', 'TRUNCATE events',
      'UPDATE events SET seq = 1', 'INSERT INTO schema_migrations VALUES (99, $$x$$)']) {
      await assert.rejects(query(as('stonechat_server'), sql), /permission denied|must be owner/, sql);
    }
  });

  test('every table is there for the server, and none of its secrets for who only looks', async () => {
    const missing = await server.query(`SELECT string_agg(relname, ', ') FROM pg_class c
      WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'v') AND relname <> 'audit_log'
      AND NOT has_table_privilege('stonechat_app', c.oid, 'SELECT')`);
    assert.equal(missing, '', `a migration has not granted: ${missing}`);
    const exposed = await server.query(`SELECT string_agg(attrelid::regclass || '.' || attname, ', ')
      FROM pg_attribute WHERE attnum > 0 AND attname ~ 'password|secret|hash'
      AND attrelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'v'))
      AND has_column_privilege('stonechat_read', attrelid, attnum, 'SELECT')`);
    assert.equal(exposed, '');
    const writable = await server.query(`SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace
      AND relkind = 'r' AND has_table_privilege('stonechat_read', oid, 'INSERT, UPDATE, DELETE, TRUNCATE')`);
    assert.equal(writable, '0');
    const { id } = await Client.register(server, 'alice').then(client => client.user);
    const reader = `SET ROLE stonechat_read; SELECT count(*) FROM users WHERE id = '${id}' AND username IS NOT NULL`;
    assert.equal(await server.query(reader), '1');
    await assert.rejects(server.query('SET ROLE stonechat_read; SELECT password_hash FROM users'), /permission denied/);
  });

  test('the program is built to be hard to take over', { skip: !testedBinary().includes('/release/') }, () => {
    const elf = execFileSync('readelf', ['-hldW', '--dyn-syms', testedBinary()], { encoding: 'utf8', maxBuffer: 64 << 20 });
    assert.match(elf, /Type:\s+DYN \(Position-Independent Executable/);
    assert.match(elf, /GNU_RELRO/);
    assert.match(elf, /BIND_NOW/);
    assert.match(elf, /GNU_STACK.* RW /);
    assert.match(elf, /__stack_chk_fail/);
    assert.match(elf, /__memcpy_chk|__snprintf_chk|__vsnprintf_chk/);
  });
});
