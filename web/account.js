// One's own account: two factors, logins, logging out.

import { get, post, remove } from './api.js';
import { $, clone, element, setAvatar, setText, showList } from './dom.js';
import { forgetLogin, login } from './login.js';
import { act } from './notices.js';
import { clockOrDate, deviceOf, explain } from './text.js';

// --- two factors: start → enable → codes, or start → disable ---

const steps = ['start', 'enable', 'codes', 'disable'];

function showStep(step) {
  for (const name of steps) $(`factors-${name}`).hidden = name !== step;
  setText($('factors-error'), '');
  for (const id of ['enable-code', 'disable-code']) $(id).value = '';
}

/** Runs one step; what fails is told below it. */
async function step(action) {
  setText($('factors-error'), '');
  try {
    await action();
  } catch (failure) {
    setText($('factors-error'), explain(failure));
  }
}

async function setUp() {
  const reply = await post('/api/auth/2fa/setup').catch(failure => {
    if (failure.code === 'CONFLICT') return null; // they are on already
    throw failure;
  });
  if (reply === null) {
    showStep('disable');
    return $('disable-code').focus();
  }
  showStep('enable');
  $('factors-qr').src = `data:image/svg+xml,${encodeURIComponent(reply.data.qrSvg)}`;
  setText($('factors-secret'), reply.data.secret.match(/.{4}/g).join(' '));
  $('enable-code').focus();
}

async function enable() {
  const { data } = await post('/api/auth/2fa/enable', { otp: $('enable-code').value.trim() });
  showStep('codes');
  $('factors-qr').removeAttribute('src');
  $('recovery-codes').replaceChildren(...data.recoveryCodes.map(textContent => element('li', { textContent })));
  $('factors-kept').focus();
}

function forgetCodes() {
  $('recovery-codes').replaceChildren();
  showStep('start');
}

async function disable() {
  await post('/api/auth/2fa/disable', { otp: $('disable-code').value.trim() });
  showStep('start');
}

// --- logins ---

async function showLogins() {
  const { data } = await get('/api/auth/sessions');
  showList($('login-rows'), data, {
    key: session => session.id,
    create: session => {
      const row = clone('login-row');
      row.end.addEventListener('click', () => act(row.end, async () => {
        await remove(`/api/auth/sessions/${session.id}`);
        await showLogins();
      }));
      return row;
    },
    update: (row, { device, ip, userAgent, lastUsedAt, current }) => {
      setText(row.device, device ?? deviceOf(userAgent));
      setText(row.detail, [current ? 'this login' : clockOrDate(lastUsedAt), ip].filter(Boolean).join(' · '));
      row.end.hidden = current;
    },
  });
}

async function open() {
  setAvatar($('account-avatar'), login().user);
  setText($('account-title'), login().user.username);
  forgetCodes();
  $('account').showModal();
  await showLogins();
}

// The login is forgotten here in any case, and before the server ends its socket, which would look like an accident.
async function logOut(path) {
  const reply = post(path);
  forgetLogin();
  await reply.catch(() => {});
}

export function startAccount() {
  const onSubmit = (id, action) => $(id).addEventListener('submit', event => {
    event.preventDefault();
    step(action);
  });
  $('me').addEventListener('click', () => act($('me'), open));
  $('factors-setup').addEventListener('click', () => step(setUp));
  $('factors-kept').addEventListener('click', forgetCodes);
  onSubmit('factors-enable', enable);
  onSubmit('factors-disable', disable);
  $('logout').addEventListener('click', () => logOut('/api/auth/logout'));
  $('logout-all').addEventListener('click', () => logOut('/api/auth/logout-all'));
  $('account').addEventListener('close', forgetCodes);
}
