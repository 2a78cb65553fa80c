// Sending. What was written waits here until the server has acknowledged it: across a lost connection too, since the
// same `clientId` again is the same message again, which nobody gets twice.

import { notify } from './notices.js';
import { ask, isConnected } from './socket.js';
import { addMessage, changed, loadChats, state } from './store.js';
import { explain } from './text.js';

// crypto.randomUUID is there at https:// and localhost alone.
const randomName = () => crypto.getRandomValues(new Uint32Array(4)).join('-');

/** Sends a text to the other side of a chat. */
export function sendMessage(chat, content) {
  const draft = { clientId: randomName(), content, createdAt: new Date().toISOString(), failure: null };
  chat.outbox.push(draft);
  deliver(chat, draft);
}

/** Sends again what the server has refused. */
export function sendAgain(chat, clientId) {
  deliver(chat, chat.outbox.find(draft => draft.clientId === clientId));
}

/** The connection is back: what waited for it goes out, in the order in which it was written. */
export function sendWaiting() {
  for (const chat of state.chats) {
    for (const draft of chat.outbox.filter(({ failure }) => failure === null)) deliver(chat, draft);
  }
}

async function deliver(chat, draft) {
  draft.failure = null;
  changed();
  try {
    const { clientId, content } = draft;
    const { message } = await ask('private-message', { receiverId: chat.user.id, content, clientId });
    chat.outbox = chat.outbox.filter(other => other !== draft);
    addMessage(message);
  } catch (failure) {
    if (failure.code === 'NETWORK') return void (isConnected() && deliver(chat, draft)); // else sendWaiting will
    draft.failure = explain(failure);
    if (failure.code === 'FORBIDDEN') forgetContact(chat);
  }
  changed();
}

// The other side has ended it, of which there is no event.
function forgetContact(chat) {
  notify(`${chat.user.username} is not one of your contacts any more.`);
  loadChats().catch(() => {});
}
