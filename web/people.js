// Finding people, and friend requests.

import { get, post } from './api.js';
import { $, clone, element, setAvatar, setText, showList } from './dom.js';
import { onLogin } from './login.js';
import { act, notify, notifyFailure } from './notices.js';
import { on } from './socket.js';
import { changed, chatWith, findChat, loadChats, loadRequests, state, watch } from './store.js';
import { presence } from './text.js';

const pauseMs = 250; // after the last key
let found = null; // those whom the last search has found; null: nothing was searched
let searchTimer;

// --- what can be done about somebody: [what the button says, what it does] ---

const asSender = ({ from }) => from.id;
const asReceiver = ({ to }) => to.id;

async function request(user) {
  try {
    await post('/api/contacts/request', { targetId: user.id });
  } catch (failure) {
    if (failure.code === 'CONFLICT') await findChat(user.id); // a contact, or one whose request is there already
    throw failure;
  } finally {
    await loadRequests();
  }
}

async function accept(user) {
  await post('/api/contacts/accept', { requesterId: user.id });
  await Promise.all([loadChats(), loadRequests()]);
  location.hash = `#/chat/${user.id}`;
}

async function decline(user) {
  await post('/api/contacts/reject', { requesterId: user.id });
  await loadRequests();
}

function actionsFor(user) {
  const { received, sent } = state.requests;
  if (chatWith(user.id)) return [['Message', () => (location.hash = `#/chat/${user.id}`)]];
  if (received.some(one => asSender(one) === user.id)) return [['Accept', accept], ['Decline', decline]];
  if (sent.some(one => asReceiver(one) === user.id)) return [];
  return [['Add', request]];
}

function relationTo(user) {
  const { received, sent } = state.requests;
  if (received.some(one => asSender(one) === user.id)) return 'would like to be your friend';
  if (sent.some(one => asReceiver(one) === user.id)) return 'request sent';
  return presence(user);
}

// --- rows ---

function actionButton(user, [label, action]) {
  const button = element('button', { textContent: label, className: label === 'Decline' ? 'quiet' : 'primary' });
  button.setAttribute('aria-label', `${label} ${user.username}`);
  button.addEventListener('click', () => act(button, () => action(user)));
  return button;
}

function update(row, user) {
  setAvatar(row.avatar, user);
  setText(row.name, user.username);
  setText(row.detail, relationTo(user));
  const actions = actionsFor(user);
  const labels = actions.map(([label]) => label).join();
  if (row.labels === labels) return;
  row.labels = labels;
  row.actions.replaceChildren(...actions.map(action => actionButton(user, action)));
}

function showPeople(name, users) {
  showList($(`${name}-rows`), users, { key: user => user.id, create: () => clone('person-row'), update });
}

function render() {
  const { received, sent } = state.requests;
  showPeople('found', found ?? []);
  showPeople('received', received.map(({ from }) => from));
  showPeople('sent', sent.map(({ to }) => to));
  $('received-title').hidden = received.length === 0;
  $('sent-title').hidden = sent.length === 0;
  setText($('nobody-found'), found?.length === 0 ? 'Nobody has a name that begins like this.' : '');
}

// --- searching ---

async function search() {
  const text = $('search').value.trim();
  const { data } = text === '' ? { data: null } : await get('/api/users', { search: text });
  if (text !== $('search').value.trim()) return; // somebody went on typing, and the next reply follows
  found = data;
  changed();
}

const searchNow = () => search().catch(notifyFailure);

function searchSoon() {
  clearTimeout(searchTimer);
  searchTimer = setTimeout(searchNow, pauseMs);
}

export function startPeople() {
  $('search').addEventListener('input', searchSoon);
  $('search-form').addEventListener('submit', event => {
    event.preventDefault();
    searchNow();
  });
  onLogin(now => {
    if (now === null) [found, $('search').value] = [null, ''];
  });
  on('friend_request_received', ({ senderName }) => notify(`${senderName} would like to be your friend.`));
  on('friend_request_accepted', ({ accepterName }) => notify(`${accepterName} is your friend now.`));
  on('friend_request_rejected', ({ rejecterName }) => notify(`${rejecterName} has declined your friend request.`));
  watch(render);
}
