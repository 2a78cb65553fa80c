// What the page knows, and what changes it: replies of the API, and events of the socket. The views watch it.

import { get } from './api.js';
import { login } from './login.js';
import { on } from './socket.js';

const chatsAtOnce = 100;
const messagesAtOnce = 40;
const typingMs = 6_000; // longer than the other side takes to say it again

const nothing = () => ({
  userId: null, // with whom the chat is open
  connection: 'connecting', // online, or lost
  chats: [], // the newest first; see chatOf
  chatsCursor: null, // for more of them
  requests: { received: [], sent: [] },
  calls: [],
  call: null, // see call.js
  endings: [], // of calls, that the server could not be told: [call id, status]
});

export const state = {
  tab: 'chats', // which list is shown: chats, people, calls
  isChatInFront: false, // on a phone: the chat, not the list
  ...nothing(),
};

/** Forgets everything that belonged to a login. */
export function forgetAll() {
  Object.assign(state, nothing());
  changed();
}

// --- watching ---

const watchers = [];
let isPlanned = false;

/** `render` is called soon after something has changed. */
export function watch(render) {
  watchers.push(render);
}

/** To be called by whoever changes the state; the views are told once, however many changes there were in this turn. */
export function changed() {
  if (isPlanned) return;
  isPlanned = true;
  queueMicrotask(() => {
    isPlanned = false;
    for (const render of watchers) render();
  });
}

// --- chats ---

// The server's chat, and what we know besides.
function chatOf({ chatId, user, latestMessage, unreadCount }) {
  return {
    chatId, user, latestMessage, unreadCount,
    countedSeq: seqOf(latestMessage), // messages up to here are in unreadCount
    readSeq: 0, // those up to here we have marked read
    messages: [], isLoaded: false, isLoading: false, hasOlder: false, // the newest ones, and those that were scrolled to
    outbox: [], // what was written and not acknowledged; see outbox.js
    draft: '',
    typingTimer: null, // while the other side types
  };
}

const seqOf = message => message?.seq ?? 0;

export const chatWith = userId => state.chats.find(chat => chat.user.id === userId);
export const openChat = () => chatWith(state.userId);
export const isMine = message => message.senderId === login()?.user.id;
export const unreadTotal = () => state.chats.reduce((sum, chat) => sum + chat.unreadCount, 0);

// Events may have come while the server made its list: then we know better.
function merge(known, listed) {
  if (!known) return chatOf(listed);
  const seq = seqOf(listed.latestMessage);
  known.user = listed.user;
  if (seq >= seqOf(known.latestMessage)) {
    known.latestMessage = listed.latestMessage;
    known.unreadCount = seq > known.readSeq ? listed.unreadCount : 0;
    known.countedSeq = seq;
  }
  return known;
}

const isWaiting = ({ outbox }) => outbox.some(({ failure }) => failure === null);

/** Loads the chats afresh: the newest ones, and on until all that were there are, or are over. */
export async function loadChats() {
  const listed = new Map(); // by the other side's id
  let cursor;
  do {
    const { data, pagination } = await get('/api/chats', { limit: chatsAtOnce, ...(cursor && { cursor }) });
    for (const chat of data) listed.set(chat.user.id, chat);
    cursor = pagination.nextCursor;
  } while (cursor !== null && state.chats.some(({ user }) => !listed.has(user.id)));
  const unlisted = state.chats.filter(chat => !listed.has(chat.user.id) && isWaiting(chat)); // the server's reply ends it
  state.chats = [...[...listed.values()].map(chat => merge(chatWith(chat.user.id), chat)), ...unlisted];
  state.chatsCursor = cursor;
  changed();
}

export async function loadMoreChats() {
  const { data, pagination } = await get('/api/chats', { limit: chatsAtOnce, cursor: state.chatsCursor });
  state.chats.push(...data.filter(listed => !chatWith(listed.user.id)).map(chatOf));
  state.chatsCursor = pagination.nextCursor;
  changed();
}

/** Loads on until the chat with this user is there; gives it, or undefined when he is no contact. */
export async function findChat(userId) {
  if (!chatWith(userId)) await loadChats();
  while (!chatWith(userId) && state.chatsCursor !== null) await loadMoreChats();
  return chatWith(userId);
}

// --- messages: `seq` is 1, 2, 3… in each chat, so that a hole shows ---

async function readMessages(chat, range) {
  const { data } = await get('/api/messages', { withUserId: chat.user.id, limit: messagesAtOnce, ...range });
  return data;
}

