// A call. The server passes the signals on (call-user, answer-call, ice-candidate, end-call) and keeps the history;
// sound and pictures go from one browser to the other.
//
// Both sides offer sound and a picture from the start, so that a camera that is turned on later has a place and nothing
// has to be negotiated again. What the other side's camera and microphone do is told by a data channel. There is no
// STUN or TURN server, so the two have to reach each other directly; RTCPeerConnection takes `iceServers` for the rest.

import { login } from './login.js';
import { notify } from './notices.js';
import { ask, on, tell } from './socket.js';
import { changed, chatWith, findChat, loadCalls, state } from './store.js';
import { explain } from './text.js';

// --- what state.call is ---

function create(user, more) {
  return state.call = {
    user,
    id: null, // the server's, once it has taken the call
    isOutgoing: false,
    phase: 'calling', // calling, ringing, connecting, ongoing
    hasVideo: false,
    startedAt: null, // of the conversation
    offer: null, // of whoever calls us
    peer: null, // the RTCPeerConnection
    devices: null, // the data channel
    waiting: [], // candidates that came, or were found, too early
    local: new MediaStream(), remote: new MediaStream(),
    microphone: true, camera: false, // our own
    peerMicrophone: true, peerCamera: false, // the other side's
    ...more,
  };
}

const isOver = call => state.call !== call;

// --- devices ---

async function open(constraints) {
  if (!navigator.mediaDevices) throw new Error('Browsers allow calls at https:// addresses and at localhost only.');
  return navigator.mediaDevices.getUserMedia(constraints);
}

// A call without a camera is still a call.
async function openDevices(call, hasCamera) {
  const stream = await open({ audio: true, video: hasCamera }).catch(error => {
    if (!hasCamera) throw error;
    notify('There is no camera that can be used.');
    return open({ audio: true });
  });
  for (const track of stream.getTracks()) call.local.addTrack(track);
  call.camera = stream.getVideoTracks().length > 0;
  if (isOver(call)) closeDevices(call);
}

const trackOf = (call, kind) => call.local.getTracks().find(track => track.kind === kind);

function closeDevices(call) {
  for (const track of call.local.getTracks()) track.stop();
}

function explainDevices(error) {
  if (error.name === 'NotAllowedError') return 'The browser was not allowed to use the microphone.';
  if (error.name === 'NotFoundError') return 'There is no microphone.';
  return error.code ? explain(error) : error.message;
}

// --- the connection between the browsers ---

function connectPeer(call) {
  const peer = call.peer = new RTCPeerConnection();
  call.devices = peer.createDataChannel('devices', { negotiated: true, id: 0 });
  call.devices.addEventListener('open', () => tellDevices(call));
  call.devices.addEventListener('message', ({ data }) => hearDevices(call, data));
  peer.addEventListener('icecandidate', ({ candidate }) => candidate && sendCandidate(call, candidate));
  peer.addEventListener('track', ({ track }) => {
    call.remote.addTrack(track);
    changed();
  });
  peer.addEventListener('connectionstatechange', () => onPeerState(call));
  return peer;
}

function onPeerState(call) {
  const { connectionState } = call.peer;
  if (isOver(call)) return;
  if (connectionState === 'connected') {
    call.phase = 'ongoing';
    call.startedAt ??= Date.now();
  } else if (connectionState === 'failed') {
    hangUp('The two browsers cannot reach each other.');
  }
  changed();
}

function tellDevices({ devices, microphone, camera }) {
  if (devices?.readyState === 'open') devices.send(JSON.stringify({ microphone, camera }));
}

function hearDevices(call, text) {
  const { microphone, camera } = JSON.parse(text);
  [call.peerMicrophone, call.peerCamera] = [microphone === true, camera === true];
  changed();
}

// --- signals ---

const partiesOf = ({ isOutgoing, user }) => isOutgoing
  ? { callerId: login().user.id, calleeId: user.id } : { callerId: user.id, calleeId: login().user.id };

// Found before the server has given the call its id, it waits.
function sendCandidate(call, candidate) {
  if (call.id === null) call.waiting.push(candidate);
  else tell('ice-candidate', { callId: call.id, ...partiesOf(call), candidate });
}

// Heard before the other side's description is there, it waits too.
function hearCandidate({ callId, candidate }) {
  const { call } = state;
  if (call?.id !== callId || !candidate) return;
  if (call.peer?.remoteDescription) call.peer.addIceCandidate(candidate).catch(() => {}); // it was one of several
  else call.waiting.push(candidate);
}

/** Calls a contact. */
export async function startCall(user, hasVideo) {
  if (state.call) return;
  const call = create(user, { isOutgoing: true, hasVideo });
  changed();
  try {
    await openDevices(call, hasVideo);
    if (isOver(call)) return;
    const peer = connectPeer(call);
    for (const kind of ['audio', 'video']) peer.addTransceiver(trackOf(call, kind) ?? kind, { direction: 'sendrecv' });
    await peer.setLocalDescription();
    const { type, sdp } = peer.localDescription;
    const { callId } = await ask('call-user', { calleeId: user.id, signal: { type, sdp, video: hasVideo } });
    call.id = callId;
    if (isOver(call)) return end(callId, 'missed'); // we have hung up meanwhile
    for (const candidate of call.waiting.splice(0)) sendCandidate(call, candidate);
    changed();
  } catch (error) {
    if (!isOver(call)) finish(error.code === 'BUSY' ? 'One of you is in another call.' : explainDevices(error));
  }
}

