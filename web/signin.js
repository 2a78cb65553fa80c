// Logging in, and making an account.

import { postAsNobody } from './api.js';
import { $ } from './dom.js';
import { keepLogin, onLogin } from './login.js';
import { deviceOf, explain } from './text.js';

const fields = ['username', 'password', 'otp'];

const isRegistering = () => $('signin-form').elements.mode.value === 'register';

function renderMode() {
  $('signin-button').textContent = isRegistering() ? 'Create account' : 'Log in';
  $('password').autocomplete = isRegistering() ? 'new-password' : 'current-password';
  $('otp-field').hidden = true;
  $('otp').value = '';
  showErrors();
}

// What is wrong with a field stands below it, anything else above the button.
function showErrors(failure) {
  const errors = failure?.errors ?? [];
  for (const name of fields) {
    const error = errors.find(({ path }) => path === name);
    $(`${name}-error`).textContent = error?.msg ?? '';
    $(name).setAttribute('aria-invalid', error !== undefined);
  }
  $('signin-error').textContent = failure && errors.length === 0 ? explain(failure) : '';
  $(fields.find(name => errors.some(({ path }) => path === name)))?.focus();
}

function request() {
  const username = $('username').value.trim();
  const password = $('password').value;
  if (isRegistering()) return postAsNobody('/api/auth/register', { username, password });
  const otp = $('otp').value.trim();
  const device = deviceOf(navigator.userAgent);
  return postAsNobody('/api/auth/login', { username, password, device, ...(otp && { otp }) });
}

async function submit(event) {
  event.preventDefault();
  $('signin-button').disabled = true;
  showErrors();
  try {
    const { data } = await request();
    keepLogin(data);
  } catch (failure) {
    if (failure.code === 'OTP_REQUIRED') askForCode();
    else showErrors(failure);
  } finally {
    $('signin-button').disabled = false;
  }
}

// The password was right, and the account has two factors.
function askForCode() {
  $('otp-field').hidden = false;
  $('otp').focus();
}

export function startSignIn() {
  $('signin-form').addEventListener('submit', submit);
  for (const radio of $('signin-form').elements.mode) radio.addEventListener('change', renderMode);
  onLogin(now => {
    $('password').value = '';
    $('signin-form').elements.mode.value = 'login';
    renderMode();
    if (now === null) setTimeout(() => $('username').select()); // once it is shown again
  });
}