function addMessages(chat, messages) {
  const bySeq = new Map([...chat.messages, ...messages].map(message => [message.seq, message]));
  chat.messages = [...bySeq.values()].sort((a, b) => a.seq - b.seq);
  changed();
}

/** Loads the newest messages of a chat. Where too many were missed, what is older can be loaded again. */
export async function loadMessages(chat) {
  const { messages, pagination } = await readMessages(chat);
  if (seqOf(messages[0]) > seqOf(chat.messages.at(-1)) + 1) chat.messages = [];
  addMessages(chat, messages);
  if (chat.messages[0]?.seq === pagination.before) chat.hasOlder = pagination.hasPrevious;
  chat.isLoaded = true;
}

export async function loadOlderMessages(chat) {
  const { messages, pagination } = await readMessages(chat, { before: chat.messages[0].seq });
  addMessages(chat, messages);
  chat.hasOlder = pagination.hasPrevious;
}

// What we send ourselves may be acknowledged before all that was missed has come.
async function fillHoles(chat) {
  const before = chat.messages.find(({ seq }, i) => seq + 1 < chat.messages[i + 1]?.seq);
  if (!before) return;
  const { messages } = await readMessages(chat, { after: before.seq });
  addMessages(chat, messages);
  if (messages.length > 0) await fillHoles(chat);
}

/** A message that is new, or that we have sent ourselves: it is in the chat once, however often it comes. */
export function addMessage(message) {
  const chat = state.chats.find(({ chatId }) => chatId === message.chatId);
  if (!chat) return void loadChats().catch(() => {}); // of a new contact
  if (chat.isLoaded || chat.isLoading) {
    addMessages(chat, [message]);
    fillHoles(chat).catch(() => {}); // the next message tries again
  }
  if (message.seq > seqOf(chat.latestMessage)) {
    chat.latestMessage = message;
    state.chats = [chat, ...state.chats.filter(other => other !== chat)];
  }
  if (!isMine(message)) {
    if (message.seq > chat.countedSeq) chat.unreadCount++;
    chat.countedSeq = Math.max(chat.countedSeq, message.seq);
    stopTyping(chat);
  }
  changed();
}

// Somebody has read this chat up to `seq`: the other side, or we ourselves, on another device.
function markRead({ chatId, seq, readerId }) {
  const chat = state.chats.find(known => known.chatId === chatId);
  if (!chat) return;
  if (readerId === login().user.id) {
    chat.readSeq = Math.max(chat.readSeq, seq);
    const isAll = seq >= seqOf(chat.latestMessage);
    chat.unreadCount = isAll ? 0 : Math.min(chat.unreadCount, seqOf(chat.latestMessage) - seq);
  } else {
    for (const message of [...chat.messages, chat.latestMessage]) {
      if (message && message.seq <= seq && isMine(message)) message.seen = true;
    }
  }
  changed();
}

// --- who does what right now ---

function startTyping({ senderId }) {
  const chat = chatWith(senderId);
  if (!chat) return;
  clearTimeout(chat.typingTimer);
  chat.typingTimer = setTimeout(stopTyping, typingMs, chat);
  changed();
}

function stopTyping(chat) {
  if (!chat) return;
  clearTimeout(chat.typingTimer);
  chat.typingTimer = null;
  changed();
}

function setPresence(userId, presence) {
  const chat = chatWith(userId);
  if (!chat) return;
  Object.assign(chat.user, presence);
  if (!presence.online) stopTyping(chat);
  changed();
}

// --- friend requests and calls ---

export async function loadRequests() {
  const { data } = await get('/api/contacts/requests');
  state.requests = data;
  changed();
}

export async function loadCalls() {
  const { data } = await get('/api/calls', { limit: 50 });
  state.calls = data;
  changed();
}

/** Everything afresh; the messages of other chats once they are opened again. */
export async function loadAll() {
  for (const chat of state.chats) chat.isLoaded = false;
  await Promise.all([loadChats(), loadRequests(), loadCalls()]);
}

const reload = (...loads) => () => Promise.all(loads.map(load => load())).catch(() => {}); // the next one may succeed

on('private-message', addMessage);
on('message-seen', markRead);
on('message_read', markRead);
on('typing', startTyping);
on('stop_typing', ({ senderId }) => stopTyping(chatWith(senderId)));
on('user-online', ({ userId }) => setPresence(userId, { online: true }));
on('user-offline', ({ userId, lastSeen }) => setPresence(userId, { online: false, lastSeen }));
on('friend_request_received', reload(loadRequests));
on('friend_request_rejected', reload(loadRequests));
on('friend_request_accepted', reload(loadChats, loadRequests));
on('contact_added', reload(loadChats, loadRequests));
