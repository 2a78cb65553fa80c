// Runs a command with a PostgreSQL and a Redis that end with it: node with-services.mjs COMMAND ARGUMENTS…
// The command finds them in STONECHAT_TEST_POSTGRES (the directory of its sockets), STONECHAT_TEST_DATABASE_URL (a migrated
// database) and STONECHAT_TEST_REDIS_URL; the descriptions of swagger/, as JSON, in STONECHAT_TEST_DESCRIPTIONS.

import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import path from 'node:path';

import { asyncapi, openapi } from './descriptions.mjs';
import { startPostgres, startRedis, temporaryDirectory } from './server.mjs';

const [command, ...args] = process.argv.slice(2);
const descriptions = path.join(temporaryDirectory(), 'descriptions.json');
writeFileSync(descriptions, JSON.stringify({ openapi, asyncapi }));
const postgres = await startPostgres();
const redis = await startRedis();
const env = {
  ...process.env,
  STONECHAT_TEST_POSTGRES: postgres.sockets,
  STONECHAT_TEST_DATABASE_URL: await postgres.createDatabase(),
  STONECHAT_TEST_REDIS_URL: redis.url,
  STONECHAT_TEST_DESCRIPTIONS: descriptions,
};
const child = spawn(command, args, { env, stdio: 'inherit' });
process.on('exit', () => child.kill());
const status = await new Promise(resolve => {
  child.once('error', error => {
    console.error(error.message);
    resolve(127);
  });
  child.once('close', (code, signal) => resolve(signal ? 1 : code));
});
await redis.stop();
await postgres.destroy();
process.exit(status);
