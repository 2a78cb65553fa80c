// SIGHUP: the certificate and the settings of the log are read again, and nobody notices.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { chmodSync, copyFileSync, writeFileSync } from 'node:fs';
import https from 'node:https';
import net from 'node:net';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import tls from 'node:tls';

import { stopServer, upTo } from '../support/api.mjs';
import { prepareServer, startServer, temporaryCertificate, temporaryDirectory, until } from '../support/server.mjs';

describe('upon SIGHUP', () => {
  let server, files, directory;

  before(async () => {
    directory = temporaryDirectory();
    chmodSync(directory, 0o755);
    files = { key: path.join(directory, 'key.pem'), certificate: path.join(directory, 'certificate.pem') };
    install(temporaryCertificate('DNS:first,IP:127.0.0.1'));
    server = await startServer({ env: { TLS_CERT: files.certificate, TLS_KEY: files.key } });
  });
  after(() => stopServer(server));

  const hangUp = () => process.kill(server.pid, 'SIGHUP');

  function install(made) {
    for (const name of ['key', 'certificate']) {
      copyFileSync(made[name], files[name]);
      chmodSync(files[name], 0o644); // the server does not stay root
    }
  }

  /** The names of the certificate that a new connection gets. */
  async function servedNames() {
    const socket = tls.connect({ port: server.port, host: '127.0.0.1', rejectUnauthorized: false });
    await once(socket, 'secureConnect');
    const names = socket.getPeerCertificate().subjectaltname;
    socket.destroy();
    return names;
  }

  const hasLogged = (pattern, count) =>
    server.waitForLog(() => server.logs.filter(({ msg }) => pattern.test(msg)).length >= count);

  test('new connections get the new certificate, and those that are there go on', async () => {
    const agent = new https.Agent({ keepAlive: true, maxSockets: 1, rejectUnauthorized: false });
    const ask = () => new Promise((resolve, reject) => {
      const request = https.get({ port: server.port, host: '127.0.0.1', path: '/health', agent }, response => {
        response.resume().on('end', () => resolve(request.socket));
      });
      request.on('error', reject);
    });
    const first = await ask();
    assert.match(await servedNames(), /DNS:first/);
    install(temporaryCertificate('DNS:second,IP:127.0.0.1'));
    hangUp();
    await hasLogged(/TLS_CERT and TLS_KEY were read again/, 1);
    for (let i = 0; i < 8; i++) assert.match(await servedNames(), /DNS:second/); // on every thread
    assert.equal(await ask(), first);
    agent.destroy();
  });

  test('connections that have said nothing yet go on, too', async () => {
    const served = await servedNames();
    const silent = upTo(16).map(() => net.connect({ port: server.port, host: '127.0.0.1' }));
    await Promise.all(silent.map(socket => once(socket, 'connect')));
    for (let i = 0; i < 8; i++) await servedNames(); // every thread has accepted them
    install(temporaryCertificate('DNS:later,IP:127.0.0.1'));
    hangUp();
    await until(async () => (await Promise.all(upTo(8).map(servedNames))).every(names => /DNS:later/.test(names)),
      'the new certificate on every thread');
    for (const socket of silent) {
      const secure = tls.connect({ socket, rejectUnauthorized: false });
      await once(secure, 'secureConnect');
      assert.equal(secure.getPeerCertificate().subjectaltname, served);
      secure.destroy();
    }
  });

  test('what is no certificate, or not the key of it, changes nothing', async () => {
    const served = await servedNames();
    const other = temporaryCertificate('DNS:third');
    const good = temporaryDirectory();
    for (const name of ['key', 'certificate']) copyFileSync(files[name], path.join(good, name));
    let count = 0;
    for (const spoil of [
      () => writeFileSync(files.certificate, 'no certificate'),
      () => copyFileSync(other.key, files.key),
      () => chmodSync(files.key, 0o000),
    ]) {
      spoil();
      hangUp();
      await hasLogged(/stay as they were: put them right/, ++count);
      assert.equal(await servedNames(), served);
      for (const name of ['key', 'certificate']) {
        chmodSync(files[name], 0o644);
        copyFileSync(path.join(good, name), files[name]);
      }
    }
  });

  test('the level of the log is read from .env again', async () => {
    const requests = () => server.logs.filter(({ msg }) => msg === 'request').length;
    const ask = () => fetchHealth(server);
    const count = () => server.logs.filter(({ msg }) => /LOG_LEVEL and LOG_FORMAT were read again/.test(msg)).length;
    const isRead = wanted => server.waitForLog(() => count() === wanted);
    let read = count();
    chmodSync(server.directory, 0o755);
    await ask();
    await server.waitForLog(() => requests() > 0);
    writeFileSync(path.join(server.directory, '.env'), 'LOG_LEVEL=warn\n');
    hangUp();
    await isRead(++read);
    const before = requests();
    for (let i = 0; i < 5; i++) await ask();
    writeFileSync(path.join(server.directory, '.env'), 'LOG_LEVEL=info\n');
    hangUp();
    await isRead(++read);
    await ask();
    await server.waitForLog(() => requests() > before);
    assert.equal(requests(), before + 1);
    writeFileSync(path.join(server.directory, '.env'), 'LOG_LEVEL=loud\n');
    hangUp();
    await hasLogged(/the settings stay as they were/, 1);
    await ask();
  });
});

test('a SIGHUP that was there before the server is heard as it starts', async t => {
  const { key, certificate } = temporaryCertificate('IP:127.0.0.1');
  chmodSync(path.dirname(key), 0o755);
  chmodSync(key, 0o644);
  const server = await prepareServer({ env: { TLS_CERT: certificate, TLS_KEY: key, WORKERS: '32', DB_CONNECTIONS: '1' } });
  const script = path.join(temporaryDirectory(), 'hung-up');
  writeFileSync(script, `#!/bin/sh\nexec env --block-signal=HUP sh -c 'kill -HUP $$; exec "$0"' '${server.binary}'\n`,
    { mode: 0o755 });
  server.binary = script;
  t.after(() => stopServer(server));
  await server.start();
  await server.waitForLog(({ msg }) => /TLS_CERT and TLS_KEY were read again/.test(msg));
});

function fetchHealth(server) {
  return new Promise((resolve, reject) => {
    https.get({ port: server.port, host: '127.0.0.1', path: '/health', rejectUnauthorized: false }, response => {
      response.resume().on('end', resolve);
    }).on('error', reject);
  });
}
