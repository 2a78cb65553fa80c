// Attacks that others have to live through: what somebody else notices of one, and what it costs the server in memory.

import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';

import { testedBinary } from './server.mjs';

const maxGrowthBytes = 100e6;
const isSanitized = /\/(asan|tsan)\//.test(testedBinary()); // their memory is not the program's

function memoryOf(server, name) {
  return 1024 * Number(new RegExp(`${name}:\\s+(\\d+)`).exec(readFileSync(`/proc/${server.pid}/status`, 'utf8'))[1]);
}

/**
 * Runs `attack` while `other`, a Client, reads her chats: she is served, and the server's memory stays where it was. Tells
 * how long the slowest hundredth of her requests took, and by how much the memory grew at its peak.
 */
export async function endure(t, server, other, attack) {
  const rest = memoryOf(server, 'VmRSS');
  writeFileSync(`/proc/${server.pid}/clear_refs`, '5'); // the peak starts anew
  let isOver = false;
  const times = [];
  const reading = (async () => {
    while (!isOver || times.length < 10) {
      const start = performance.now();
      assert.equal((await other.get('/api/chats')).status, 200);
      times.push(performance.now() - start);
    }
  })();
  reading.catch(() => {}); // awaited below
  try {
    await attack();
  } finally {
    isOver = true;
    await reading;
  }
  const growth = memoryOf(server, 'VmHWM') - rest;
  const p99 = times.sort((a, b) => a - b)[Math.floor(0.99 * times.length)];
  const sign = growth > 0 ? '+' : '';
  t.diagnostic(`${times.length} requests of somebody else, p99 ${p99.toFixed(1)} ms; memory ${sign}${(growth / 1e6).toFixed(1)} MB`);
  if (!isSanitized) assert.ok(growth < maxGrowthBytes, `the memory grew by ${growth}`);
}
