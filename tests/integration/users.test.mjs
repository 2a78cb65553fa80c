// Finding people.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { Client, assertInvalid, stopServer } from '../support/api.mjs';
import { startServer } from '../support/server.mjs';

describe('users', () => {
  let server, zoe;
  const names = users => users.map(user => user.username);

  before(async () => {
    server = await startServer();
    zoe = await Client.register(server, 'zoe');
    for (const name of ['anna', 'anne', 'an.x', 'bert', 'a_b', 'a-b']) await Client.register(server, name);
  });
  after(() => stopServer(server));

  test('everybody is listed by name, but oneself', async () => {
    const all = names(await zoe.read('/api/users', { limit: 50 }));
    assert.equal(all.length, 6);
    assert.ok(!all.includes(zoe.username));
    assert.deepEqual(all, [...all].sort());
  });

  test('search takes the beginning of a name, in any case, and means what it says', async () => {
    const search = async text => {
      return names(await zoe.read('/api/users', { search: text })).map(name => name.replace(/_\d+$/, ''));
    };
    assert.deepEqual(await search('ann'), ['anna', 'anne']);
    assert.deepEqual(await search('ANN'), ['anna', 'anne']);
    assert.deepEqual(await search('nn'), []);
    assert.deepEqual(await search('a_'), ['a_b']);
    assert.deepEqual(await search('an.'), ['an.x']);
    assert.deepEqual(await search('zoe'), []);
  });

  test('a user is shown without secrets', async () => {
    const [bert] = await zoe.read('/api/users', { search: 'bert' });
    assert.deepEqual(Object.keys(bert).sort(), ['id', 'lastSeen', 'online', 'username']);
    assert.deepEqual([bert.online, bert.lastSeen], [false, null]);
  });

  test('the limit is 20 unless asked otherwise, and 50 at most', async () => {
    await Promise.all(Array.from({ length: 55 }, () => Client.register(server, 'many')));
    assert.equal((await zoe.read('/api/users', { search: 'many' })).length, 20);
    assert.equal((await zoe.read('/api/users', { search: 'many', limit: 50 })).length, 50);
    assert.equal((await zoe.read('/api/users', { search: 'many', limit: 1 })).length, 1);
    for (const limit of ['0', '51', '-1', 'x', '1.5', '99999999999999999999']) {
      assertInvalid(await zoe.get('/api/users', { limit }), 'limit');
    }
  });

  test('unknown parameters of the query are ignored', async () => {
    assert.equal((await zoe.read('/api/users', { search: 'bert', colour: 'red' })).length, 1);
  });
});
