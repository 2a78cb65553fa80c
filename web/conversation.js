// The chat that is open: its messages, who types, what is read, and writing.

import { post } from './api.js';
import { startCall } from './call.js';
import { $, announce, clone, setAvatar, setReceipt, setText, showList } from './dom.js';
import { act, notify, notifyFailure } from './notices.js';
import { sendAgain, sendMessage } from './outbox.js';
import { ask, isConnected, on, tell } from './socket.js';
import {
  changed, chatWith, isMine, loadChats, loadMessages, loadOlderMessages, openChat, state, watch,
} from './store.js';
import { clock, day, presence } from './text.js';

const typingPauseMs = 3_000; // how often the other side is told again, and how long a pause in typing may be
const nearEndPx = 80;
const retryMs = 3_000; // unless the server says when

let shownChat; // the chat on the screen
let wasInFront = false;
let oldestSeq; // of the messages on the screen
let isAtEnd = true; // the newest message is in sight, and has to stay there

// --- messages, and the days between them ---

function* rowsOf({ messages, outbox }) {
  let before;
  for (const message of [...messages, ...outbox]) {
    const isOwn = message.seq === undefined || isMine(message);
    const date = day(message.createdAt);
    const isFirst = date !== before?.date || isOwn !== before.isOwn;
    if (date !== before?.date) yield { key: date, date };
    yield { key: (isOwn && message.clientId) || message.id, message, isOwn, isFirst };
    before = { date, isOwn };
  }
}

function receiptOf({ seq, failure, seen }) {
  if (seq === undefined) return failure ? 'failed' : 'waiting';
  return seen ? 'seen' : 'sent';
}

function create({ date, message, isOwn }) {
  if (date) return clone('day');
  const row = clone('message');
  row.root.classList.toggle('own', isOwn);
  row.sender.textContent = isOwn ? 'You: ' : `${shownChat.user.username}: `;
  row.content.textContent = message.content;
  row.again.addEventListener('click', () => sendAgain(shownChat, message.clientId));
  return row;
}

function update(row, { date, message, isOwn, isFirst }) {
  if (date) return setText(row.day, date);
  row.root.classList.toggle('first', isFirst);
  row.root.classList.toggle('waiting', message.seq === undefined);
  row.time.dateTime = message.createdAt;
  setText(row.time, clock(message.createdAt));
  setReceipt(row.receipt, isOwn ? receiptOf(message) : null);
  row.failure.hidden = !message.failure;
  setText(row.reason, message.failure ?? '');
}

function showMessages(chat) {
  const thread = $('thread');
  const fromEnd = thread.scrollHeight - thread.scrollTop;
  const hasOlder = chat.messages[0]?.seq < oldestSeq;
  oldestSeq = chat.messages[0]?.seq;
  showList($('messages'), [...rowsOf(chat)], { key: row => row.key, create, update });
  if (isAtEnd) thread.scrollTop = thread.scrollHeight;
  else if (hasOlder) thread.scrollTop = thread.scrollHeight - fromEnd; // what was in sight stays there
}

// --- the whole ---

function renderHeader(chat) {
  setAvatar($('chat-avatar'), chat.user);
  setText($('chat-name'), chat.user.username);
  setText($('chat-presence'), chat.typingTimer ? 'typing…' : presence(chat.user));
  for (const id of ['call-voice', 'call-video']) $(id).disabled = state.connection !== 'online';
  $('chat-presence').classList.toggle('lively', chat.user.online === true);
}

function render() {
  const chat = openChat();
  $('chat').hidden = chat === undefined;
  $('no-chat').hidden = chat !== undefined;
  if (chat !== shownChat || (state.isChatInFront && !wasInFront)) show(chat);
  wasInFront = state.isChatInFront;
  if (chat === undefined) return;
  renderHeader(chat);
  $('older').hidden = !chat.hasOlder;
  $('no-messages').hidden = !chat.isLoaded || chat.messages.length + chat.outbox.length > 0;
  $('typing').hidden = !chat.typingTimer;
  setText($('typing-text'), `${chat.user.username} is typing`);
  showMessages(chat);
  load(chat);
  markRead(chat);
  $('latest').hidden = isAtEnd || !chat.isLoaded;
  setText($('latest-text'), chat.unreadCount > 0 ? `${chat.unreadCount} new` : 'Newest');
}

function show(chat) {
  if (shownChat) stopTyping();
  shownChat = chat;
  isAtEnd = true;
  showList($('messages'), [], { key: () => {} });
  $('content').value = chat?.draft ?? '';
  if (chat === undefined) return;
  fitContent();
  if (matchMedia('(pointer: fine)').matches) $('content').focus();
  else $('chat-name').focus();
}

