// How the page puts things: times, durations, failures.

const clockFormat = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' });
const dayFormat = new Intl.DateTimeFormat('en', { weekday: 'long', day: 'numeric', month: 'long' });
const dateFormat = new Intl.DateTimeFormat(undefined, { dateStyle: 'short' });
const dayMs = 24 * 60 * 60 * 1000;

/** 14:05 */
export const clock = time => clockFormat.format(new Date(time));

/** How many midnights lie between then and now. */
function daysAgo(time) {
  const midnight = value => new Date(value).setHours(0, 0, 0, 0);
  return Math.round((midnight(Date.now()) - midnight(time)) / dayMs);
}

/** Today, Yesterday, Monday 3 March */
export function day(time) {
  return ['Today', 'Yesterday'][daysAgo(time)] ?? dayFormat.format(new Date(time));
}

/** In a list: the time of today, else the date. */
export function clockOrDate(time) {
  return daysAgo(time) === 0 ? clock(time) : daysAgo(time) === 1 ? 'Yesterday' : dateFormat.format(new Date(time));
}

/** Seconds as 45 s, 3 min, 1 h 20 min */
export function duration(seconds) {
  if (seconds < 60) return `${Math.ceil(seconds)} s`;
  const minutes = Math.ceil(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  return `${Math.floor(minutes / 60)} h${minutes % 60 ? ` ${minutes % 60} min` : ''}`;
}

/** Seconds as on a stopwatch: 0:07, 1:02:03 */
export function stopwatch(seconds) {
  const parts = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, Math.floor(seconds) % 60];
  if (parts[0] === 0) parts.shift();
  return parts.map((part, i) => (i > 0 ? `${part}`.padStart(2, '0') : part)).join(':');
}

/** Whether somebody is there, or since when not. */
export function presence({ online, lastSeen }) {
  if (online) return 'online';
  if (!lastSeen) return 'offline';
  const seconds = (Date.now() - new Date(lastSeen)) / 1000;
  if (seconds < 60) return 'last seen just now';
  if (seconds < 60 * 60) return `last seen ${Math.floor(seconds / 60)} min ago`;
  return `last seen ${daysAgo(lastSeen) === 0 ? `at ${clock(lastSeen)}` : clockOrDate(lastSeen).toLowerCase()}`;
}

// A mark in User-Agent, and whose it is; the first that is found counts.
const browsers = { Edg: 'Edge', OPR: 'Opera', Firefox: 'Firefox', Chrome: 'Chrome', Safari: 'Safari' };
const systems = { Android: 'Android', iP: 'iOS', Windows: 'Windows', Mac: 'macOS', Linux: 'Linux' };

/** A User-Agent, like Firefox on Android. */
export function deviceOf(userAgent) {
  const find = names => Object.entries(names).find(([mark]) => userAgent?.includes(mark))?.[1];
  const [browser, system] = [find(browsers), find(systems)];
  return [browser, system].filter(Boolean).join(' on ') || 'Unknown device';
}

/** What a Failure means to somebody who reads it. */
export function explain(failure) {
  const wait = failure.retryAfter ? `Try again in ${duration(failure.retryAfter)}.` : 'Try again in a moment.';
  switch (failure.code) {
    case 'RATE_LIMITED': return `That was too often. ${wait}`;
    case 'ACCOUNT_LOCKED': return 'Too many logins have failed under this name. It is locked for some minutes.';
    case 'NETWORK': return 'The server cannot be reached. Is the network there?';
    case 'VALIDATION_ERROR': return failure.errors.map(({ msg }) => msg).join('. ');
    default: return failure.message;
  }
}
