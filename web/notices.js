// Short messages at the edge of the page, which go by themselves.

import { $, clone } from './dom.js';
import { explain } from './text.js';

const shownMs = 5_000;

export function notify(text) {
  const { root, text: place, dismiss } = clone('notice');
  place.textContent = text;
  dismiss.addEventListener('click', () => take(root));
  setTimeout(take, shownMs, root);
  $('notices').append(root);
  $('notices').hidePopover(); // so that it is above whatever dialog has opened meanwhile
  $('notices').showPopover();
}

function take(notice) {
  notice.remove();
  if (!$('notices').hasChildNodes()) $('notices').hidePopover();
}

/** Runs what a button does: it cannot be pressed meanwhile, and a failure is told. */
export async function act(button, action) {
  button.disabled = true;
  try {
    await action();
  } catch (failure) {
    notify(explain(failure));
  } finally {
    button.disabled = false;
  }
}
