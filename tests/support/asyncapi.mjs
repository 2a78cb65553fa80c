// Holds events and acks against swagger/asyncapi.yaml. They come inside of callbacks, where nobody would catch an error:
// what does not fit is kept, and fails the test that runs, at its end.
//
//   checkEvent('socketio', 'typing', data, undefined);
//   checkAck('typing', { receiverId }, ack);

import assert from 'node:assert/strict';
import { after, afterEach } from 'node:test';

import { asyncapi, follow, misfit } from './descriptions.mjs';

const problems = [];
const problemsMax = 20; // a test that gets thousands of a kind needs to tell of a few

function note(problem) {
  if (problem && problems.length < problemsMax) problems.push(problem);
}

function tell() {
  const found = problems.splice(0);
  if (found.length > 0) assert.fail(found.join('\n'));
}
afterEach(tell);
after(tell);

const place = pointer => `asyncapi.yaml${pointer}`;
const at = $ref => follow(asyncapi, $ref);
const lastPart = ({ $ref }) => $ref.split('/').at(-1);

// The places of a message's schemas.
function schemasOf({ $ref }) {
  const { value: message, pointer } = at($ref);
  const headers = message.headers ? pointer : message.traits?.[0].$ref;
  return { payload: place(`${pointer}/payload`), headers: headers && place(`${headers}/headers`) };
}

// By event: what the operations of `action` say.
function table(action) {
  const operations = Object.values(asyncapi.operations).filter(operation => operation.action === action);
  return new Map(operations.map(({ channel, messages: [message], reply }) => {
    const { address, servers } = at(channel.$ref).value;
    const transports = (servers ?? Object.keys(asyncapi.servers).map(name => ({ $ref: name }))).map(lastPart);
    return [address, { ...schemasOf(message), ack: reply && schemasOf(reply.messages[0]).payload, transports }];
  }));
}

const sent = table('send');
const received = table('receive');

/** An event that has come: by `transport`, the name of a server in the description, with its offset, if it had one. */
export function checkEvent(transport, event, data, offset) {
  const what = `${event} by ${transport}`;
  const described = sent.get(event);
  if (!described?.transports.includes(transport)) {
    note(`${what} is not in swagger/asyncapi.yaml: ${JSON.stringify(data)}`);
    return;
  }
  note(misfit(described.payload, data, what));
  note(misfit(described.headers, offset === undefined ? {} : { offset }, `the offset of ${what}`));
}

// `null` counts as absent.
function withoutNulls(data) {
  return Object.fromEntries(Object.entries(data ?? {}).filter(([, value]) => value !== null));
}

/** The ack of an event that was sent with `data`. One that is not described has to fail, and what the description lets pass
 * has to pass. */
export function checkAck(event, data, ack) {
  const described = received.get(event);
  note(misfit(described?.ack ?? place('#/components/schemas/AnyFailure'), ack, `the ack of ${event}`));
  if (!described) return;
  const problem = misfit(described.payload, withoutNulls(data), `${event}, which was accepted,`);
  if (ack.success) note(problem);
  if (ack.code === 'VALIDATION_ERROR' && !problem) {
    note(`${event} was refused, though it fits swagger/asyncapi.yaml: ${JSON.stringify(data)}\n${JSON.stringify(ack.errors)}`);
  }
}

/** A frame of /ws: of an event or an ack. */
export function checkFrame(frame) {
  const name = 'ack' in frame ? 'AckFrame' : 'EventFrame';
  note(misfit(place(`#/components/schemas/${name}`), frame, 'a frame'));
  if ('event' in frame) checkEvent('websocket', frame.event, frame.data, frame.offset);
}

/** A text that has come by a WebSocket: of /ws, or of /socket.io/ when it is an event. */
export function checkText(text) {
  if (text.startsWith('{')) checkFrame(JSON.parse(text));
  if (!text.startsWith('42[')) return;
  const [event, data, offset] = JSON.parse(text.slice(2));
  checkEvent('socketio', event, data, offset);
}
