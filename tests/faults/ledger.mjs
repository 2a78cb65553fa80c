// The books of a run: what was acknowledged, and what every device was told. `check` holds them against each other and
// against the histories, and fails unless nothing was lost, repeated or turned around.
//
// A device is told everything that concerns its user, once, in the order of the offsets, but for what it did itself. When
// an action was tried from several places, nobody outside knows which try it was that counted: whether the devices among
// them are told is then left open, but none is told twice. A message that was never acknowledged may be there or not.

import assert from 'node:assert/strict';

const shownProblems = 12;

export class Ledger {
  messages = new Map(); // by clientId
  receipts = new Map(); // by the message's id
  devices = [];
  histories = []; // {members: [id, id], messages}: the whole of each chat, as REST tells it
  healedAt = 0;

  /** A message is about to be sent; `tries` names the devices, or "rest", that have tried. */
  sending(clientId, senderId, receiverId, content) {
    const message = { clientId, senderId, receiverId, content, tries: new Set(), acks: [] };
    this.messages.set(clientId, message);
    return message;
  }

  acked(message, reply) {
    message.acks.push({ reply, at: performance.now() });
  }

  /** `reader` is about to mark this message read. */
  reading(message, readerId) {
    const receipt = { message, readerId, tries: new Set(), isAcked: false };
    this.receipts.set(message.id, receipt);
    return receipt;
  }

  /** A device that is told of everything from now on. */
  device(name, userId) {
    const device = new DeviceRecord(this, name, userId);
    this.devices.push(device);
    return device;
  }

  /** The fault is over: from here on it is the server that takes its time. */
  healed() {
    this.healedAt = performance.now();
  }

  get ackedCount() {
    return [...this.messages.values()].filter(message => message.acks.length > 0).length;
  }
}

class DeviceRecord {
  received = []; // {event, data, offset}
  resumes = []; // ms
  unrecovered = 0; // times it came back and was told to load the state afresh
  #ledger;
  #goneAt = null;

  constructor(ledger, name, userId) {
    this.#ledger = ledger;
    this.name = name;
    this.userId = userId;
    this.skipped = new Set(ledger.messages.keys()); // they were before its time
  }

  onEvent(event, data, offset) {
    this.received.push({ event, data, offset });
  }

  onGone() {
    this.#goneAt ??= performance.now();
  }

