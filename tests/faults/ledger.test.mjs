// The checker itself: books that are in order pass, and each way to spoil them is noticed.

import assert from 'node:assert/strict';
import { beforeEach, describe, test } from 'node:test';

import { Ledger, audit, check, missing } from './ledger.mjs';

const alice = 'a';
const bob = 'b';

describe('the ledger', () => {
  let ledger, laptop, tablet, phone;

  // Alice's laptop writes ten messages to Bob, who reads every second one on his phone; her tablet looks on.
  beforeEach(() => {
    ledger = new Ledger();
    laptop = ledger.device('laptop', alice);
    tablet = ledger.device('tablet', alice);
    phone = ledger.device('phone', bob);
    const messages = [];
    let offset = 0;
    for (let seq = 1; seq <= 10; seq++) {
      const entry = ledger.sending(`client ${seq}`, alice, bob, `message ${seq}`);
      const message = {
        id: `m${seq}`, chatId: 'c', seq, senderId: alice, receiverId: bob, content: entry.content,
        clientId: entry.clientId, seen: false, createdAt: '2026-01-01T00:00:00.000Z',
      };
      entry.tries.add('laptop');
      ledger.acked(entry, message);
      offset++;
      tablet.onEvent('private-message', message, `${offset}`);
      phone.onEvent('private-message', message, `${seq}`);
      messages.push({ ...message, seen: seq % 2 === 0 });
      if (seq % 2 !== 0) continue;
      const receipt = ledger.reading(message, bob);
      receipt.tries.add('phone');
      receipt.isAcked = true;
      offset++;
      const data = { messageId: message.id, userId: bob, readerId: bob, chatId: 'c', seq };
      for (const device of [laptop, tablet]) device.onEvent('message_read', data, `${offset}`);
    }
    ledger.histories = [{ members: [alice, bob], messages }];
  });

  const swap = (list, i, j) => ([list[i], list[j]] = [list[j], list[i]]);
  const fails = kind => {
    assert.ok(audit(ledger)[kind] > 0, `${audit(ledger)}\n${audit(ledger).problems.join('\n')}`);
    assert.throws(() => check(ledger), new RegExp(kind));
  };

  test('books that are in order pass', () => {
    const report = check(ledger);
    assert.deepEqual([report.acked, report.delivered, report.resumed], [10, 30, 0]);
    assert.deepEqual(missing(ledger), []);
  });

  test('an event that is dropped is lost', () => {
    phone.received.splice(4, 1);
    assert.deepEqual(missing(ledger), ['phone: private-message m5']);
    fails('lost');
  });

  test('so is the last one, or a receipt', () => {
    tablet.received.pop();
    assert.deepEqual(missing(ledger), ['tablet: message_read m10']);
    fails('lost');
  });

  test('an event that comes again is duplicated', () => {
    phone.received.push(phone.received[4]);
    fails('duplicated');
    phone.received.pop();
    phone.received.splice(5, 0, { ...phone.received[4], offset: '6' });
    fails('duplicated');
  });

  test('two events that are swapped are reordered, also when their offsets are not', () => {
    swap(phone.received, 3, 4);
    fails('reordered');
    const [one, other] = [phone.received[3], phone.received[4]];
    [one.offset, other.offset] = [other.offset, one.offset];
    fails('reordered');
  });

  test('devices that disagree about the order are noticed', () => {
    const [receipt, message] = [tablet.received[2], tablet.received[3]];
    swap(tablet.received, 2, 3);
    [receipt.offset, message.offset] = [message.offset, receipt.offset];
    fails('reordered');
  });

  test('a hole in the history is noticed', () => {
    ledger.histories[0].messages.splice(4, 1);
    fails('wrong');
    fails('lost');
  });

  test('a hole in seq is noticed', () => {
    for (const { messages } of ledger.histories) for (const message of messages.slice(4)) message.seq++;
    fails('wrong');
  });

  test('a message that is there twice is noticed', () => {
    const { messages } = ledger.histories[0];
    messages.push({ ...messages[3], id: 'another', seq: 11 });
    fails('duplicated');
  });

  test('a message that nobody wrote is noticed, in a history and on a device', () => {
    const { messages } = ledger.histories[0];
    messages.push({ ...messages[3], id: 'another', clientId: 'another', seq: 11 });
    fails('wrong');
    messages.pop();
    phone.onEvent('private-message', { ...messages[3], id: 'another', seq: 11 }, '11');
    fails('wrong');
  });

  test('an event with other data is noticed', () => {
    phone.received[2].data = { ...phone.received[2].data, content: 'message 4' };
    fails('wrong');
  });

  test('an acknowledgement of another message is noticed', () => {
    const [first, second] = [...ledger.messages.values()];
    ledger.acked(first, second.acks[0].reply);
    fails('wrong');
  });

  test('an event without an offset, and a hole in the offsets, are noticed', () => {
    phone.received[9].offset = undefined;
    fails('wrong');
    phone.received[9].offset = '10';
    for (const device of [laptop, tablet]) {
      for (const received of device.received) received.offset = `${Number(received.offset) + (received.offset > 7)}`;
    }
    fails('wrong');
  });

  test('a device that is told what it did itself is noticed, unless another try may have done it', () => {
    const message = ledger.histories[0].messages[9];
    laptop.received.splice(4, 0, { event: 'private-message', data: message, offset: '14' });
    fails('wrong');
    ledger.messages.get(message.clientId).tries.add('rest');
    check(ledger);
    laptop.received.splice(4, 1);
    check(ledger);
  });

  test('a device that could not resume has lost something', () => {
    phone.onGone();
    phone.onBack(true);
    assert.equal(check(ledger).resumed, 1);
    phone.onGone();
    phone.onBack(false);
    fails('lost');
  });

  test('what was never acknowledged may be there or not', () => {
    ledger.sending('given up', alice, bob, 'lost?').tries.add('laptop');
    check(ledger);
    const { messages } = ledger.histories[0];
    const message = { ...messages[9], id: 'm11', seq: 11, content: 'lost?', clientId: 'given up', seen: false };
    messages.push(message);
    assert.equal(missing(ledger).length, 2);
    tablet.onEvent('private-message', message, '16');
    phone.onEvent('private-message', message, '11');
    check(ledger);
  });
});
