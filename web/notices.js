// Short messages at the edge of the page, which go by themselves.

import { $, announce, clone } from './dom.js';
import { explain } from './text.js';

const shownMs = 5_000;

export function notify(text) {
  const { root, text: place, dismiss } = clone('notice');
  place.textContent = text;
  dismiss.addEventListener('click', () => take(root));
  setTimeout(take, shownMs, root);
  $('notices').append(root);
  show();
  announce(text);
}

/** Tells what has failed. Whoever has logged out meanwhile does not want to know. */
export function notifyFailure(failure) {
  if (failure.code !== 'LOGGED_OUT') notify(explain(failure));
}

function take(notice) {
  notice.remove();
  if (!$('notices').hasChildNodes()) $('notices').hidePopover();
}

function show() {
  $('notices').hidePopover(); // so that it is above whatever dialog has opened meanwhile
  if ($('notices').hasChildNodes()) $('notices').showPopover();
}

// While a dialog is open, what is outside can neither be pressed nor heard. A call opens above one's account.
function follow() {
  const place = [...document.querySelectorAll('dialog[open]')].at(-1) ?? document.body;
  $('announcer').textContent = '';
  place.append($('notices'), $('announcer'));
  show();
}

export function startNotices() {
  const observer = new MutationObserver(follow);
  for (const dialog of document.querySelectorAll('dialog')) observer.observe(dialog, { attributeFilter: ['open'] });
}

/** Runs what a button does: it cannot be pressed meanwhile, and a failure is told. */
export async function act(button, action) {
  button.disabled = true;
  try {
    await action();
  } catch (failure) {
    notifyFailure(failure);
  } finally {
    button.disabled = false;
  }
}
