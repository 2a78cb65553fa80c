// The call on the screen: a dialog that opens and closes with it.

import { acceptCall, hangUp, toggleCamera, toggleMicrophone } from './call.js';
import { $, setAvatar, setIcon, setText } from './dom.js';
import { act } from './notices.js';
import { state, watch } from './store.js';
import { stopwatch } from './text.js';

let shownCall = null;

const statuses = {
  calling: call => (call.id === null ? 'Calling…' : 'Ringing…'),
  ringing: call => (call.hasVideo ? 'Video call' : 'Voice call'),
  connecting: () => 'Connecting…',
  ongoing: ({ peer, peerCamera }) => {
    if (peer.connectionState === 'disconnected') return 'Reconnecting…';
    return peerCamera ? '' : 'Camera off';
  },
};

function setButton(id, icon, label, isPressed) {
  const button = $(id);
  setIcon(button, icon);
  setText(button.querySelector('span'), label);
  if (isPressed !== undefined) button.setAttribute('aria-pressed', isPressed);
}

function renderButtons(call) {
  const isRinging = call.phase === 'ringing';
  for (const id of ['call-accept', 'call-accept-video']) $(id).hidden = !isRinging;
  for (const id of ['call-microphone', 'call-camera']) $(id).hidden = isRinging;
  $('call-camera').disabled = call.phase !== 'ongoing';
  setButton('call-microphone', call.microphone ? 'microphone' : 'microphone-off', 'Microphone', call.microphone);
  setButton('call-camera', call.camera ? 'camera' : 'camera-off', 'Camera', call.camera);
  setButton('call-end', isRinging ? 'close' : 'hangup', isRinging ? 'Decline' : 'Hang up');
}

function renderTime() {
  const { call } = state;
  setText($('call-time'), call?.startedAt ? stopwatch((Date.now() - call.startedAt) / 1000) : '');
}

function render() {
  const { call } = state;
  if (call !== shownCall) change(call);
  if (call === null) return;
  $('call').dataset.phase = call.phase;
  $('call').classList.toggle('has-picture', call.phase === 'ongoing' && call.peerCamera);
  setAvatar($('call-avatar'), call.user);
  setText($('call-name'), call.user.username);
  setText($('call-status'), statuses[call.phase](call));
  $('call-muted').hidden = call.peerMicrophone;
  $('call-local').hidden = !call.camera;
  renderButtons(call);
  renderTime();
}

// Focus goes to the name: a key that was on its way must neither take the call nor decline it.
function change(call) {
  shownCall = call;
  $('call-remote').srcObject = call?.remote ?? null;
  $('call-local').srcObject = call?.local ?? null;
  if (call === null) return $('call').close();
  $('call').showModal();
  $('call-name').focus();
}

export function startCallView() {
  $('call-accept').addEventListener('click', () => acceptCall(false));
  $('call-accept-video').addEventListener('click', () => acceptCall(true));
  $('call-end').addEventListener('click', () => hangUp());
  $('call-microphone').addEventListener('click', toggleMicrophone);
  $('call-camera').addEventListener('click', ({ currentTarget }) => act(currentTarget, toggleCamera));
  $('call').addEventListener('cancel', event => event.preventDefault()); // Escape does not end a call
  $('call').addEventListener('close', () => state.call && state.call === shownCall && $('call').showModal());
  setInterval(renderTime, 1000);
  watch(render);
}
