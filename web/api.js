// The REST API by fetch. Each function gives the reply, {data, pagination?}, or throws a Failure.

import { forgetLogin, keepLogin, login } from './login.js';

/** What the server said, or that it said nothing: `code` for programs, `message` for people. */
export class Failure extends Error {
  constructor({ message, code, errors = [], retryAfter }) {
    super(message);
    this.code = code;
    this.errors = errors; // of a VALIDATION_ERROR: {path, msg}
    this.retryAfter = retryAfter; // seconds
  }
}

async function send(method, path, { body, token } = {}) {
  const headers = {
    ...(token && { authorization: `Bearer ${token}` }),
    ...(body && { 'content-type': 'application/json' }),
  };
  let response, reply;
  try {
    response = await fetch(path, { method, headers, body: body && JSON.stringify(body) });
    reply = await response.json();
  } catch {
    throw new Failure({ code: 'NETWORK', message: 'The server cannot be reached' }); // or something else has answered
  }
  if (response.ok) return reply;
  throw new Failure({ ...reply, retryAfter: Number(response.headers.get('retry-after')) });
}

async function replaceTokens({ refreshToken }) {
  const isStill = () => login()?.refreshToken === refreshToken; // nobody has logged out meanwhile
  try {
    const { data } = await send('POST', '/api/auth/refresh', { body: { refreshToken } });
    if (isStill()) keepLogin(data);
  } catch (failure) {
    if (failure.code === 'UNAUTHORIZED' && isStill()) forgetLogin('This login has ended.');
    throw failure;
  }
}

let refreshing = null; // a refresh token is good once: whoever needs a new one meanwhile waits for the same reply

/** Gets a new token. When the server says that the login has ended, forgets it. */
export function refreshLogin() {
  refreshing ??= replaceTokens(login()).finally(() => (refreshing = null));
  return refreshing;
}

// Whoever asked has logged out, and somebody else may have logged in: it is nobody's reply.
function checkUser(id) {
  if (login()?.user.id !== id) throw new Failure({ code: 'LOGGED_OUT', message: 'You have logged out' });
}

/** As the user; with a new token when the one that we have is not good any more. */
async function sendAsUser(method, path, body) {
  const id = login()?.user.id;
  const attempt = () => send(method, path, { body, token: login()?.token }).finally(() => checkUser(id));
  try {
    return await attempt();
  } catch (failure) {
    if (failure.code !== 'UNAUTHORIZED' || login() === null) throw failure;
    await refreshLogin().finally(() => checkUser(id));
    return attempt();
  }
}

/** For register and login, which need no token. */
export const postAsNobody = (path, body) => send('POST', path, { body });

export const get = (path, query) => sendAsUser('GET', query ? `${path}?${new URLSearchParams(query)}` : path);
export const post = (path, body = {}) => sendAsUser('POST', path, body);
export const remove = path => sendAsUser('DELETE', path);
