// The list of chats: who, what was said last, what is unread.

import { $, clone, setAvatar, setReceipt, setText, showList } from './dom.js';
import { act } from './notices.js';
import { isMine, loadMoreChats, state, watch } from './store.js';
import { clockOrDate } from './text.js';

// What stands below a name: somebody types, something waits to be sent, or the newest message.
function previewOf({ typingTimer, outbox, latestMessage }) {
  if (typingTimer) return { text: 'typing…', receipt: null };
  if (outbox.length > 0) {
    const { content, failure, createdAt } = outbox.at(-1);
    return { text: content, receipt: failure ? 'failed' : 'waiting', time: createdAt };
  }
  if (!latestMessage) return { text: 'You are friends now. Say hello.', receipt: null };
  const { content, createdAt, seen } = latestMessage;
  return { text: content, receipt: isMine(latestMessage) ? (seen ? 'seen' : 'sent') : null, time: createdAt };
}

function update(row, chat) {
  const { text, receipt, time } = previewOf(chat);
  row.link.href = `#/chat/${chat.user.id}`;
  if (chat.user.id === state.userId) row.link.setAttribute('aria-current', 'true');
  else row.link.removeAttribute('aria-current');
  setAvatar(row.avatar, chat.user);
  setText(row.name, chat.user.username);
  setText(row.preview, text);
  setText(row.time, time ? clockOrDate(time) : '');
  row.preview.classList.toggle('lively', chat.typingTimer !== null);
  setReceipt(row.receipt, receipt);
  row.root.classList.toggle('unread', chat.unreadCount > 0);
  row.badge.hidden = chat.unreadCount === 0;
  setText(row.unread, `${chat.unreadCount}`);
}

function render() {
  showList($('chat-rows'), state.chats, { key: chat => chat.chatId, create: () => clone('chat-row'), update });
  $('no-chats').hidden = state.chats.length > 0 || state.connection === 'connecting';
  $('more-chats').hidden = state.chatsCursor === null;
}

export function startChats() {
  $('more-chats').addEventListener('click', ({ currentTarget }) => act(currentTarget, loadMoreChats));
  watch(render);
}
