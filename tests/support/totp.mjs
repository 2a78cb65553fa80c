// What an authenticator app does.

import { createHmac } from 'node:crypto';

/** What an app shows for this secret, `steps` of 30 s from now (RFC 6238). */
export function codeOf(secret, steps = 0) {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
  const bits = [...secret].map(c => alphabet.indexOf(c).toString(2).padStart(5, '0')).join('');
  const key = Buffer.from(bits.match(/.{8}/g).map(byte => parseInt(byte, 2)));
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30_000) + steps));
  const mac = createHmac('sha1', key).update(counter).digest();
  const offset = mac[19] & 15;
  return ((mac.readUInt32BE(offset) & 0x7fffffff) % 1_000_000).toString().padStart(6, '0');
}

/** A code that the secret does not make about now. */
export function wrongCode(secret) {
  const right = [-2, -1, 0, 1, 2].map(steps => codeOf(secret, steps));
  return ['000000', '111111', '222222', '333333', '444444', '555555'].find(code => !right.includes(code));
}
