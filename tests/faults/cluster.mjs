// Nodes on one database, each behind a proxy (`fronts`), and perhaps with a proxy between it and the database (`lines`), or
// between it and a Redis (`redisLines`).
//
// STONECHAT_FAULT_NODES says how many nodes there are. Whoever asks for `url` gets them in turn: a client that comes back
// comes to another one.

import { chmodSync } from 'node:fs';
import path from 'node:path';

import {
  query, sharedPostgres, startPostgres, startRedis, startServer, temporaryDirectory, until,
} from '../support/server.mjs';
import { Proxy } from './proxy.mjs';

export const nodeCount = Number(process.env.STONECHAT_FAULT_NODES ?? 1);

/** How often each fault strikes: FAULT_ROUNDS. */
export const rounds = Number(process.env.FAULT_ROUNDS ?? 1);

// What is dead is to be found out soon.
const environment = {
  PING_INTERVAL_MS: '1500',
  PING_TIMEOUT_MS: '1500',
  PRESENCE_GRACE_MS: '500',
  PRESENCE_LEASE_SECONDS: '3',
};

export class Cluster {
  nodes = [];
  fronts = [];
  lines = [];
  redisLines = [];
  #turn = 0;

  /**
   * `hasOwnPostgres`: there is `postgres`, which may be stopped, and there are `lines`; `hasRedis`: there is `redis`, and
   * there are `redisLines`.
   */
  static async start({ nodes = nodeCount, hasOwnPostgres = false, hasRedis = false, env = {} } = {}) {
    const cluster = new Cluster();
    try {
      if (hasOwnPostgres) cluster.postgres = await startPostgres();
      if (hasRedis) cluster.redis = await startRedis();
      cluster.databaseUrl = await (cluster.postgres ?? (await sharedPostgres())).createDatabase();
      for (let i = 0; i < nodes; i++) {
        const databaseUrl = hasOwnPostgres ? await cluster.#layLine() : cluster.databaseUrl;
        const redis = hasRedis ? { REDIS_URL: await cluster.#layRedisLine() } : {};
        const server = await startServer({ env: { ...environment, ...redis, ...env }, databaseUrl });
        cluster.nodes.push(server);
        cluster.fronts.push(await Proxy.start(() => server.port));
      }
      return cluster;
    } catch (error) {
      await cluster.stop();
      throw error;
    }
  }

  // The socket of the database that the node sees is the proxy's.
  async #layLine() {
    const name = '.s.PGSQL.5432';
    const directory = temporaryDirectory();
    this.lines.push(await Proxy.start(() => path.join(this.postgres.sockets, name), path.join(directory, name)));
    chmodSync(directory, 0o755); // the server does not stay root
    chmodSync(path.join(directory, name), 0o777);
    return this.databaseUrl.replace(/host=.*/, `host=${encodeURIComponent(directory)}`);
  }

  async #layRedisLine() {
    const line = await Proxy.start(() => this.redis.port);
    this.redisLines.push(line);
    return `redis://127.0.0.1:${line.port}`;
  }

  get #proxies() {
    return [...this.lines, ...this.redisLines, ...this.fronts];
  }

  get urls() {
    return this.fronts.map(({ port }) => `http://127.0.0.1:${port}`);
  }

  /** The next node. */
  get url() {
    this.#turn = (this.#turn + 1) % this.fronts.length;
    return this.urls[this.#turn];
  }

  /** SQL, past the proxies. */
  query(sql) {
    return query(this.databaseUrl, sql);
  }

  /** How many devices the nodes take for connected. */
  async countSessions() {
    let count = 0;
    for (const node of this.nodes) {
      const text = await (await fetch(`${node.url}/metrics`)).text();
      count += Number(/^stonechat_sessions (\d+)$/m.exec(text)[1]);
    }
    return count;
  }

  async isReady() {
    const answers = this.nodes.map(node => fetch(`${node.url}/health/ready`, { signal: AbortSignal.timeout(2000) }));
    return (await Promise.allSettled(answers)).every(({ value }) => value?.status === 200);
  }

  ready() {
    return until(() => this.isReady(), 'all nodes to be ready', 60_000);
  }

  /** Waits until all nodes are subscribed. */
  subscribed() {
    const count = async () => (await this.redis.command('PUBSUB', 'NUMSUB', 'stonechat:nodes').catch(() => '')).split('\n')[1];
    return until(async () => Number(await count()) === this.nodes.length, 'all nodes to be subscribed', 60_000);
  }

  async stop() {
    for (const proxy of this.#proxies) proxy.heal();
    const results = await Promise.allSettled(this.nodes.map(node => node.stop()));
    for (const proxy of this.#proxies) await proxy.stop();
    await this.postgres?.destroy();
    await this.redis?.stop();
    const failure = results.find(({ status }) => status === 'rejected');
    if (failure) throw failure.reason;
  }
}
