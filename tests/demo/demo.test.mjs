// The demo page at /, as those see it who try Stonechat with it. Most of a test is waiting for a page or for the server, so
// three go on at a time, in one browser and, but for those that stop it or set it up otherwise, at one server.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, describe, test } from 'node:test';

import { Client, befriend, friends, password, stopServer, unique } from '../support/api.mjs';
import { openPage, startBrowser } from '../support/browser.mjs';
import { startServer, until } from '../support/server.mjs';
import { codeOf } from '../support/totp.mjs';

const graceless = { PRESENCE_GRACE_MS: '200' };
const phone = { viewport: { width: 360, height: 700 }, isMobile: true, hasTouch: true };

describe('the demo page', { concurrency: 3 }, () => {
  let server, browser;

  before(async () => {
    const keys = `1:${randomBytes(32).toString('base64')}`;
    server = await startServer({ env: { ...graceless, TOTP_KEYS: keys } });
    browser = await startBrowser({ hasDevices: true });
  });
  after(async () => {
    await browser?.close();
    await stopServer(server);
  });

  // --- what people do ---

  async function visit(options, where = server) {
    const page = await openPage(browser, options);
    await page.goto(`${where.url}/`);
    return page;
  }

  // Chromium tells of every reply that is an error, of every request that found no network, and of every WebSocket that came
  // to nothing, as when the server stops; anything else is a fault.
  const isExpected = text => [
    /^Failed to load resource: /, /net::ERR_(INTERNET_DISCONNECTED|CONNECTION_REFUSED|ABORTED)/,
    /^WebSocket connection to '[^']*' failed: /,
  ].some(pattern => pattern.test(text));

  async function leave(...pages) {
    for (const page of pages) {
      const faults = page.problems.filter(text => !isExpected(text));
      assert.deepEqual(faults, []);
      for (const url of page.requested) assert.match(url, /^(http:\/\/127\.0\.0\.1:\d+\/|data:image\/svg)/);
      await page.context().close();
    }
  }

  async function register(page, name) {
    page.username = unique(name);
    await page.getByText('Register').click();
    await page.getByLabel('User name').fill(page.username);
    await page.getByLabel('Password').fill(password);
    await page.getByRole('button', { name: 'Create account' }).click();
    await page.getByRole('button', { name: 'Your account' }).waitFor();
    return page;
  }

  async function logIn(page, username, fields = {}) {
    await page.getByLabel('User name').fill(username);
    await page.getByLabel('Password').fill(fields.password ?? password);
    if (fields.otp) await page.getByLabel('recovery code').fill(fields.otp);
    await page.getByRole('button', { name: 'Log in' }).click();
  }

  async function logOut(page) {
    await page.getByRole('button', { name: 'Your account' }).click();
    await page.getByRole('button', { name: 'Log out', exact: true }).click();
    await page.getByLabel('User name').waitFor();
  }

  const list = (page, name) => page.getByRole('navigation').getByRole('link', { name });
  const row = (page, rows, name) => page.locator(`#${rows} li`).filter({ hasText: name });
  const bubble = (page, text) => page.locator('.message').filter({ hasText: text });
  const receipt = (page, text, what) => bubble(page, text).getByRole('img', { name: what, exact: true });
  const notice = (page, text) => page.locator('.notice').filter({ hasText: text });
  const presence = (page, text) => page.locator('#chat-presence').filter({ hasText: text });

  async function openChat(page, other) {
    await list(page, 'Chats').click();
    await row(page, 'chat-rows', other.username).getByRole('link').click();
    await page.getByRole('heading', { name: other.username }).waitFor();
  }

  async function write(page, text) {
    await page.getByLabel('Message', { exact: true }).fill(text);
    await page.getByRole('button', { name: 'Send', exact: true }).click();
  }

  // The page of somebody who has registered without it: its tab has a login when it is first loaded. `prepare` sees it before.
  async function enter(client, options, prepare = () => {}) {
    const page = await openPage(browser, options);
    page.username = client.username;
    await prepare(page);
    await page.addInitScript(login => {
      if (origin === 'null' || sessionStorage.getItem('hasEntered')) return;
      sessionStorage.setItem('hasEntered', 'yes');
      sessionStorage.setItem('stonechat.login', JSON.stringify(login));
    }, { token: client.token, user: client.user, refreshAt: Date.now() + 1e9 });
    await page.goto(`${client.server.url}/`);
    await page.getByRole('button', { name: 'Your account' }).waitFor();
    return page;
  }

  // Two pages whose users are friends, each with the chat of the two in front. `prepare` sees Bob's before it is loaded.
  async function chatters(options, bobsOptions = options, { prepare, where = server } = {}) {
    const users = await friends(where, 'alice', 'bob');
    const [alice, bob] = await Promise.all([enter(users[0], options), enter(users[1], bobsOptions, prepare)]);
    await Promise.all([openChat(alice, bob), openChat(bob, alice)]);
    return [alice, bob];
  }

  // --- registering, friends, chats ---

  test('two people register, find each other, and become friends', async () => {
    const [alice, bob] = await Promise.all([visit(), visit()]);
    await register(alice, 'alice');
    await bob.getByText('Register').click();
    await bob.getByLabel('User name').fill(alice.username);
    await bob.getByLabel('Password').fill('short');
    await bob.getByRole('button', { name: 'Create account' }).click();
    await bob.getByText('password must be 8').waitFor();
    assert.equal(await bob.getByLabel('Password').getAttribute('aria-invalid'), 'true');
    await bob.getByLabel('Password').fill(password);
    await bob.getByRole('button', { name: 'Create account' }).click();
    await bob.getByRole('alert').filter({ hasText: 'Username taken' }).waitFor();
    await register(bob, 'bob');

    await list(alice, 'People').click();
    await alice.getByRole('searchbox').fill('nobody_is_called_so');
    await alice.getByText('Nobody has a name').waitFor();
    await alice.getByRole('searchbox').fill(bob.username);
    await alice.getByRole('button', { name: `Add ${bob.username}` }).click();
    await list(bob, 'People 1').click();
    await bob.getByRole('button', { name: `Decline ${alice.username}` }).click();
    await notice(alice, `${bob.username} has declined`).waitFor();
    await alice.getByRole('button', { name: `Add ${bob.username}` }).click();
    await bob.getByRole('button', { name: `Accept ${alice.username}` }).click();
    await notice(alice, `${bob.username} is your friend now`).waitFor();
    await alice.getByRole('button', { name: `Message ${bob.username}` }).first().click(); // the request may still be listed too
    await presence(alice, 'online').waitFor();

    await alice.getByRole('button', { name: 'More' }).click();
    await alice.getByRole('button', { name: 'Remove contact' }).click();
    await row(alice, 'chat-rows', bob.username).waitFor({ state: 'detached' });
    await write(bob, 'are you there?');
    await notice(bob, 'is not one of your contacts any more').waitFor();
    await row(bob, 'chat-rows', alice.username).waitFor({ state: 'detached' });
    await leave(alice, bob);
  });

  test('messages are live: typing, receipts, unread, presence', async () => {
    const heard = [];
    const [alice, bob] = await chatters({}, {}, { prepare: page => page.on('websocket', socket => {
      socket.on('framereceived', ({ payload }) => heard.push(`${payload}`));
    }) });
    await alice.getByLabel('Message', { exact: true }).pressSequentially('hi');
    await bob.getByText(`${alice.username} is typing`).waitFor();
    await alice.getByLabel('Message', { exact: true }).fill('');
    await until(() => heard.some(frame => frame.includes('"stop_typing"')), 'the news of it');
    await bob.getByText(`${alice.username} is typing`).waitFor({ state: 'hidden' });

    await write(alice, 'hi Bob');
    await bubble(bob, 'hi Bob').waitFor();
    await receipt(alice, 'hi Bob', 'Seen').waitFor();
    await list(bob, 'People').click();
    await bob.evaluate(() => (location.hash = '#/chat/nobody'));
    for (const text of ['one', 'two']) await write(alice, text);
    await receipt(alice, 'two', 'Sent').waitFor();
    await list(bob, 'Chats 2').waitFor();
    await bob.waitForFunction(() => document.title === '(2) Stonechat');
    await row(bob, 'chat-rows', 'two').filter({ hasText: '2 unread' }).waitFor();
    await openChat(bob, alice);
    await receipt(alice, 'two', 'Seen').waitFor();
    await bob.waitForFunction(() => document.title === 'Stonechat');
    assert.deepEqual(await bob.locator('.message .content').allTextContents(), ['hi Bob', 'one', 'two']);

    await bob.goto('about:blank');
    await presence(alice, 'last seen just now').waitFor();
    await bob.goto(`${server.url}/`); // the tab has kept the login
    await bob.getByRole('button', { name: 'Your account' }).waitFor();
    await presence(alice, 'online').waitFor();
    await leave(alice, bob);
  });

  test('what somebody writes is text, whatever it looks like', async () => {
    const [alice, bob] = await chatters();
    const nasty = '<img src=x onerror="alert(1)"><b>bold</b> &amp; </span>\n  two lines';
    await write(alice, nasty);
    const shown = bubble(bob, 'two lines').locator('.content');
    await shown.waitFor();
    assert.equal(await shown.evaluate(node => node.textContent), nasty);
    assert.equal(await shown.evaluate(node => node.childElementCount), 0);
    await assert.rejects(bob.evaluate(() => (document.body.innerHTML += '<b>markup</b>')), /TrustedHTML/);
    bob.problems.length = 0; // of which the browser has told
    await leave(alice, bob);
  });

  test('a long chat is loaded as somebody scrolls up', async () => {
    const [alice, bob] = await friends(server, 'alice', 'bob');
    for (let i = 1; i <= 100; i++) await bob.send(alice, `message ${i}.`);
    const page = await enter(alice);
    await openChat(page, bob);
    await bubble(page, 'message 100.').waitFor();
    assert.equal(await bubble(page, 'message 1.').count(), 0);
    await until(async () => {
      await page.locator('#thread').evaluate(node => (node.scrollTop = 0));
      return (await bubble(page, 'message 1.').count()) > 0;
    }, 'the first message');
    const texts = await page.locator('.message .content').allTextContents();
    assert.deepEqual(texts, Array.from({ length: 100 }, (_, i) => `message ${i + 1}.`));
    await page.getByRole('button', { name: 'Newest' }).click();
    await page.waitForFunction(() => {
      const { scrollHeight, scrollTop, clientHeight } = document.getElementById('thread');
      return scrollHeight - scrollTop - clientHeight < 2;
    });
    await leave(page);
  });

  // Requests to a route wait until `pass` is called; `held` counts them.
  async function hold(page, url) {
    const gate = { held: 0 };
    const open = new Promise(resolve => (gate.pass = resolve));
    await page.route(url, async route => {
      gate.held++;
      await open;
      await route.fallback();
    });
    return gate;
  }

  test('a chat is loaded while another one still is, and again after a failure', async () => {
    const [alice, bob, carol] = await friends(server, 'alice', 'bob', 'carol');
    await Promise.all([bob.send(alice, 'by Bob'), carol.send(alice, 'by Carol')]);
    let gate, failures = 0;
    const page = await enter(alice, {}, async opened => {
      gate = await hold(opened, url => url.searchParams.get('withUserId') === bob.id);
      await opened.route(url => url.searchParams.get('withUserId') === carol.id, route => (failures++ > 0 ? route.continue()
        : route.fulfill({ status: 503, headers: { 'retry-after': '1' }, json: { code: 'UNAVAILABLE', message: 'Not now' } })));
    });
    await openChat(page, bob);
    await until(() => gate.held > 0, 'the request for the messages of one');
    await openChat(page, carol);
    await notice(page, 'Not now').waitFor();
    assert.equal(await page.getByText('Say hello').isVisible(), false);
    await bubble(page, 'by Carol').waitFor();
    gate.pass();
    await openChat(page, bob);
    await bubble(page, 'by Bob').waitFor();
    assert.deepEqual([gate.held, failures], [1, 2]);
    await leave(page);
  });

  const isChats = url => url.pathname === '/api/chats';

  // The server lists one chat at a time.
  const listOne = page => page.route(isChats, (route, request) => route.continue({ url: request.url().replace('limit=100', 'limit=1') }));

  test('a chat beyond those that are listed first is found, and stays with what is written in it', async () => {
    const [alice, bob, carol] = await friends(server, 'alice', 'bob', 'carol');
    await bob.send(alice, 'by Bob'); // and his is the newest chat
    const page = await enter(alice, {}, listOne);
    await row(page, 'chat-rows', bob.username).waitFor();
    await list(page, 'People').click();
    await page.getByRole('searchbox').fill(carol.username);
    await page.getByRole('button', { name: `Add ${carol.username}` }).click();
    await page.getByRole('button', { name: `Message ${carol.username}` }).waitFor();

    await page.reload();
    await page.evaluate(id => (location.hash = `#/chat/${id}`), carol.id);
    await page.getByRole('heading', { name: carol.username }).waitFor();
    await page.getByLabel('Message', { exact: true }).fill('not sent yet');
    const stranger = await Client.register(server, 'erin');
    await befriend(stranger, { id: alice.id, do: (...args) => alice.do(...args) });
    await stranger.send(alice, 'by Erin'); // for which the chats are loaded again
    await row(page, 'chat-rows', 'by Erin').waitFor();
    assert.equal(await page.getByLabel('Message', { exact: true }).inputValue(), 'not sent yet');
    await page.getByRole('heading', { name: carol.username }).waitFor();
    await page.reload();
    await page.getByRole('heading', { name: carol.username }).waitFor();
    await leave(page);
  });

  // --- the network, and the login ---

  test('what happened while the network was away is there once it is back, in order', async () => {
    const [alice, bob] = await chatters();
    await write(alice, 'before');
    await bubble(bob, 'before').waitFor();
    await bob.context().setOffline(true);
    await bob.getByRole('status').filter({ hasText: 'You are offline' }).waitFor();
    await presence(alice, 'last seen').waitFor();
    for (const text of ['missed 1', 'missed 2']) await write(alice, text);
    await receipt(alice, 'missed 2', 'Sent').waitFor();
    for (const text of ['waiting 1', 'waiting 2']) await write(bob, text);
    await receipt(bob, 'waiting 2', 'Waiting to be sent').waitFor();
    await bob.context().setOffline(false);
    await receipt(alice, 'missed 2', 'Seen').waitFor();
    await receipt(bob, 'waiting 2', 'Seen').waitFor();
    await bob.getByText('You are offline').waitFor({ state: 'hidden' });
    await presence(alice, 'online').waitFor();
    const texts = ['before', 'missed 1', 'missed 2', 'waiting 1', 'waiting 2'];
    for (const page of [alice, bob]) assert.deepEqual(await page.locator('.message .content').allTextContents(), texts);
    await leave(alice, bob);
  });

  test('an acknowledgement that overtakes what the other side wrote leaves no hole', async () => {
    const isMessage = frame => `${frame}`.includes('["private-message"');
    const held = [];
    let isHolding = false, pass;
    const [alice, bob] = await chatters({}, {}, { prepare: page => page.routeWebSocket(/socket\.io/, route => {
      pass = frame => route.send(frame);
      const upstream = route.connectToServer();
      upstream.onMessage(frame => (isHolding && isMessage(frame) ? held.push(frame) : pass(frame)));
    }) });
    isHolding = true;
    for (const text of ['one', 'two']) await write(alice, text);
    await until(() => held.length === 2, 'two events');
    await write(bob, 'three');
    await receipt(bob, 'three', 'Seen').waitFor();
    for (const frame of held) pass(frame);
    await receipt(alice, 'two', 'Seen').waitFor();
    for (const page of [alice, bob]) {
      assert.deepEqual(await page.locator('.message .content').allTextContents(), ['one', 'two', 'three']);
      await list(page, /^Chats$/).waitFor();
    }
    await leave(alice, bob);
  });

  test('what the server cannot tell any more, since it was away for too long, is loaded afresh', async () => {
    const own = await startServer({ env: graceless });
    try {
      const [alice, bob] = await chatters({}, {}, { where: own });
      await write(alice, 'before');
      await receipt(alice, 'before', 'Seen').waitFor();
      await own.stop();
      await bob.getByRole('status').filter({ hasText: 'The connection is lost' }).waitFor();
      await own.query(`SELECT send_message('${alice.username}', '${bob.username}', 'by SQL ' || i)
        FROM generate_series(1, 3) i`);
      await own.query(`SELECT prune_events('{0}', '{1000000}')`);
      await own.restart();
      await bubble(bob, 'by SQL 3').waitFor();
      const texts = ['before', 'by SQL 1', 'by SQL 2', 'by SQL 3'];
      assert.deepEqual(await bob.locator('.message .content').allTextContents(), texts);
      await receipt(alice, 'by SQL 3', 'Seen').waitFor();
      await leave(alice, bob);
    } finally {
      await own.stop();
    }
  });

  test('two factors: set up by a QR code, asked for at login, replaced by a recovery code, turned off', async () => {
    const page = await register(await visit(), 'alice');
    const account = page.getByRole('dialog', { name: page.username });
    await page.getByRole('button', { name: 'Your account' }).click();
    await account.getByRole('button', { name: 'Set up' }).click();
    await page.waitForFunction(() => document.getElementById('factors-qr').naturalWidth > 0);
    const secret = (await page.locator('#factors-secret').textContent()).replaceAll(' ', '');
    await account.getByLabel('Code of the app').fill('not a code');
    await account.getByRole('button', { name: 'Turn on' }).click();
    await account.getByRole('alert').filter({ hasText: 'Invalid one-time password' }).waitFor();
    await account.getByLabel('Code of the app').fill(codeOf(secret));
    await account.getByRole('button', { name: 'Turn on' }).click();
    await account.getByText('Keep them somewhere safe').waitFor();
    const codes = await page.locator('#recovery-codes li').allTextContents();
    assert.equal(codes.length, 10);
    await account.getByRole('button', { name: 'I have kept them' }).click();
    await account.getByRole('button', { name: 'Log out', exact: true }).click();

    await logIn(page, page.username);
    await page.getByLabel('recovery code').waitFor();
    await logIn(page, page.username, { otp: codes[0] });
    await page.getByRole('button', { name: 'Your account' }).waitFor();
    await logOut(page);
    await logIn(page, page.username);
    await logIn(page, page.username, { otp: codes[0] });
    await page.getByRole('alert').filter({ hasText: 'Invalid one-time password' }).waitFor();
    await logIn(page, page.username, { otp: codeOf(secret, 1) });

    await page.getByRole('button', { name: 'Your account' }).click();
    await account.getByRole('button', { name: 'Set up' }).click();
    await account.getByLabel('Code', { exact: true }).fill(codes[1]);
    await account.getByRole('button', { name: 'Turn off' }).click();
    await account.getByRole('button', { name: 'Set up' }).waitFor();
    await account.getByRole('button', { name: 'Close' }).click();
    await logOut(page);
    await logIn(page, page.username);
    await page.getByRole('button', { name: 'Your account' }).waitFor();
    await leave(page);
  });

  test('a login that is ended elsewhere is over here, and says so', async () => {
    const [here, there] = await Promise.all([visit(), visit()]);
    await register(here, 'alice');
    await logIn(there, here.username);
    await there.getByRole('button', { name: 'Your account' }).click();
    await there.getByRole('button', { name: 'End' }).click();
    await notice(here, 'This login has ended').waitFor();
    await here.getByLabel('User name').waitFor();
    await there.getByRole('button', { name: 'Log out everywhere' }).click();
    await there.getByLabel('User name').waitFor();
    assert.equal(await there.evaluate(() => sessionStorage.length), 0);
    await leave(here, there);
  });

  test('a duplicated tab leaves the login to the first one', async () => {
    const page = await register(await visit(), 'alice');
    const opened = page.context().waitForEvent('page');
    await page.evaluate(() => void window.open('/')); // which copies what the tab keeps
    const copy = await opened;
    await copy.locator('#announcer').filter({ hasText: 'This tab is a copy' }).waitFor({ state: 'attached' });
    await copy.getByLabel('User name').waitFor();
    assert.equal(await copy.evaluate(() => sessionStorage.length), 0);
    await page.reload();
    await page.getByRole('button', { name: 'Your account' }).waitFor();
    await logIn(copy, page.username);
    await copy.getByRole('button', { name: 'Your account' }).waitFor();
    await copy.close();
    await list(page, 'People').click();
    await page.getByRole('searchbox').fill('nobody_is_called_so');
    await page.getByText('Nobody has a name').waitFor();
    await leave(page);
  });

  test('what comes after a logout is not shown to whoever logs in next', async () => {
    const [alice, , carol] = [...await friends(server, 'alice', 'bob'), await Client.register(server, 'carol')];
    let pass, hasCome = false;
    const open = new Promise(resolve => (pass = resolve));
    const page = await enter(alice, {}, opened => opened.route(isChats, async route => {
      const response = await route.fetch();
      hasCome = true;
      await open;
      await route.fulfill({ response });
    }, { times: 1 }));
    const isAlices = response => response.request().headers().authorization === `Bearer ${alice.token}`;
    const chatsOf = isWanted => page.waitForResponse(one => isChats(new URL(one.url())) && isWanted(one));
    await until(() => hasCome, 'a reply');
    await logOut(page);
    const [carols, alices] = [chatsOf(one => !isAlices(one)), chatsOf(isAlices)];
    await logIn(page, carol.username);
    await (await carols).finished();
    pass();
    await (await alices).finished();
    await page.evaluate(async () => (await fetch('/health')).json()); // after which the reply has been read too
    assert.equal(await page.locator('#chat-rows li').count(), 0);
    assert.equal(await page.locator('.notice').count(), 0);
    await leave(page);
  });

  test('who logs out while a token is replaced is told of no failure', async () => {
    const page = await register(await visit(), 'alice');
    const data = { token: 'new', refreshToken: 'new', expiresIn: 60, user: {} };
    await page.route('**/api/auth/refresh', route => route.fulfill({ json: { success: true, data } }));
    await page.route('**/api/users?*', route => route.fulfill({ status: 401, json: { code: 'UNAUTHORIZED', message: 'Expired' } }));
    const gate = await hold(page, '**/api/auth/refresh');
    await list(page, 'People').click();
    await page.getByRole('searchbox').fill('bob');
    await until(() => gate.held > 0, 'the refresh');
    await logOut(page);
    const reply = page.waitForResponse('**/api/auth/refresh');
    gate.pass();
    await (await reply).finished();
    await page.evaluate(async () => (await fetch('/health')).json()); // after which the reply has been read too
    assert.deepEqual(await page.locator('.notice').allTextContents(), []);
    await leave(page);
  });

  test('a token is replaced before it expires, and the socket lives on', async () => {
    const own = await startServer({ env: { JWT_EXPIRES_IN: '9s' } });
    try {
      const page = await openPage(browser);
      let refreshed = 0, sockets = 0;
      page.on('response', response => (refreshed += response.url().endsWith('/api/auth/refresh') && response.ok()));
      page.on('websocket', () => sockets++);
      await page.goto(`${own.url}/`);
      await register(page, 'alice');
      await until(() => refreshed >= 2, 'a second refresh', 60_000); // so that the first token has expired
      const friend = await Client.register(own, 'bob');
      const { id } = (await friend.read('/api/users', { search: page.username }))[0];
      await friend.do('/api/contacts/request', { targetId: id });
      await list(page, 'People 1').waitFor();
      assert.equal(sockets, 1);
      await leave(page);
    } finally {
      await own.stop();
    }
  });

  test('whoever is too quick is told how long to wait', async () => {
    const own = await startServer({ env: { RATE_LIMIT_DISABLED: '0', RATE_LIMITS: 'logins=1/10m,messages=2/10m' } });
    try {
      const page = await visit({}, own);
      await logIn(page, 'nobody_at_all');
      await page.getByRole('alert').filter({ hasText: 'Invalid credentials' }).waitFor();
      await logIn(page, 'nobody_at_all');
      await page.getByRole('alert').filter({ hasText: /Try again in (10|9) min/ }).waitFor();
      await leave(page);
    } finally {
      await own.stop();
    }
  });

  // --- calls ---

  // A picture comes that moves, and sound.
  const hearsAndSees = page => page.waitForFunction(() => {
    const video = document.getElementById('call-remote');
    const [sound] = video.srcObject?.getAudioTracks() ?? [];
    return video.videoWidth > 0 && video.getVideoPlaybackQuality().totalVideoFrames > 5 && sound?.muted === false &&
      getComputedStyle(video).opacity === '1';
  });
  const call = page => page.getByRole('dialog').filter({ has: page.locator('#call-status') });

  test('a video call: ring, accept, see and hear each other, camera and microphone off and on, hang up', async () => {
    const [alice, bob] = await chatters();
    await alice.getByRole('button', { name: 'Video call' }).click();
    await call(bob).getByText('Video call').waitFor();
    await bob.waitForFunction(name => document.title === `${name} is calling`, alice.username);
    await call(alice).getByText('Ringing').waitFor();
    await call(bob).getByRole('button', { name: 'With camera' }).click();
    await Promise.all([hearsAndSees(alice), hearsAndSees(bob)]);

    await call(bob).getByRole('button', { name: 'Camera' }).click();
    await call(bob).getByRole('button', { name: 'Microphone' }).click();
    await call(alice).getByText('Camera off').waitFor();
    await call(alice).getByText('Muted').waitFor();
    await call(bob).getByRole('button', { name: 'Camera' }).click();
    await call(bob).getByRole('button', { name: 'Microphone' }).click();
    await call(alice).getByText('Muted').waitFor({ state: 'hidden' });
    await hearsAndSees(alice);
    await alice.keyboard.press('Escape'); // ends nothing
    await hearsAndSees(alice);

    await call(alice).getByRole('button', { name: 'Hang up' }).click();
    await notice(bob, 'The call is over').waitFor();
    for (const page of [alice, bob]) {
      await call(page).waitFor({ state: 'hidden' });
      await list(page, 'Calls').click();
    }
    await row(alice, 'call-rows', bob.username).getByRole('img', { name: 'Outgoing' }).waitFor();
    await row(bob, 'call-rows', alice.username).getByRole('img', { name: 'Incoming' }).waitFor();
    assert.equal(await server.query(`SELECT c.status FROM calls c JOIN users u ON u.id = c.caller_id
      WHERE u.username = '${alice.username}'`), 'ended');
    await leave(alice, bob);
  });

  test('a voice call gets a picture when a camera is turned on; others are declined, given up, or find somebody busy', async () => {
    const [alice, bob] = await chatters({}, phone);
    await alice.getByRole('button', { name: 'Voice call' }).click();
    await call(bob).getByRole('button', { name: 'Decline' }).click();
    await notice(alice, `${bob.username} has declined`).waitFor();

    await bob.getByRole('button', { name: 'Voice call' }).click();
    await call(alice).getByText('Voice call').waitFor();
    await call(bob).getByText('Ringing').waitFor();
    await call(bob).getByRole('button', { name: 'Hang up' }).click();
    await notice(alice, `You missed a call from ${bob.username}`).waitFor();

    await bob.getByRole('button', { name: 'Voice call' }).click();
    await call(alice).getByRole('button', { name: 'Accept' }).click();
    for (const page of [alice, bob]) await call(page).getByText('Camera off').waitFor();
    const carol = await Client.register(server, 'carol');
    const { id } = (await carol.read('/api/users', { search: alice.username }))[0];
    await befriend(carol, { id, do: (...args) => asUser(alice, ...args) });
    const device = await carol.connect();
    assert.equal((await device.ask('call-user', { calleeId: id })).code, 'BUSY');
    await call(bob).getByRole('button', { name: 'Camera' }).click();
    await hearsAndSees(alice);
    await call(bob).getByRole('button', { name: 'Hang up' }).click();
    await notice(alice, 'The call is over').waitFor();
    await leave(alice, bob);
  });

  test('whoever calls before his chat is loaded is not declined, and gets his name', async () => {
    const [alice, bob, carol] = await friends(server, 'alice', 'bob', 'carol');
    await bob.send(alice, 'by Bob');
    let gate;
    const page = await enter(alice, {}, async opened => {
      await listOne(opened);
      gate = await hold(opened, isChats);
    });
    await until(async () => (await carol.chat(alice)).user.online && gate.held > 0, 'the connection');
    const device = await carol.connect();
    const { callId } = await device.done('call-user', { calleeId: alice.id, signal: {} });
    await call(page).getByRole('heading', { name: 'Somebody' }).waitFor();
    gate.pass();
    await call(page).getByRole('heading', { name: carol.username }).waitFor();
    await call(page).getByRole('button', { name: 'Decline' }).click();
    assert.equal((await device.next('end-call')).callId, callId);
    await call(page).waitFor({ state: 'hidden' });
    await leave(page);
  });

  test('a device that takes a call too late does not end it', async () => {
    const [alice, bob] = await friends(server, 'alice', 'bob');
    const [caller, other] = await Promise.all([bob.connect(), alice.connect()]);
    const page = await enter(alice, {}, opened => opened.routeWebSocket(/socket\.io/, route => {
      const upstream = route.connectToServer();
      upstream.onMessage(frame => `${frame}`.includes('["end-call"') || route.send(frame));
    }));
    await openChat(page, bob);
    const signal = await page.evaluate(async () => {
      const peer = new RTCPeerConnection();
      peer.addTransceiver('audio');
      const { type, sdp } = await peer.createOffer();
      return { type, sdp };
    });
    const { callId } = await caller.done('call-user', { calleeId: alice.id, signal });
    await call(page).getByText('Voice call').waitFor();
    await other.done('answer-call', { callId, callerId: bob.id, calleeId: alice.id, signal: {} });
    await call(page).getByRole('button', { name: 'Accept' }).click();
    await notice(page, 'does not ring any more').waitFor();
    await call(page).waitFor({ state: 'hidden' });
    await write(page, 'after it');
    await caller.next('private-message');
    assert.equal(await server.query(`SELECT status FROM calls WHERE id = '${callId}'`), 'ongoing');
    await leave(page);
  });

  test('a login that ends in a call ends the call', async () => {
    const [alice, bob] = await friends(server, 'alice', 'bob');
    const [caller, page] = await Promise.all([bob.connect(), enter(alice)]);
    await openChat(page, bob);
    const { callId } = await caller.done('call-user', { calleeId: alice.id, signal: {} });
    await call(page).getByText('Voice call').waitFor();
    await page.evaluate(async () => (await import('/web/login.js')).forgetLogin('It is over.'));
    const { status } = await caller.next('end-call', end => end.callId === callId);
    assert.equal(status, 'rejected');
    await notice(page, 'It is over').waitFor();
    await page.getByLabel('User name').waitFor();
    await leave(page);
  });

  // What the page's user does without the page.
  const asUser = (page, pathname, body) => page.evaluate(async ([url, data]) => {
    const { token } = JSON.parse(sessionStorage.getItem('stonechat.login'));
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
    const response = await fetch(url, { method: 'POST', headers, body: JSON.stringify(data) });
    if (!response.ok) throw new Error(await response.text());
  }, [pathname, body]);

  // --- for everybody ---

  test('it fits a narrow phone, and its back button leads to the list', async () => {
    const [alice, bob] = await chatters(phone, { ...phone, colorScheme: 'dark' });
    await write(alice, `a word without an end: ${'x'.repeat(300)}`);
    await bubble(bob, 'without an end').waitFor();
    const fits = async page => assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 360);
    await fits(bob);
    await bob.getByRole('link', { name: 'Back' }).click();
    await bob.locator('#chat').waitFor({ state: 'hidden' });
    for (const name of ['Chats', 'People', 'Calls']) {
      await list(bob, name).click();
      await fits(bob);
    }
    const carol = await Client.register(server, 'carol');
    const { id } = (await carol.read('/api/users', { search: bob.username }))[0];
    await carol.do('/api/contacts/request', { targetId: id });
    const box = await notice(bob, carol.username).boundingBox();
    const tabs = await bob.getByRole('navigation').boundingBox();
    const composer = await alice.locator('#composer').boundingBox();
    assert.ok(box.y > tabs.y + tabs.height && box.y + box.height < composer.y, JSON.stringify([tabs, box, composer]));
    await write(alice, 'not read yet');
    await list(bob, 'Chats 1').waitFor();
    assert.equal(await receipt(alice, 'not read yet', 'Sent').count(), 1);
    await bob.getByRole('button', { name: 'Your account' }).click();
    await bob.locator('#login-rows li').waitFor();
    await fits(bob);
    assert.notEqual(...await Promise.all([alice, bob].map(page => page.evaluate(() => getComputedStyle(document.body).backgroundColor))));
    await leave(alice, bob);
  });

  test('a keyboard is enough', async () => {
    const [alice, bob] = await chatters();
    await logOut(alice);
    await alice.waitForFunction(() => document.activeElement.id === 'username');
    await alice.keyboard.type(alice.username);
    await alice.keyboard.press('Tab');
    await alice.keyboard.type(password);
    await alice.keyboard.press('Enter');
    const chat = row(alice, 'chat-rows', bob.username).getByRole('link');
    await chat.waitFor();
    await until(async () => {
      await alice.keyboard.press('Tab');
      return chat.evaluate(node => node === document.activeElement && getComputedStyle(node).outlineStyle === 'solid');
    }, 'the chat by Tab');
    await alice.keyboard.press('Enter');
    await alice.waitForFunction(() => document.activeElement.id === 'content');
    await alice.keyboard.type('first line');
    await alice.keyboard.press('Shift+Enter');
    await alice.keyboard.type('second line');
    await alice.keyboard.press('Enter');
    await bubble(bob, 'second line').waitFor();
    assert.equal(await bubble(bob, 'second line').locator('.content').textContent(), 'first line\nsecond line');
    await until(async () => await bob.locator('#announcer').textContent() === `${alice.username}: first line\nsecond line`,
      'what a screen reader says');
    await leave(alice, bob);
  });

  // The texts of a page that assistive technology gets.
  async function heard(page) {
    const session = await page.context().newCDPSession(page);
    const { nodes } = await session.send('Accessibility.getFullAXTree');
    await session.detach();
    return nodes.filter(node => !node.ignored && node.role.value === 'StaticText').map(node => node.name.value);
  }

  test('a notice is heard, and can be dismissed, in front of a dialog too', async () => {
    const bob = await Client.register(server, 'bob');
    const page = await enter(bob, {}, opened => opened.addInitScript(() => {
      const { setTimeout } = window; // no notice goes by itself
      window.setTimeout = (run, ms, ...rest) => setTimeout(run, ms === 5_000 ? 1e9 : ms, ...rest);
    }));
    await page.locator('#no-chats').waitFor(); // it is connected
    const noticed = async () => {
      const other = await Client.register(server, 'carol');
      await other.do('/api/contacts/request', { targetId: bob.id });
      const shown = notice(page, other.username);
      await shown.waitFor();
      await until(async () => (await heard(page)).filter(text => text.startsWith(`${other.username} would`)).length === 2,
        'the notice, and what is said of it');
      await shown.getByRole('button', { name: 'Dismiss' }).press('Enter');
      await shown.waitFor({ state: 'detached' });
    };
    await noticed();
    await page.getByRole('button', { name: 'Your account' }).click();
    await page.locator('#login-rows li').waitFor();
    await noticed();
    await page.getByRole('button', { name: 'Close' }).click();
    await page.locator('#account').waitFor({ state: 'hidden' });
    await noticed();
    await leave(page);
  });
});
