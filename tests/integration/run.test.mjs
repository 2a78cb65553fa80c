// scripts/run, as a newcomer meets it: it starts, says where things are, keeps the data, and leaves nothing behind. And what
// the scripts share.

import assert from 'node:assert/strict';
import { execFile, execFileSync, spawn } from 'node:child_process';
import { chmodSync, mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { promisify } from 'node:util';

import { freePort, postgresPrograms, query, root, temporaryDirectory, testedBinary, until } from '../support/server.mjs';

const isRelease = testedBinary() === path.join(root, 'build/release/stonechat');
const user = { username: 'alice', password: 'correct horse' };

// A run with its state in `state`, as seen from `cwd`: `{url, output(), ended, signal(name)}`; with `isUp` once the server answers.
async function run(state, port, { isUp = true, atTerminal = false, cwd = root } = {}) {
  const inherited = { PATH: process.env.PATH, HOME: process.env.HOME ?? '/', TMPDIR: process.env.TMPDIR ?? '/tmp' };
  const env = { ...inherited, STONECHAT_STATE_DIR: state, PORT: `${port}`, DRAIN_SECONDS: '2' };
  const command = [path.join(root, 'scripts/run')];
  if (atTerminal) command.unshift('script', '--quiet', '--return', '/dev/null', '--command');
  const child = spawn(command[0], command.slice(1), { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', text => (output += text));
  const ended = new Promise(resolve => child.once('close', code => resolve(code)));
  const url = `http://127.0.0.1:${port}`;
  if (isUp) {
    await until(async () => {
      assert.equal(child.exitCode, null, output);
      return output.includes('Stonechat is running') && (await fetch(`${url}/health`).catch(() => null))?.ok;
    }, 'scripts/run', 120_000);
  }
  const pid = () => Number(readFileSync(path.resolve(cwd, state, 'pid'), 'utf8'));
  return { url, ended, output: () => output, signal: name => process.kill(pid(), name) };
}

function post(url, pathname, body) {
  return fetch(`${url}${pathname}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
}

function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

test('scripts/run keeps its data, runs once at a time, and stops all it started', { skip: !isRelease }, async () => {
  const state = temporaryDirectory();
  chmodSync(state, 0o755);
  const port = await freePort();
  const first = await run(state, port);
  assert.match(first.output(), new RegExp(`http://localhost:${port}/api/docs`));
  await until(() => first.output().includes(`Try it: http://localhost:${port}/\n`), 'the last line');
  assert.match(await (await fetch(`${first.url}/`)).text(), /<title>Stonechat/);
  assert.equal(statSync(path.join(state, 'jwt_secret')).mode & 0o777, 0o600);
  assert.equal((await post(first.url, '/api/auth/register', user)).status, 201);

  const second = await run(state, await freePort(), { isUp: false });
  assert.equal(await second.ended, 1);
  assert.match(second.output(), /already running/);

  const pidFile = readFileSync(path.join(state, 'postgres/cluster/postmaster.pid'), 'utf8');
  first.signal('SIGINT');
  assert.equal(await first.ended, 0, first.output());
  assert.equal(isAlive(Number(pidFile.split('\n')[0])), false);

  const third = await run(state, port);
  assert.equal((await post(third.url, '/api/auth/login', user)).status, 200);
  third.signal('SIGTERM');
  assert.equal(await third.ended, 0, third.output());
});

test('scripts/run starts at a terminal, whatever the length of its path', { skip: !isRelease }, async () => {
  const directory = temporaryDirectory();
  const state = path.join(directory, 'as/long/as/the/path/of/a/checkout');
  mkdirSync(state, { recursive: true });
  chmodSync(directory, 0o755);
  const first = await run(state, await freePort(), { atTerminal: true });
  first.signal('SIGINT');
  assert.equal(await first.ended, 0, first.output());
});

test('a step with a long name is shown at a terminal', async () => {
  const log = path.join(temporaryDirectory(), 'log');
  const script = `set -euo pipefail; root=${root}; . scripts/common.sh; step ${log} ${'long'.repeat(30)} sleep 0.5; echo well done`;
  const { stdout } = await promisify(execFile)('script', ['--quiet', '--return', '/dev/null', '--command', `bash -c '${script}'`],
    { cwd: root });
  assert.match(stdout, /well done/);
});

test('scripts/run recovers from a run that was killed', { skip: !isRelease }, async () => {
  const state = temporaryDirectory();
  chmodSync(state, 0o755);
  const port = await freePort();
  const killed = await run(state, port);
  assert.equal((await post(killed.url, '/api/auth/register', user)).status, 201);
  killed.signal('SIGKILL');
  await killed.ended;
  const next = await run(state, port);
  assert.equal((await post(next.url, '/api/auth/login', user)).status, 200);
  next.signal('SIGINT');
  assert.equal(await next.ended, 0, next.output());
});

test('scripts/run takes a relative path, and finds by a symbolic link what an earlier run left', { skip: !isRelease }, async () => {
  const directory = temporaryDirectory();
  chmodSync(directory, 0o755);
  symlinkSync('state', path.join(directory, 'link'));
  const port = await freePort();
  const first = await run('state', port, { cwd: directory });
  first.signal('SIGINT');
  assert.equal(await first.ended, 0, first.output());

  const data = path.join(directory, 'state/postgres');
  const { uid, gid } = statSync(data);
  const user = process.getuid() === 0 ? { uid, gid } : {};
  const args = ['-D', `${data}/cluster`, '-k', `${data}/sockets`];
  const left = spawn(`${postgresPrograms}/postgres`, args, { cwd: '/', stdio: 'ignore', ...user });
  const ended = new Promise(resolve => left.once('close', resolve));
  const isThere = () => query(`postgresql://stonechat@/stonechat?host=${data}/sockets`, 'SELECT 1').catch(() => null);
  try {
    await until(isThere, 'a PostgreSQL that was left behind');
    const next = await run(path.join(directory, 'link'), port);
    assert.match(next.output(), new RegExp(`stopping .* left behind \\(process ${left.pid}\\)`));
    next.signal('SIGINT');
    assert.equal(await next.ended, 0, next.output());
    await ended;
  } finally {
    left.kill('SIGKILL');
  }
});

test('scripts/run tells every problem of the settings, and starts nothing', { skip: !isRelease }, async () => {
  const state = temporaryDirectory();
  chmodSync(state, 0o755);
  const bad = await run(state, 'http', { isUp: false });
  assert.equal(await bad.ended, 78);
  assert.match(bad.output(), /PORT must be a whole number/);
});

// A kernel with more randomness than the sanitizers stand, made of programs that do as if.
test('scripts/test runs what needs its address space unrandomised by setarch', async () => {
  const directory = temporaryDirectory();
  const program = (name, text) => writeFileSync(path.join(directory, name), `#!/bin/sh\n${text}\n`, { mode: 0o755 });
  program('setarch', '[ "$1" = -R ] && shift && ORDER=kept exec "$@"');
  program('sanitized', '[ "$ORDER" = kept ] && echo "it runs: $*"');
  program('robust', 'echo "it runs: $*${ORDER-}"');
  const functions = `. scripts/common.sh; eval "$(sed -n '/^[a-z_]*() {$/,/^}$/p; /^[a-z]*=[(]/p' scripts/test)"`;
  for (const name of ['sanitized', 'robust']) {
    const file = path.join(directory, name);
    const script = `set -euo pipefail; ${functions}; group=; plainly ${file} run ${file}.log 60 ${file} for all`;
    const env = { ...process.env, PATH: `${directory}:${process.env.PATH}` };
    await promisify(execFile)('bash', ['-c', script], { cwd: root, env });
    assert.equal(readFileSync(`${file}.log`, 'utf8'), 'it runs: for all\n');
  }
});

const isInMemory = directory => ['tmpfs', 'ramfs'].includes(execFileSync('stat', ['-f', '-c', '%T', directory], { encoding: 'utf8' }).trim());

test('scripts/bench measures no database that lies in memory', { skip: !isInMemory('/dev/shm') }, async () => {
  const directory = temporaryDirectory();
  writeFileSync(path.join(directory, 'cmake'), '#!/bin/sh\nexit 1\n', { mode: 0o755 }); // it must not come so far
  const env = { ...process.env, TMPDIR: '/dev/shm', PATH: `${directory}:${process.env.PATH}` };
  const run = promisify(execFile)(path.join(root, 'scripts/bench'), ['health'], { env });
  await assert.rejects(run, { code: 1, stderr: /^bench: .dev.shm is in memory.*TMPDIR=\/var\/tmp scripts\/bench\n$/ });
});
