// The connection by which things happen live: the stock Socket.IO client, one socket a login.
//
// It comes back by itself, and the server then sends what was missed (`socket.recovered`): only what is not kept, like
// who is online, has to be asked for again. When the server cannot tell what was missed, everything is loaded afresh.

import { Failure, refreshLogin } from './api.js';
import { login, onLogin } from './login.js';
import { io } from './socket.io.esm.min.js';

const ackTimeoutMs = 10_000;
const retryMs = 3_000;
const handlers = []; // [event, handler]
let socket = null;
let refreshTimer;

/** Before there is a socket: `handler(data)` is called for each such event of the server. */
export function on(event, handler) {
  handlers.push([event, handler]);
}

export const isConnected = () => socket?.connected === true;

/** Emits an event and gives the ack; throws a Failure when it says no, or does not come. */
export async function ask(event, data) {
  if (!isConnected()) throw new Failure({ code: 'NETWORK', message: 'Not connected' });
  const ack = await socket.timeout(ackTimeoutMs).emitWithAck(event, data).catch(() => {
    throw new Failure({ code: 'NETWORK', message: 'There was no answer' });
  });
  if (!ack.success) throw new Failure(ack);
  return ack;
}

/** Emits an event that needs no answer, and is worth nothing later. */
export function tell(event, data) {
  if (isConnected()) socket.emit(event, data);
}

/** `onChange(isConnected, hasRecovered)` is called when the connection comes and goes. */
export function connect(onChange) {
  socket = io({
    forceNew: true,
    auth: give => give({ token: login()?.token }), // asked at each attempt: the token may be a new one
    reconnectionDelay: 500,
    reconnectionDelayMax: 5_000,
  });
  socket.on('connect', () => onChange(true, socket.recovered));
  socket.on('disconnect', reason => {
    onChange(false, false);
    if (reason === 'io server disconnect') comeBack(socket); // the token has expired, or the login has ended
  });
  socket.on('connect_error', () => {
    if (socket.active) onChange(false, false);
    else setTimeout(comeBack, retryMs, socket); // it was refused; after other errors the client tries again by itself
  });
  for (const [event, handler] of handlers) socket.on(event, handler);
  planRefresh();
}

export function disconnect() {
  clearTimeout(refreshTimer);
  socket?.disconnect();
  socket = null;
}

// With a new token, unless there is another socket meanwhile, or none.
async function comeBack(old) {
  if (socket !== old) return;
  try {
    await refreshLogin();
    if (socket === old) socket.connect();
  } catch {
    setTimeout(comeBack, retryMs, old);
  }
}

// Before the token expires there is a new one, and the socket lives on with it (`auth-refresh`).
function planRefresh() {
  clearTimeout(refreshTimer);
  const waitMs = Math.min(Math.max(login().refreshAt - Date.now(), 0), 2 ** 31 - 1); // what a timer can do: 24 days
  refreshTimer = setTimeout(() => refreshLogin().catch(() => {}), waitMs);
}

onLogin(now => {
  if (now === null || socket === null) return;
  planRefresh();
  tell('auth-refresh', { token: now.token });
});

// The network is back: there is no need to wait for the next attempt.
addEventListener('online', () => {
  if (socket !== null && !socket.connected && socket.active) socket.disconnect().connect();
});
