// Small helpers for the views. Markup comes from index.html and its templates; whatever users wrote goes into it as
// text. (The page's policy, trusted-types 'none', has the browser refuse anything else.)

/** The element with this id. */
export const $ = id => document.getElementById(id);

/** A copy of a template's element, as `root`, and its parts by the names in their data-part. */
export function clone(template) {
  const root = $(template).content.firstElementChild.cloneNode(true);
  return { root, ...partsOf(root) };
}

export function partsOf(root) {
  return Object.fromEntries([...root.querySelectorAll('[data-part]')].map(part => [part.dataset.part, part]));
}

/** An element made here, for what is too small for a template. */
export function element(tag, properties) {
  return Object.assign(document.createElement(tag), properties);
}

/** Writes only what has changed, so that a selection or a live region is left alone. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Has an <svg><use> show this icon; `label` is for those who cannot see it. */
export function setIcon(svg, icon, label) {
  svg.querySelector('use').setAttribute('href', `#i-${icon}`);
  if (label) svg.setAttribute('aria-label', label);
}

const receipts = { waiting: 'Waiting to be sent', failed: 'Not sent', sent: 'Sent', seen: 'Seen' };

/** What has become of a message of one's own; null for those of others. */
export function setReceipt(svg, receipt) {
  svg.toggleAttribute('hidden', receipt === null);
  svg.classList.toggle('seen', receipt === 'seen');
  if (receipt !== null) setIcon(svg, receipt, receipts[receipt]);
}

/** The first letter of a name, on a colour that belongs to the user. */
export function setAvatar(node, user) {
  setText(node, user.username[0].toUpperCase());
  node.style.setProperty('--hue', parseInt(user.id.slice(-4), 16) % 360);
  node.classList.toggle('online', user.online === true);
}

const shown = new WeakMap(); // a container: its views by the keys of their items

/**
 * Has `container` show `items` in this order. A view is `{root, …}` as `create` makes it, is kept for as long as an
 * item has its key, and is brought up to date by `update`. So elements, their focus and their selection live on.
 */
export function showList(container, items, { key, create, update }) {
  const before = shown.get(container) ?? new Map();
  const after = new Map();
  const focused = container.contains(document.activeElement) ? document.activeElement : null;
  let place = container.firstElementChild;
  for (const item of items) {
    const view = before.get(key(item)) ?? create(item);
    update(view, item);
    after.set(key(item), view);
    if (view.root === place) place = place.nextElementSibling;
    else container.insertBefore(view.root, place);
  }
  for (const [known, view] of before) {
    if (!after.has(known)) view.root.remove();
  }
  shown.set(container, after);
  if (focused?.isConnected && document.activeElement !== focused) focused.focus(); // moving an element takes its focus
}

/** Says something to those who cannot see the page, once the announcer is where they hear it: see notices.js. */
export function announce(text) {
  setTimeout(() => ($('announcer').textContent = text));
}
