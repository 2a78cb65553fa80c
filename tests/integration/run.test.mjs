// scripts/run, as a newcomer meets it: it starts, says where things are, keeps the data, and leaves nothing behind.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { chmodSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';

import { freePort, root, temporaryDirectory, testedBinary, until } from '../support/server.mjs';

const isRelease = testedBinary() === path.join(root, 'build/release/stonechat');
const user = { username: 'alice', password: 'correct horse' };

// A run with its state in `state`: `{url, output(), ended, signal(name)}`; with `isUp` once the server answers.
async function run(state, port, { isUp = true } = {}) {
  const inherited = { PATH: process.env.PATH, HOME: process.env.HOME ?? '/', TMPDIR: process.env.TMPDIR ?? '/tmp' };
  const env = { ...inherited, STONECHAT_STATE_DIR: state, PORT: `${port}`, DRAIN_SECONDS: '2' };
  const child = spawn(path.join(root, 'scripts/run'), { env, stdio: ['ignore', 'pipe', 'pipe'] });
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
  return { url, ended, output: () => output, signal: name => child.kill(name) };
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

test('scripts/run tells every problem of the settings, and starts nothing', { skip: !isRelease }, async () => {
  const state = temporaryDirectory();
  chmodSync(state, 0o755);
  const bad = await run(state, 'http', { isUp: false });
  assert.equal(await bad.ended, 78);
  assert.match(bad.output(), /PORT must be a whole number/);
});
