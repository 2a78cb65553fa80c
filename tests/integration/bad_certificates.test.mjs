// TLS_CERT and TLS_KEY that are no good: what cannot be served is refused, what clients will not trust is told.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { before, describe, test } from 'node:test';

import {
  certificateOf, prepareServer, sharedPostgres, startServer, temporaryDirectory,
} from '../support/server.mjs';

const dayMs = 24 * 60 * 60 * 1000;
const inDays = days => new Date(Date.now() + days * dayMs);

describe('a certificate', () => {
  let databaseUrl, good, other;

  before(async () => {
    databaseUrl = await (await sharedPostgres()).createDatabase();
    [good, other] = ['good', 'other'].map(name => certificateOf(inDays(-1), inDays(90), name));
  });

  const envOf = ({ key, certificate }) => ({ TLS_CERT: certificate, TLS_KEY: key });
  const about = server => server.logs.filter(({ msg }) => /^TLS_/.test(msg));

  function fileOf(text) {
    const file = path.join(temporaryDirectory(), 'file.pem');
    writeFileSync(file, text, { mode: 0o600 });
    return file;
  }

  /** The one line of the log that says why a server with these files has ended. */
  async function refusal(files) {
    const server = await prepareServer({ env: envOf(files), databaseUrl });
    server.launch();
    const { code } = await server.child.ended;
    assert.equal(code, 1, server.logText());
    const [line, ...more] = about(server);
    assert.deepEqual([line.level, more], ['error', []]);
    assert.equal(line.TLS_KEY, files.key);
    return line;
  }

  /** What a server with these files says of them; it serves. */
  async function remarks(files) {
    const server = await startServer({ env: envOf(files), databaseUrl });
    await server.stop();
    return about(server);
  }

  test('that does not belong to the key is refused', async () => {
    for (const wrong of [other.key, temporaryRsaKey()]) {
      assert.match((await refusal({ ...good, key: wrong })).msg, /TLS_KEY does not belong to TLS_CERT/);
    }
  });

  function temporaryRsaKey() {
    const file = path.join(temporaryDirectory(), 'rsa.pem');
    execFileSync('openssl', ['genrsa', '-out', file, '2048'], { stdio: 'ignore' });
    return file;
  }

  test('or key that is no PEM is refused, by its name', async () => {
    const none = fileOf('none\n');
    assert.match((await refusal({ ...good, certificate: none })).msg, /^TLS_CERT .*BEGIN CERTIFICATE/);
    assert.match((await refusal({ ...good, key: none })).msg, /^TLS_KEY .*BEGIN PRIVATE KEY/);
    assert.match((await refusal({ key: good.certificate, certificate: good.key })).msg, /^TLS_KEY .*BEGIN PRIVATE KEY/);
  });

  test('whose key has a passphrase is refused, and nobody is asked for it', async () => {
    const key = path.join(temporaryDirectory(), 'locked.pem');
    execFileSync('openssl', ['pkey', '-in', good.key, '-aes128', '-passout', 'pass:sesame', '-out', key]);
    const server = await prepareServer({ env: envOf({ ...good, key }), databaseUrl });
    // `script` is a terminal, on which OpenSSL would ask.
    const shown = path.join(temporaryDirectory(), 'shown');
    execFileSync('script', ['-qc', `${server.binary} 2>&1 || true`, shown],
      { env: server.env, cwd: server.directory, stdio: ['pipe', 'ignore', 'ignore'], timeout: 60_000 });
    assert.match(readFileSync(shown, 'utf8'), /TLS_KEY has a passphrase.*openssl pkey/);
    assert.doesNotMatch(readFileSync(shown, 'utf8'), /Enter/);
  });

  test('that is not the first of its file is refused; one that nobody there has signed is told', async () => {
    const texts = [other, good].map(files => readFileSync(files.certificate, 'utf8'));
    assert.match((await refusal({ ...good, certificate: fileOf(texts.join('')) })).msg, /TLS_CERT is in the wrong order/);
    const [remark, ...more] = await remarks({ ...good, certificate: fileOf(texts.reverse().join('')) });
    assert.match(remark.msg, /TLS_CERT is no chain/);
    assert.deepEqual([remark.level, more], ['warn', []]);
  });

  test('that has expired, or is not valid yet, is served and told; so is one that ends soon', async () => {
    for (const [from, to, level, pattern, date] of [
      [-9, -2, 'error', /has expired.*SIGHUP/, 'expired'],
      [3, 99, 'error', /is not valid yet.*clock/, 'validFrom'],
      [-9, 13, 'warn', /expires soon/, 'expires'],
    ]) {
      const [remark, ...more] = await remarks(certificateOf(inDays(from), inDays(to)));
      assert.match(remark.msg, pattern);
      assert.deepEqual([remark.level, more], [level, []]);
      assert.match(remark[date], /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
    }
    assert.deepEqual(await remarks(good), []);
  });

  test('is told again upon SIGHUP, and the metrics have its end', async () => {
    const [from, to] = [inDays(-9), inDays(60)];
    const files = certificateOf(from, to);
    const server = await startServer({ env: envOf(files), databaseUrl });
    const atOnce = execFileSync('curl', ['-sk', `${server.url}/metrics`], { encoding: 'utf8' });
    assert.equal(/^stonechat_tls_certificate_expiry_timestamp_seconds (\d+)$/m.exec(atOnce)?.[1], `${Math.floor(to / 1000)}`);
    const old = certificateOf(from, inDays(-1));
    for (const name of ['key', 'certificate']) {
      writeFileSync(files[name], readFileSync(old[name]));
      chmodSync(files[name], 0o644); // the server does not stay root
      chmodSync(path.dirname(files[name]), 0o755);
    }
    process.kill(server.pid, 'SIGHUP');
    await server.waitForLog(({ msg }) => /TLS_CERT has expired/.test(msg));
    await server.waitForLog(({ msg }) => /TLS_CERT and TLS_KEY were read again/.test(msg));
    await server.waitForLog(({ msg }) => /TLS_KEY can be read or written by every user/.test(msg));
    await server.stop();
  });

  test('is not in the metrics of a server without TLS', async () => {
    const server = await startServer({ databaseUrl });
    assert.doesNotMatch(await (await fetch(`${server.url}/metrics`)).text(), /tls_certificate/);
    await server.stop();
  });
});
