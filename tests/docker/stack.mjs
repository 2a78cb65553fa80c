// What docker/compose.yaml starts, as tests/docker/with-docker has built it.
//
//   const stack = await Stack.up();
//   await fetch(`${stack.url}/health`);   // through the proxy
//   await stack.down();

import assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import { promisify } from 'node:util';

import { freePort, until } from '../support/server.mjs';

const patienceMs = 120_000;
const limits = ['requests', 'logins', 'events', 'polls', 'reads', 'messages', 'receipts', 'contacts', 'typing'];

function hasPlugin() {
  try {
    execFileSync('docker', ['compose', 'version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

const composeCommand = hasPlugin() ? ['docker', 'compose'] : ['docker-compose'];

async function run(env, command, ...args) {
  const { stdout } = await promisify(execFile)(command, args, { env: { ...process.env, ...env }, maxBuffer: 64 << 20 });
  return stdout.trimEnd();
}

export class Stack {
  /** Starts all of it, on free ports and without the limits that are by address: all people of a test have the same. */
  static async up() {
    const stack = new Stack();
    const [http, https, prometheus] = [await freePort(), await freePort(), await freePort()];
    stack.env = {
      HTTP_PORT: `127.0.0.1:${http}`,
      HTTPS_PORT: `127.0.0.1:${https}`,
      PROMETHEUS_PORT: `127.0.0.1:${prometheus}`,
      SUBNET: '172.30.58.0/24', // another one may run on this host as it stands there
      WORKERS: '5',
      RATE_LIMITS: limits.map(name => `${name}=off`).join(),
    };
    stack.url = `http://127.0.0.1:${http}`;
    stack.httpsUrl = `https://127.0.0.1:${https}`;
    stack.prometheusUrl = `http://127.0.0.1:${prometheus}`;
    await stack.compose('up', '--detach', '--no-build');
    return stack;
  }

  compose(...args) {
    return run(this.env, ...composeCommand, ...args);
  }

  docker(...args) {
    return run({}, 'docker', ...args);
  }

  /** Runs a command in the container of a service; gives its output. */
  async exec(service, ...command) {
    return this.docker('exec', await this.#id(service), ...command);
  }

  async #id(service) {
    const id = await this.compose('ps', '--all', '--quiet', service).catch(() => this.compose('ps', '--quiet', service));
    assert.match(id, /^[0-9a-f]+$/, `one container of ${service}`);
    return id;
  }

  /** What docker tells of the container of a service. */
  async inspect(service) {
    return JSON.parse(await this.docker('inspect', await this.#id(service)))[0];
  }

  healthy(...services) {
    return Promise.all(services.map(service => until(async () => {
      const { State, RestartCount } = await this.inspect(service);
      return State.Health?.Status === 'healthy' && RestartCount === 0;
    }, `${service} to be healthy`, patienceMs)));
  }

  /** What PostgreSQL answers to the owner of the database. */
  sql(statement) {
    const script = 'PGPASSWORD=$(cat "$OWNER_PASSWORD_FILE") exec psql -XAtq -h /tmp -U stonechat -c "$1"';
    return this.exec('postgres', 'bash', '-c', script, 'psql', statement);
  }

  /** Puts a new container in the place of a service's. */
  recreate(service) {
    return this.compose('up', '--detach', '--no-build', '--no-deps', '--force-recreate', service);
  }

  /** The metrics of a node, at METRICS_ADDR. */
  metrics(service) {
    const script = 'exec 3<>/dev/tcp/127.0.0.1/9100; printf "GET /metrics HTTP/1.0\\r\\n\\r\\n" >&3; cat <&3';
    return this.exec(service, 'bash', '-c', script);
  }

  /** How many devices the node has. */
  async sessions(service) {
    return Number(/^stonechat_sessions (\d+)$/m.exec(await this.metrics(service))[1]);
  }

  async down() {
    await this.compose('down', '--volumes', '--timeout', '5');
  }
}
