// Makes docs/demo.png: Alice at her desk and Bob with his phone, chatting on the demo page.
//
//   node tests/support/with-services.mjs node tests/demo/picture.mjs

import path from 'node:path';

import { befriend, Client, password } from '../support/api.mjs';
import { openPage, startBrowser } from '../support/browser.mjs';
import { root, startServer } from '../support/server.mjs';

const desk = { viewport: { width: 820, height: 560 }, reducedMotion: 'reduce' };
const phone = { viewport: { width: 344, height: 560 }, isMobile: true, hasTouch: true, reducedMotion: 'reduce' };

async function register(server, username) {
  const client = new Client(server);
  Object.assign(client, await client.do('/api/auth/register', { username, password }));
  return client;
}

async function open(server, browser, client, options) {
  const page = await openPage(browser, options);
  await page.goto(`${server.url}/`);
  await page.getByLabel('User name').fill(client.username);
  await page.getByLabel('Password').fill(password);
  await page.getByRole('button', { name: 'Log in' }).click();
  await page.locator('#chat-rows li').first().waitFor();
  return page;
}

async function openChat(page, other) {
  await page.locator('#chat-rows li').filter({ hasText: other.username }).getByRole('link').click();
  await page.getByRole('heading', { name: other.username }).waitFor();
}

async function say(from, to, text) {
  await from.getByLabel('Message', { exact: true }).fill(text);
  await from.getByRole('button', { name: 'Send', exact: true }).click();
  await to.locator('.message').filter({ hasText: text }).waitFor();
}

const framed = (picture, width) =>
  `<img width="${width}" style="border-radius:12px;box-shadow:0 4px 18px #0004" src="data:image/png;base64,${picture.toString('base64')}">`;

const server = await startServer();
const browser = await startBrowser();
const [alice, bob, carol, dave] = await Promise.all(['alice', 'bob', 'carol', 'dave'].map(name => register(server, name)));
for (const friend of [bob, carol, dave]) await befriend(friend, alice);
await dave.send(alice, 'Thanks, see you on Sunday');
await carol.send(alice, 'Did you see the stonechats on the fence?');
const laptop = await open(server, browser, alice, desk);
await openChat(laptop, bob);
const mobile = await open(server, browser, bob, phone);
await openChat(mobile, alice);
await say(laptop, mobile, 'Are you on the train already?');
await say(mobile, laptop, 'Just got on. There is a tunnel ahead, so I may be gone for a while');
await say(laptop, mobile, 'Write on: what you miss comes when you are back, in order and once');
await say(mobile, laptop, 'And we are out again. Nothing lost.');
await mobile.getByLabel('Message', { exact: true }).pressSequentially('Shall I call you?');
await laptop.getByText('typing').first().waitFor();
const pictures = [await laptop.screenshot(), await mobile.screenshot()];
const sheet = await openPage(browser, { viewport: { width: 1236, height: 608 } });
await sheet.setContent(`<body style="margin:0;padding:24px;display:flex;gap:24px;background:#e5ddd3">
  ${framed(pictures[0], desk.viewport.width)}${framed(pictures[1], phone.viewport.width)}`);
await sheet.screenshot({ path: path.join(root, 'docs/demo.png') });
await browser.close();
await server.stop();
