// Chromium, for tests: pages that tell of every error, and a small web server for pages of our own.

import { readFileSync } from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { chromium } from 'playwright-core';

import { root } from './server.mjs';

const args = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync'];

// A camera with a moving picture, a microphone that beeps, and nobody who is asked. To send more pictures a second than
// these takes a core.
const fakeDevices = ['--use-fake-device-for-media-stream=fps=10', '--use-fake-ui-for-media-stream'];

export function startBrowser({ hasDevices = false } = {}) {
  return chromium.launch({ executablePath: '/usr/bin/chromium', args: [...args, ...(hasDevices ? fakeDevices : [])] });
}

/**
 * A new page in a profile of its own, with Playwright's options of a context; unless they say otherwise, of somebody who does
 * not like movement, which takes time. `page.problems` has what went wrong in it, `page.requested` every address.
 */
export async function openPage(browser, options) {
  const context = await browser.newContext({ reducedMotion: 'reduce', ...options });
  const page = await context.newPage();
  page.problems = [];
  page.requested = [];
  page.on('console', message => {
    if (['error', 'warning'].includes(message.type())) page.problems.push(message.text());
  });
  page.on('pageerror', error => page.problems.push(`${error}`));
  page.on('requestfailed', request => page.problems.push(`${request.url()}: ${request.failure().errorText}`));
  page.on('request', request => page.requested.push(request.url()));
  page.setDefaultTimeout(60_000);
  return page;
}

const page = `<!doctype html><title>chat</title><link rel="icon" href="data:,"><script src="/socket.io.js"></script>`;
const socketClient = path.join(root, 'tests/node_modules/socket.io-client/dist/socket.io.js');

/** A web page elsewhere, with the stock client's browser build: `{origin, stop()}`. */
export async function startWebSite(port) {
  const pages = {
    '/': ['text/html', page],
    '/socket.io.js': ['text/javascript', readFileSync(socketClient)],
  };
  const site = http.createServer((request, response) => {
    const [type, body] = pages[request.url] ?? ['text/plain', ''];
    response.writeHead(pages[request.url] ? 200 : 404, { 'content-type': type }).end(body);
  });
  await new Promise(resolve => site.listen(port, '127.0.0.1', resolve));
  return {
    origin: `http://127.0.0.1:${port}`,
    async stop() {
      site.closeAllConnections();
      await new Promise(resolve => site.close(resolve));
    },
  };
}
