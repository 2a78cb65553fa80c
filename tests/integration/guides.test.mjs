// The guides in docs/, and "A first chat" of the README, are programs: their blocks of code, run one after the other against a
// real server, print what the blocks called `output` show. Ids, tokens, times and empty lines may differ.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { test } from 'node:test';

import { openPage, startBrowser } from '../support/browser.mjs';
import { blocksOf, textOf } from '../support/documents.mjs';
import { freePort, root, startServer, temporaryDirectory, until } from '../support/server.mjs';

const timeoutMs = 60_000;
const modules = path.join(root, 'tests/node_modules');

/** What differs from run to run, by its name. */
function normalise(text) {
  return text
    .replace(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, 'ID')
    .replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, 'TIME')
    .replace(/eyJ[\w-]+\.[\w-]+\.[\w-]+/g, 'TOKEN')
    .replace(/("refreshToken": ?)"[\w.-]+"/g, '$1REFRESH_TOKEN')
    .replace(/\n{2,}/g, '\n');
}

/** Starts a server for one program, in which nobody is registered; gives what `run(program, server)` prints. */
async function outputOf(source, run, env = {}) {
  const server = await startServer({ env });
  try {
    return normalise(await run(source.replaceAll('http://localhost:5000', server.url), server));
  } finally {
    await server.stop();
  }
}

function directoryWith(name, text) {
  const directory = temporaryDirectory();
  symlinkSync(modules, path.join(directory, 'node_modules'));
  writeFileSync(path.join(directory, name), text);
  return directory;
}

/** Runs a command until it ends well, or `isDone(output)`; gives its output. Whatever it has started ends with it. */
async function outputOfCommand(directory, command, args, isDone = () => false) {
  const child = spawn(command, args, { cwd: directory, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
  const ended = once(child, 'close');
  let [output, errors] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', text => (output += text));
  child.stderr.setEncoding('utf8').on('data', text => (errors += text));
  const isOver = () => child.exitCode !== null || child.signalCode !== null;
  try {
    await until(() => isDone(output) || isOver(), 'the end of the program', timeoutMs);
  } finally {
    try {
      process.kill(-child.pid, 'SIGKILL');
    } catch {
      // there is nobody left
    }
    const [code, signal] = await ended;
    assert.ok(code === 0 || isDone(output), `${code ?? signal}\n${output}\n${errors}`);
  }
  return output;
}

const runFile = (command, name, program) => outputOfCommand(directoryWith(name, program), command, [name]);

const runNode = program => runFile(process.execPath, 'chat.mjs', program);
const runPython = program => runFile('/usr/bin/python3', 'chat.py', program);
const runShell = program => runFile('bash', 'chat.sh', `set -eu\n${program}`);

for (const [document, language, run] of [
  ['docs/javascript.md', 'js', runNode],
  ['docs/python.md', 'python', runPython],
  ['docs/curl.md', 'sh', runShell],
]) {
  test(`${document} prints what it shows`, async () => {
    const blocks = blocksOf(document);
    const shown = textOf(blocks, 'output');
    assert.notEqual(shown, '');
    assert.equal(await outputOf(textOf(blocks, language), run), normalise(shown));
  });
}

/** Serves texts by path, `{url: [type, text]}`, on a port. */
async function serve(port, pages) {
  const site = http.createServer((request, response) => {
    const [type, text] = pages[request.url] ?? ['text/plain', ''];
    response.writeHead(pages[request.url] ? 200 : 404, { 'content-type': type }).end(text);
  });
  await new Promise(resolve => site.listen(port, '127.0.0.1', resolve));
  return site;
}

test('docs/javascript.md does the same in a browser', async () => {
  const blocks = blocksOf('docs/javascript.md');
  const shown = textOf(blocks, 'output');
  const port = await freePort();
  const origin = `http://127.0.0.1:${port}`;
  const browser = await startBrowser();
  let site;
  try {
    const printed = await outputOf(textOf(blocks, 'js'), async program => {
      site = await serve(port, {
        '/': ['text/html', textOf(blocks, 'html')],
        '/chat.mjs': ['text/javascript', program],
        '/socket.io.esm.min.js': ['text/javascript',
          readFileSync(path.join(modules, 'socket.io-client/dist/socket.io.esm.min.js'), 'utf8')],
      });
      const page = await openPage(browser);
      let output = '';
      page.on('console', message => {
        if (message.type() === 'log') output += `${message.text()}\n`;
      });
      await page.goto(`${origin}/`);
      const isDone = () => output.length >= shown.length;
      await until(isDone, 'the end of the program', timeoutMs).catch(() => assert.fail(`${output}\n${page.problems}`));
      await page.close();
      return output;
    }, { ALLOWED_ORIGINS: origin });
    assert.equal(printed, normalise(shown));
  } finally {
    await browser.close();
    site?.closeAllConnections();
    site?.close();
  }
});

test('"A first chat" of the README works as it stands there', async () => {
  const blocks = blocksOf('README.md', 'A first chat');
  const [chat, listenBySocket, listenByLines] = blocks.filter(({ language }) => language === 'sh').map(({ text }) => text);
  const wanted = ['"content":"hi Bob"', 'new: load the state', 'committed: hi Alice', 'event: private-message'];
  await outputOf(textOf(blocks, 'js'), (program, server) => {
    // The last two go on until somebody ends them.
    const script = `set -eu\n${chat}\n${listenBySocket.trimEnd()} &\n${listenByLines.replace(/ +#.*\n/, '')} &\nwait`;
    return outputOfCommand(directoryWith('chat.mjs', program), 'sh',
      ['-c', script.replaceAll('http://localhost:5000', server.url)], output => wanted.every(text => output.includes(text)));
  });
});
