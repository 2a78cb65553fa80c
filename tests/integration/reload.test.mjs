// SIGHUP: the certificate and the settings of the log are read again, and nobody notices.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { chmodSync, copyFileSync, writeFileSync } from 'node:fs';
import https from 'node:https';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import tls from 'node:tls';

import { stopServer } from '../support/api.mjs';
import { startServer, temporaryCertificate, temporaryDirectory } from '../support/server.mjs';

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

function fetchHealth(server) {
  return new Promise((resolve, reject) => {
    https.get({ port: server.port, host: '127.0.0.1', path: '/health', rejectUnauthorized: false }, response => {
      response.resume().on('end', resolve);
    }).on('error', reject);
  });
}