  onBack(isRecovered) {
    if (this.#goneAt === null) return;
    if (isRecovered) this.resumes.push(performance.now() - Math.max(this.#goneAt, this.#ledger.healedAt));
    else this.unrecovered++;
    this.#goneAt = null;
  }
}

function keyOf({ event, data }) {
  return `${event} ${event === 'private-message' ? data?.id : data?.messageId}`;
}

function withoutSeen({ seen, ...message }) {
  return message;
}

const isEqual = (one, other) => {
  try {
    assert.deepStrictEqual(one, other);
    return true;
  } catch {
    return false;
  }
};

// What the device is to be told: by key, the message or receipt, and whether it is 'once', 'maybe' or 'never'.
function expectations(ledger, device) {
  const expected = new Map();
  const add = (key, what, tries, isSure) => {
    const isOwn = tries.has(device.name);
    const rule = isOwn && tries.size === 1 ? 'never' : isOwn || !isSure ? 'maybe' : 'once';
    expected.set(key, { what, rule });
  };
  for (const { members, messages } of ledger.histories) {
    if (!members.includes(device.userId)) continue;
    for (const message of messages) {
      const entry = ledger.messages.get(message.clientId);
      if (entry && !device.skipped.has(message.clientId)) add(`private-message ${message.id}`, message, entry.tries, true);
    }
  }
  for (const { message, readerId, tries, isAcked } of ledger.receipts.values()) {
    if (![message.senderId, readerId].includes(device.userId)) continue;
    const what = { messageId: message.id, userId: readerId, readerId, chatId: message.chatId, seq: message.seq };
    add(`message_read ${message.id}`, what, tries, isAcked);
  }
  return expected;
}

/** What devices have not been told yet, as `device: key`. */
export function missing(ledger) {
  return ledger.devices.flatMap(device => {
    const keys = new Set(device.received.map(keyOf));
    return [...expectations(ledger, device)]
      .filter(([key, { rule }]) => rule === 'once' && !keys.has(key))
      .map(([key]) => `${device.name}: ${key}`);
  });
}

class Report {
  acked = 0;
  delivered = 0;
  lost = 0;
  duplicated = 0;
  reordered = 0;
  wrong = 0;
  problems = [];

  found(kind, problem) {
    this[kind]++;
    this.problems.push(`${kind}: ${problem}`);
  }

  toString() {
    const { acked, delivered, lost, duplicated, reordered, wrong, resumed, medianMs, maxMs } = this;
    return `acked ${acked}, delivered ${delivered}, lost ${lost}, duplicated ${duplicated}, reordered ${reordered}, ` +
      `wrong ${wrong}, resumed ${resumed}, time to resume ${medianMs} ms (median), ${maxMs} ms (longest)`;
  }
}

// The histories: dense, each clientId once, all that was acknowledged, and just as it was acknowledged.
function auditHistories(ledger, report) {
  const found = new Map();
  for (const { messages } of ledger.histories) {
    for (const [i, message] of messages.entries()) {
      const entry = ledger.messages.get(message.clientId);
      if (message.seq !== i + 1) report.found('wrong', `place ${i + 1} of chat ${message.chatId} has seq ${message.seq}`);
      if (found.has(message.clientId)) report.found('duplicated', `${message.clientId} is in the history twice`);
      found.set(message.clientId, message);
      if (!entry) report.found('wrong', `nobody wrote ${JSON.stringify(message)}`);
      else if (!['content', 'senderId', 'receiverId'].every(name => message[name] === entry[name])) {
        report.found('wrong', `${message.clientId} was written as ${JSON.stringify(entry)}, and is ${JSON.stringify(message)}`);
      }
    }
  }
  for (const { clientId, acks } of ledger.messages.values()) {
    if (acks.length === 0) continue;
    report.acked++;
    const message = found.get(clientId);
    if (!message) report.found('lost', `${clientId} was acknowledged, and is not in the history`);
    else for (const { reply } of acks) {
      if (!isEqual(withoutSeen(reply), withoutSeen(message))) {
        report.found('wrong', `${clientId} was acknowledged as ${JSON.stringify(reply)}, and is ${JSON.stringify(message)}`);
      }
    }
  }
}

function auditDevice(ledger, device, report) {
  const expected = expectations(ledger, device);
  const seen = new Set();
  const seqs = new Map();
  let last = 0;
  for (const received of device.received) {
    const { event, data, offset } = received;
    const key = keyOf(received);
    const { what, rule } = expected.get(key) ?? {};
    if (seen.has(key)) {
      report.found('duplicated', `${device.name} got ${key} again, at ${offset}`);
      continue;
    }
    seen.add(key);
    report.delivered++;
    if (!what || rule === 'never') {
      report.found('wrong', `${device.name} got ${key}, ${what ? 'its own doing' : 'which is not for it'}`);
    } else if (!isEqual(withoutSeen(data), withoutSeen(what))) {
      report.found('wrong', `${device.name} got ${JSON.stringify(data)}, which is ${JSON.stringify(what)}`);
    }
    if (!/^[1-9]\d*$/.test(offset)) report.found('wrong', `${device.name} got ${key} at the offset ${offset}`);
    const chat = `${event} ${data.chatId} ${data.readerId}`;
    if (Number(offset) <= last || data.seq <= (seqs.get(chat) ?? 0)) {
      report.found('reordered', `${device.name} got ${key} (seq ${data.seq}) at ${offset} behind ${last}`);
    }
    last = Math.max(last, Number(offset));
    seqs.set(chat, data.seq);
  }
  for (const [key, { rule }] of expected) {
    if (rule === 'once' && !seen.has(key)) report.found('lost', `${device.name} never got ${key}`);
  }
  if (device.unrecovered > 0) report.found('lost', `${device.name} could not resume, ${device.unrecovered} times`);
}

// One log a user: its devices agree on what lies at an offset, and among them leave no offset out.
function auditOffsets(ledger, report) {
  for (const userId of new Set(ledger.devices.map(device => device.userId))) {
    const devices = ledger.devices.filter(device => device.userId === userId);
    const log = new Map();
    for (const device of devices) {
      for (const received of device.received) {
        const key = keyOf(received);
        const other = log.get(received.offset) ?? key;
        if (other !== key) report.found('reordered', `${device.name} has ${key} at ${received.offset}, another device ${other}`);
        log.set(received.offset, key);
      }
    }
    const offsets = [...log.keys()].map(Number).sort((a, b) => a - b);
    const hole = offsets.findIndex((offset, i) => i > 0 && offset !== offsets[i - 1] + 1);
    if (devices.length > 1 && hole > 0) {
      report.found('wrong', `the log of ${devices[0].name} has nothing between ${offsets[hole - 1]} and ${offsets[hole]}`);
    }
  }
}

/** What is wrong with the books, and the numbers. */
export function audit(ledger) {
  const report = new Report();
  auditHistories(ledger, report);
  for (const device of ledger.devices) auditDevice(ledger, device, report);
  auditOffsets(ledger, report);
  const times = ledger.devices.flatMap(device => device.resumes).sort((a, b) => a - b);
  report.resumed = times.length;
  report.medianMs = Math.round(times[times.length >> 1] ?? 0);
  report.maxMs = Math.round(times.at(-1) ?? 0);
  return report;
}

/** Fails unless the books are in order; gives the numbers. */
export function check(ledger) {
  const report = audit(ledger);
  assert.ok(report.problems.length === 0, `${report}\n${report.problems.slice(0, shownProblems).join('\n')}`);
  return report;
}