// Once it is open, and again when the connection was away for too long to be told what was missed.
async function load(chat) {
  if (chat.isLoaded || chat.isLoading || state.connection !== 'online') return;
  chat.isLoading = true;
  try {
    await loadMessages(chat);
    chat.isLoading = false;
  } catch (failure) {
    notifyFailure(failure);
    if (failure.code === 'FORBIDDEN') loadChats().catch(() => {}); // a contact no more
    setTimeout(loadAgain, failure.retryAfter * 1000 || retryMs, chat);
  }
}

function loadAgain(chat) {
  chat.isLoading = false;
  changed();
}

let isMarking = false;

const isSeen = () => isAtEnd && $('thread').checkVisibility() && document.visibilityState === 'visible';

// Whoever looks at the newest message has read it, and all before.
async function markRead(chat) {
  const message = chat.messages.findLast(one => !isMine(one));
  const isUnread = chat.unreadCount > 0 && message?.seq > chat.readSeq;
  if (!isUnread || !isSeen() || !isConnected() || isMarking) return;
  isMarking = true;
  try {
    await ask('message-seen', { messageId: message.id });
    chat.readSeq = message.seq;
    if (message.seq >= chat.messages.findLast(one => !isMine(one)).seq) chat.unreadCount = 0;
    changed();
  } catch {
    // The next change of anything tries again.
  } finally {
    isMarking = false;
  }
}

function onScroll() {
  const { scrollHeight, scrollTop, clientHeight } = $('thread');
  const wasAtEnd = isAtEnd;
  isAtEnd = scrollHeight - scrollTop - clientHeight < nearEndPx;
  if (isAtEnd !== wasAtEnd) render();
  if (scrollTop < nearEndPx && !isAtEnd && !$('older').hidden) $('older').click();
}

function scrollToEnd() {
  isAtEnd = true;
  render();
}

// --- writing ---

let typingTimer = null; // while the other side believes that we type
let toldAt = 0;

function onInput() {
  shownChat.draft = $('content').value;
  fitContent();
  if ($('content').value.trim() === '') return stopTyping();
  clearTimeout(typingTimer);
  typingTimer = setTimeout(stopTyping, typingPauseMs);
  if (Date.now() - toldAt < typingPauseMs) return;
  toldAt = Date.now();
  tell('typing', { receiverId: shownChat.user.id });
}

function stopTyping() {
  if (typingTimer === null) return;
  clearTimeout(typingTimer);
  [typingTimer, toldAt] = [null, 0];
  tell('stop_typing', { receiverId: shownChat.user.id });
}

function fitContent() {
  $('content').style.height = 'auto';
  $('content').style.height = `${$('content').scrollHeight}px`;
}

function submit(event) {
  event.preventDefault();
  const content = $('content').value.trim();
  if (content === '') return;
  stopTyping();
  $('content').value = shownChat.draft = '';
  fitContent();
  isAtEnd = true;
  sendMessage(shownChat, content);
}

// Enter sends, Shift and Enter is a new line; on a phone, whose keyboard has no Shift at hand, the button sends.
function onKey(event) {
  if (event.key !== 'Enter' || event.shiftKey || event.isComposing || matchMedia('(pointer: coarse)').matches) return;
  event.preventDefault();
  $('composer').requestSubmit();
}

// --- what else can be done ---

async function removeContact() {
  const { user } = shownChat;
  await post('/api/contacts/remove', { contactId: user.id });
  $('chat-menu').hidePopover();
  location.hash = '#/chats';
  await loadChats();
  notify(`${user.username} is not one of your contacts any more.`);
}

export function startConversation() {
  $('thread').addEventListener('scroll', onScroll, { passive: true });
  new ResizeObserver(() => isAtEnd && scrollToEnd()).observe($('thread'));
  $('older').addEventListener('click', ({ currentTarget }) => act(currentTarget, () => loadOlderMessages(shownChat)));
  $('latest').addEventListener('click', scrollToEnd);
  $('content').addEventListener('input', onInput);
  $('content').addEventListener('keydown', onKey);
  $('composer').addEventListener('submit', submit);
  $('call-voice').addEventListener('click', () => startCall(shownChat.user, false));
  $('call-video').addEventListener('click', () => startCall(shownChat.user, true));
  $('remove-contact').addEventListener('click', ({ currentTarget }) => act(currentTarget, removeContact));
  document.addEventListener('visibilitychange', render);
  on('private-message', message => {
    if (!isMine(message)) announce(`${chatWith(message.senderId)?.user.username ?? 'Somebody'}: ${message.content}`);
  });
  watch(render);
}
