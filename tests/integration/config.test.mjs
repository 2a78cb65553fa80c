// The settings and the command line.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';

import { jwtSecret, root, temporaryDirectory, testedBinary } from '../support/server.mjs';

const good = { DATABASE_URL: 'postgresql://nobody@localhost:1/nothing', JWT_SECRET: jwtSecret };

// Runs the program in a directory of its own: `{code, stdout, stderr}`.
function run(args, env = good, { envFile } = {}) {
  const cwd = temporaryDirectory();
  mkdirSync(cwd, { recursive: true });
  if (envFile !== undefined) writeFileSync(path.join(cwd, '.env'), envFile);
  return new Promise(resolve => {
    execFile(testedBinary(), args, { cwd, env, timeout: 60_000 }, (error, stdout, stderr) => {
      resolve({ code: error ? error.code : 0, stdout, stderr });
    });
  });
}

async function refused(env, ...patterns) {
  const { code, stderr } = await run(['--check-config'], { ...good, ...env });
  assert.equal(code, 78, stderr);
  for (const pattern of patterns) assert.match(stderr, pattern);
  return stderr;
}

describe('settings', () => {
  test('good settings are said to be good', async () => {
    const { code, stdout, stderr } = await run(['--check-config']);
    assert.equal(code, 0, stderr);
    assert.match(stdout, /ok/i);
  });

  test('all problems are told at once, and the server does not start', async () => {
    const bad = {
      PORT: 'http', WORKERS: '-1', LOG_LEVEL: 'loud', JWT_EXPIRES_IN: 'soon', JWT_SECRET: 'short',
      MAX_BODY_BYTES: '1e9',
    };
    for (const args of [['--check-config'], []]) {
      const { code, stderr } = await run(args, bad);
      assert.equal(code, 78);
      for (const name of ['DATABASE_URL', ...Object.keys(bad)]) assert.match(stderr, new RegExp(`\\b${name}\\b`));
      assert.doesNotMatch(stderr, /short/);
    }
  });

  test('a secret has to be one', async () => {
    for (const secret of [
      '', 'x'.repeat(31), jwtSecret.slice(0, 31), 'changeme'.repeat(4), 'your-secret-key-here-change-in-production', 'a'.repeat(64),
    ]) {
      const said = await refused({ JWT_SECRET: secret }, /JWT_SECRET/);
      if (secret) assert.ok(!said.includes(secret));
    }
    const { JWT_SECRET, ...without } = good;
    assert.ok(JWT_SECRET);
    const { code, stderr } = await run([], without);
    assert.equal(code, 78);
    assert.match(stderr, /JWT_SECRET/);
  });

  test('rate limits cannot be turned off in production', async () => {
    await refused({ RATE_LIMIT_DISABLED: '1' }, /RATE_LIMIT_DISABLED/);
    await refused({ RATE_LIMIT_DISABLED: '1', STONECHAT_ENV: 'production' }, /RATE_LIMIT_DISABLED/);
    for (const env of ['development', 'test']) {
      assert.equal((await run(['--check-config'], { ...good, RATE_LIMIT_DISABLED: '1', STONECHAT_ENV: env })).code, 0);
    }
  });

  test('values out of bounds are refused', async () => {
    for (const [name, value] of Object.entries({
      PORT: '65536', STONECHAT_ENV: 'prod', LOG_FORMAT: 'xml', PASSWORD_MIN_LENGTH: '0', RATE_LIMIT_DISABLED: 'maybe',
      CALL_RING_SECONDS: '99999999999999999999', ALLOWED_ORIGINS: 'localhost:3000/path',
    })) {
      await refused({ [name]: value }, new RegExp(`\\b${name}\\b`));
    }
    await refused({ TLS_CERT: '/nowhere/certificate.pem' }, /TLS_KEY|TLS_CERT/);
  });

  test('settings may come from .env, and the environment wins', async () => {
    const envFile = `# a comment\nDATABASE_URL=${good.DATABASE_URL}\nJWT_SECRET="${jwtSecret}"\nPORT=http\n`;
    const bad = await run(['--check-config'], {}, { envFile });
    assert.equal(bad.code, 78);
    assert.match(bad.stderr, /PORT/);
    assert.equal((await run(['--check-config'], { PORT: '5000' }, { envFile })).code, 0);
  });

  test('--help names every setting, and --version the version', async () => {
    const help = await run(['--help'], {});
    assert.equal(help.code, 0);
    const example = readFileSync(path.join(root, '.env.example'), 'utf8');
    const names = [...example.matchAll(/^#([A-Z0-9_]+)=/gm)].map(match => match[1]);
    assert.ok(names.length > 20);
    for (const name of names) assert.match(help.stdout, new RegExp(`\\b${name}\\b`));
    const version = await run(['--version'], {});
    assert.equal(version.code, 0);
    assert.match(version.stdout, /^stonechat \d+\.\d+\.\d+/);
  });

  test('an argument that is not known is refused', async () => {
    for (const args of [['--no-such-flag'], ['extra'], ['--check-config', 'extra'], ['--print-docs', 'nonsense']]) {
      const { code, stderr } = await run(args);
      assert.equal(code, 64, args.join(' '));
      assert.match(stderr, /usage|--help/i);
    }
  });
});
