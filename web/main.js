// The page: who is logged in, which list and which chat are shown, and whether the server can be reached.
//
// login.js, api.js and socket.js speak to the server, and could be anybody's. store.js has what is known, outbox.js
// what is being sent, call.js the call. The views show it and ask for more: signin, chats, people, calls, conversation,
// callview, account.

import { startAccount } from './account.js';
import { hangUp, sendEndings } from './call.js';
import { startCalls } from './calls.js';
import { startCallView } from './callview.js';
import { startChats } from './chats.js';
import { startConversation } from './conversation.js';
import { $, partsOf, setAvatar, setText } from './dom.js';
import { login, onLogin } from './login.js';
import { notify, notifyFailure, startNotices } from './notices.js';
import { sendWaiting } from './outbox.js';
import { startPeople } from './people.js';
import { startSignIn } from './signin.js';
import { connect, disconnect } from './socket.js';
import { changed, findChat, forgetAll, loadAll, loadChats, openChat, state, unreadTotal, watch } from './store.js';

// --- #/chats, #/people, #/calls, and #/chat/<user id> ---

function readRoute() {
  const [, name, userId] = location.hash.split('/');
  state.isChatInFront = name === 'chat';
  state.tab = ['people', 'calls'].includes(name) ? name : 'chats';
  if (name === 'chat') state.userId = userId; // beside another list it stays open
  if (name === 'chat' && state.connection === 'online') loadOpenChat();
  changed();
}

// The chat that is open may not be among the newest.
async function loadOpenChat() {
  if (state.userId === null || openChat()) return;
  await findChat(state.userId).catch(notifyFailure);
}

function renderRoute() {
  const wasInChat = $('app').classList.contains('in-chat');
  const isInChat = $('app').classList.toggle('in-chat', state.isChatInFront && openChat() !== undefined);
  if (wasInChat && !isInChat && !$('chat').checkVisibility()) $('chat-rows').querySelector('[aria-current]')?.focus();
  for (const link of document.querySelectorAll('.tabs a')) {
    const isCurrent = link.dataset.tab === state.tab;
    if (isCurrent) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
    $(`tab-${link.dataset.tab}`).hidden = !isCurrent;
  }
}

function renderBadge(badge, count) {
  badge.hidden = count === 0;
  setText(badge, `${count}`);
}

function renderTotals() {
  renderBadge($('unread-total'), unreadTotal());
  renderBadge($('requests-total'), state.requests.received.length);
  if (document.title !== titleOf(state)) document.title = titleOf(state);
}

function titleOf({ call }) {
  if (call?.phase === 'ringing') return `${call.user.username} is calling`;
  return unreadTotal() > 0 ? `(${unreadTotal()}) Stonechat` : 'Stonechat';
}

// --- the connection ---

const bannerMs = 400;
let bannerTimer;

// A connection that comes back at once needs no words.
function renderBanner() {
  clearTimeout(bannerTimer);
  if (state.connection === 'lost') bannerTimer = setTimeout(showBanner, bannerMs);
  else $('banner').hidden = true;
}

function showBanner() {
  const what = navigator.onLine ? 'The connection is lost. Reconnecting…' : 'You are offline.';
  setText($('banner'), `${what} What you write will be sent later.`);
  $('banner').hidden = false;
}

async function onConnection(isConnected, hasRecovered) {
  state.connection = isConnected ? 'online' : 'lost';
  renderBanner();
  changed();
  if (!isConnected) return;
  sendWaiting();
  sendEndings();
  try {
    await (hasRecovered ? loadChats() : loadAll()); // who is online is not kept, and so not among what was missed
    await loadOpenChat();
  } catch (failure) {
    if (login() !== null) notifyFailure(failure);
  }
}

// --- coming and going ---

let user = null; // for whom the page is shown

function renderLogin(now, why) {
  if (now?.user.id === user?.id) return; // a fresh token
  user = now?.user ?? null;
  $('signin').hidden = user !== null;
  $('app').hidden = user === null;
  hangUp(); // while the server can be told
  disconnect();
  if (user === null) return leave(why);
  const { avatar, name } = partsOf($('me'));
  setAvatar(avatar, user);
  setText(name, user.username);
  connect(onConnection);
}

function leave(why) {
  for (const dialog of document.querySelectorAll('dialog[open]')) dialog.close();
  forgetAll();
  renderBanner();
  history.replaceState(null, '', location.pathname);
  readRoute();
  if (why) notify(why);
}

watch(renderRoute);
watch(renderTotals);
const starts = [
  startNotices, startSignIn, startChats, startPeople, startCalls, startConversation, startAccount, startCallView,
];
for (const start of starts) start();
addEventListener('hashchange', readRoute);
for (const event of ['online', 'offline']) addEventListener(event, renderBanner);
addEventListener('pagehide', () => hangUp());
onLogin(renderLogin);
readRoute();
renderLogin(login());
$('signin').hidden = user !== null;
