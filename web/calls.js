// The history of calls.

import { startCall } from './call.js';
import { $, clone, setAvatar, setIcon, setText, showList } from './dom.js';
import { login } from './login.js';
import { state, watch } from './store.js';
import { clock, clockOrDate, duration } from './text.js';

const endings = { ringing: 'ringing', ongoing: 'now', missed: 'missed', rejected: 'declined', busy: 'was busy' };

const whenOf = time => [...new Set([clockOrDate(time), clock(time)])].join(' ');

function detailOf({ status, startedAt, answeredAt, endedAt }) {
  const how = status === 'ended' ? duration((new Date(endedAt) - new Date(answeredAt)) / 1000) : endings[status];
  return `${whenOf(startedAt)} · ${how}`;
}

function create({ caller, callee }) {
  const row = clone('call-row');
  const isOutgoing = caller.id === login().user.id;
  const user = isOutgoing ? callee : caller;
  setAvatar(row.avatar, user);
  setText(row.name, user.username);
  setIcon(row.direction, isOutgoing ? 'out' : 'in', isOutgoing ? 'Outgoing' : 'Incoming');
  row.again.setAttribute('aria-label', `Call ${user.username}`);
  row.again.addEventListener('click', () => startCall(user, false));
  return { ...row, isOutgoing };
}

function update(row, call) {
  setText(row.detail, detailOf(call));
  row.root.classList.toggle('missed', call.status === 'missed' && !row.isOutgoing);
}

function render() {
  showList($('call-rows'), state.calls, { key: call => call.id, create, update });
  $('no-calls').hidden = state.calls.length > 0 || state.connection === 'connecting';
}

export function startCalls() {
  watch(render);
}
