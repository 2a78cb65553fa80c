// A client in another language: Python's socketio, as Debian has it, chats with the JavaScript client.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import readline from 'node:readline';
import { after, before, describe, test } from 'node:test';

import { friends, patienceMs, stopServer } from '../support/api.mjs';
import { checkAck, checkEvent } from '../support/asyncapi.mjs';
import { root, startServer, until } from '../support/server.mjs';

const script = path.join(root, 'tests/support/chat_client.py');

// The Python client of a user: `next(what)` waits for the next line of that kind and gives what it says.
class PythonClient {
  constructor(client, token, transports) {
    this.child = spawn(
      '/usr/bin/python3', [script, client.server.url, token, ...transports], { stdio: ['pipe', 'pipe', 'inherit'] }
    );
    this.ended = once(this.child, 'close');
    this.lines = [];
    readline.createInterface({ input: this.child.stdout }).on('line', line => this.#take(JSON.parse(line)));
  }

  #take(line) {
    if (!['connected', 'refused', 'ack'].includes(line[0])) checkEvent('socketio', ...line);
    this.lines.push(line);
  }

  async next(what) {
    const place = await until(
      () => this.lines.findIndex(line => line[0] === what) + 1, `${what} at the Python client`, 2 * patienceMs
    );
    return this.lines.splice(place - 1, 1)[0][1];
  }

  async ask(event, data) {
    this.child.stdin.write(`${JSON.stringify([event, data])}\n`);
    const ack = await this.next('ack');
    checkAck(event, data, ack);
    return ack;
  }

  async close() {
    this.child.stdin.end();
    assert.deepEqual(await this.ended, [0, null]);
  }
}

describe('python-socketio', () => {
  let server;

  before(async () => (server = await startServer()));
  after(() => stopServer(server));

  for (const [transports, arrivesBy] of [
    [['polling'], 'polling'], [['websocket'], 'websocket'], [['polling', 'websocket'], 'websocket'],
  ]) {
    test(`chats by ${transports.join(', then ')}`, async () => {
      const [alice, bob] = await friends(server, 'alice', 'bob');
      const laptop = await alice.connect();
      const python = new PythonClient(bob, bob.token, transports);
      assert.equal(await python.next('connected'), arrivesBy);
      assert.deepEqual(await laptop.next('user-online'), { userId: bob.id });

      const { message } = await laptop.done('private-message', { receiverId: bob.id, content: 'hi from JavaScript 😀' });
      assert.deepEqual(await python.next('private-message'), message);
      const ack = await python.ask('private-message', { receiverId: alice.id, content: 'hi from Python 🐍' });
      assert.deepEqual(await laptop.next('private-message'), ack.message);
      assert.deepEqual((await python.ask('message-seen', { messageId: message.id })), { success: true });
      assert.equal((await laptop.next('message-seen')).readerId, bob.id);
      assert.equal((await python.ask('typing', { receiverId: alice.id })).success, true);
      assert.equal((await laptop.next('typing')).senderName, bob.username);
      assert.equal((await python.ask('no-such-event', {})).code, 'INVALID_PAYLOAD');
      assert.deepEqual(
        (await bob.history(alice)).messages.map(({ content }) => content), ['hi from JavaScript 😀', 'hi from Python 🐍']
      );
      await python.close();
      laptop.close();
    });
  }

  test('is told when its token is bad', async () => {
    const [alice] = await friends(server, 'alice');
    for (const transport of ['polling', 'websocket']) {
      const python = new PythonClient(alice, 'garbage', [transport]);
      assert.deepEqual(await python.next('refused'), { message: 'Authentication error: Invalid token' });
      await python.close();
    }
  });
});