function onCallUser({ callId, callerId, signal }) {
  if (state.call) return end(callId, 'rejected');
  const user = chatWith(callerId)?.user;
  const call = create(user ?? { id: callerId, username: 'Somebody' }, {
    id: callId, phase: 'ringing', hasVideo: signal?.video === true, offer: signal,
  });
  changed();
  if (!user) nameCaller(call);
}

// It rings already: a contact whose chat is not among those that are loaded, or nothing is loaded yet.
async function nameCaller(call) {
  const chat = await findChat(call.user.id).catch(() => undefined);
  if (chat) call.user = chat.user;
  changed();
}

/** Takes the call that rings. */
export async function acceptCall(hasCamera) {
  const { call } = state;
  call.phase = 'connecting';
  changed();
  try {
    await openDevices(call, hasCamera);
    if (isOver(call)) return;
    const peer = connectPeer(call);
    await peer.setRemoteDescription(call.offer);
    for (const transceiver of peer.getTransceivers()) {
      transceiver.direction = 'sendrecv';
      await transceiver.sender.replaceTrack(trackOf(call, transceiver.receiver.track.kind) ?? null);
    }
    await peer.setLocalDescription();
    for (const candidate of call.waiting.splice(0)) await peer.addIceCandidate(candidate);
    const { type, sdp } = peer.localDescription;
    await ask('answer-call', { callId: call.id, ...partiesOf(call), signal: { type, sdp } });
  } catch (error) {
    if (isOver(call)) return;
    if (isTaken(error)) finish('The call does not ring any more.'); // another device may talk: it is not ours to end
    else hangUp(explainDevices(error));
  }
}

const isTaken = ({ code }) => code === 'CONFLICT' || code === 'NOT_FOUND';

async function onAnswerCall({ callId, signal }) {
  const { call } = state;
  if (call?.id !== callId || call.phase !== 'calling') return;
  call.phase = 'connecting';
  changed();
  try {
    await call.peer.setRemoteDescription(signal);
    for (const candidate of call.waiting.splice(0)) await call.peer.addIceCandidate(candidate);
  } catch {
    hangUp('The other side speaks another language.');
  }
}

// --- the end ---

async function end(callId, status) {
  try {
    await ask('end-call', { callId, status });
    await loadCalls();
  } catch (failure) {
    if (failure.code === 'NETWORK' && login() !== null) state.endings.push([callId, status]); // else it is over already
  }
}

/** The connection is back: tells the server of what ended meanwhile. */
export function sendEndings() {
  for (const ending of state.endings.splice(0)) end(...ending);
}

/** Ends the call, rejects it, or gives up calling. */
export function hangUp(why) {
  const { call } = state;
  if (!call) return;
  const status = { ringing: 'rejected', calling: 'missed' }[call.phase] ?? 'ended';
  if (call.id !== null) end(call.id, status);
  finish(why);
}

function finish(why) {
  const { call } = state;
  closeDevices(call);
  call.peer?.close();
  state.call = null;
  if (why) notify(why);
  changed();
}

function onEndCall({ callId, status }) {
  loadCalls().catch(() => {});
  const { call } = state;
  if (call?.id !== callId) return;
  const name = call.user.username;
  const reasons = {
    missed: call.isOutgoing ? `${name} did not answer.` : `You missed a call from ${name}.`,
    rejected: `${name} has declined.`,
    'answered-elsewhere': 'You have answered on another device.',
  };
  finish(reasons[status] ?? 'The call is over.');
}

// --- buttons ---

export function toggleMicrophone() {
  const { call } = state;
  call.microphone = !call.microphone;
  for (const track of call.local.getAudioTracks()) track.enabled = call.microphone;
  tellDevices(call);
  changed();
}

/** Turned off, the camera is given back to the system. */
export async function toggleCamera() {
  const { call } = state;
  const { sender } = call.peer.getTransceivers().find(({ receiver }) => receiver.track.kind === 'video');
  if (call.camera) {
    await sender.replaceTrack(null);
    for (const track of call.local.getVideoTracks()) {
      track.stop();
      call.local.removeTrack(track);
    }
  } else {
    const [track] = (await open({ video: true })).getVideoTracks();
    call.local.addTrack(track);
    if (isOver(call)) return closeDevices(call);
    await sender.replaceTrack(track);
  }
  call.camera = !call.camera;
  tellDevices(call);
  changed();
}

on('call-user', onCallUser);
on('answer-call', onAnswerCall);
on('ice-candidate', hearCandidate);
on('end-call', onEndCall);
