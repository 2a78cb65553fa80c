// Who is logged in, in this tab: {token, refreshToken, user, refreshAt}.
//
// It is kept in sessionStorage: a reload keeps it, closing the tab forgets it, and each tab has its own. A refresh
// token is good once, and one that comes twice ends the login, so tabs that shared one would have to take turns; and a
// visitor can be two people in two tabs. Scripts can read it there, as they could any place from which it is sent with
// a fetch; what keeps foreign scripts out is the page's Content-Security-Policy.

const key = 'stonechat.login';
const listeners = [];
let current = JSON.parse(sessionStorage.getItem(key));

/** The login, or null. */
export const login = () => current;

/** `listener(login, why)` is told of each change: a login, a fresh token of it, or null once it has ended, and why. */
export function onLogin(listener) {
  listeners.push(listener);
}

/** Keeps the reply of register, login or refresh. The token is replaced when two thirds of its life are over. */
export function keepLogin({ token, refreshToken, expiresIn, user }) {
  set({ token, refreshToken, user, refreshAt: Date.now() + (expiresIn * 1000 * 2) / 3 });
}

/** `why` is for the user; without it he has wanted that. */
export function forgetLogin(why) {
  if (current !== null) set(null, why);
}

function set(next, why) {
  current = next;
  if (next === null) sessionStorage.removeItem(key);
  else sessionStorage.setItem(key, JSON.stringify(next));
  for (const listener of listeners) listener(current, why);
}

// --- a tab that was duplicated: it has a copy of the login, which stays with the older one ---

const tabs = new BroadcastChannel(key);
const ours = () => ({ sid: sessionOf(current.token), since: performance.timeOrigin });

// The login at the server, from the token's claims.
function sessionOf(token) {
  const [, claims] = token.replaceAll('-', '+').replaceAll('_', '/').split('.');
  return JSON.parse(atob(claims)).sid;
}

tabs.addEventListener('message', ({ data }) => {
  if (current === null || data.sid !== ours().sid) return;
  if (data.since < ours().since) forgetLogin('This tab is a copy of another one, which keeps the login.');
  else if (data.since > ours().since) tabs.postMessage(ours());
});

if (current !== null) tabs.postMessage(ours());
