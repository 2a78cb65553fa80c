// Starts what the tests need, each on a free port and below a temporary directory of its own: a PostgreSQL, a Redis, and
// the server under test. Nothing outlives the test process: children get a signal when it dies, however it dies.
//
//   const server = await startServer({env: {LOCKOUT_MINUTES: '1'}});
//   await fetch(`${server.url}/health`);
//   await server.stop();     // fails when the server did not end cleanly, or a sanitizer reported something
//
// STONECHAT_BINARY names the program (default: build/release/stonechat). Servers share one PostgreSQL, in a database each;
// a test that stops PostgreSQL starts one for itself and passes it as `postgres`.

import { execFile, execFileSync, spawn } from 'node:child_process';
import { chownSync, mkdirSync, mkdtempSync, openSync, closeSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import readline from 'node:readline';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

export const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
export const jwtSecret = 'f2b7c1d09e8a4c63b5d7e0f1928374650a1b2c3d4e5f6071';

export const postgresPrograms = '/usr/lib/postgresql/15/bin';
const startTimeoutMs = 60_000;
const stopTimeoutMs = 60_000;
const directories = new Set();
const children = new Set();

process.on('exit', () => {
  for (const child of children) child.kill('SIGKILL');
  for (const directory of directories) rmSync(directory, { recursive: true, force: true, maxRetries: 5 });
});
// Not once: a second signal must not cut the tidying short.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => process.exit(1));

/** Waits until `probe` gives something true, and gives that; fails with `what` after `timeoutMs`. */
export async function until(probe, what, timeoutMs = 20_000) {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    const value = await probe();
    if (value) return value;
    if (Date.now() > deadline) throw new Error(`waited ${timeoutMs} ms for ${what}`);
    await new Promise(resolve => setTimeout(resolve, 20));
  }
}

/** A port of the loopback interface on which nobody listens. */
export async function freePort() {
  const listener = net.createServer();
  await new Promise((resolve, reject) => listener.once('error', reject).listen(0, '127.0.0.1', resolve));
  const { port } = listener.address();
  await new Promise(resolve => listener.close(resolve));
  return port;
}

export function temporaryDirectory() {
  const directory = mkdtempSync(path.join(os.tmpdir(), 'stonechat-'));
  directories.add(directory);
  return directory;
}

/** One that is valid from one Date to another; openssl req knows no dates, and openssl ca no defaults. */
export function certificateOf(from, to, name = 'stonechat') {
  const directory = temporaryDirectory();
  const [key, certificate, request] = ['key.pem', 'certificate.pem', 'request.pem'].map(file => path.join(directory, file));
  const openssl = (...args) => execFileSync('openssl', args, { cwd: directory, stdio: 'ignore' });
  const date = at => `${at.toISOString().replace(/[-:T]|\.\d+/g, '')}`;
  writeFileSync(path.join(directory, 'index'), '');
  writeFileSync(path.join(directory, 'ca.cnf'), `[ca]\ndefault_ca=own\n[own]\ndatabase=index\nnew_certs_dir=.\nrand_serial=yes
default_md=sha256\npolicy=any\n[any]\ncommonName=supplied\n`);
  openssl('req', '-new', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', key, '-out', request,
    '-subj', `/CN=${name}`);
  openssl('ca', '-config', 'ca.cnf', '-batch', '-selfsign', '-notext', '-keyfile', key, '-in', request, '-out', certificate,
    '-startdate', date(from), '-enddate', date(to));
  return { key, certificate };
}

/** The files `{key, certificate}` of a certificate for these names (`DNS:localhost,IP:127.0.0.1`), signed by itself. */
export function temporaryCertificate(names) {
  const directory = temporaryDirectory();
  const [key, certificate] = ['key.pem', 'certificate.pem'].map(file => path.join(directory, file));
  execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes',
    '-keyout', key, '-out', certificate, '-subj', '/CN=stonechat', '-addext', `subjectAltName=${names}`, '-days', '2',
  ], { stdio: 'ignore' });
  return { key, certificate };
}

function removeDirectory(directory) {
  rmSync(directory, { recursive: true, force: true, maxRetries: 5 });
  directories.delete(directory);
}

// The arguments of setpriv: end with us, and when we are root, be the user that PostgreSQL accepts.
function privileges(signal, user) {
  const args = [`--pdeathsig=${signal}`];
  if (user) args.push(`--reuid=${user.uid}`, `--regid=${user.gid}`, '--clear-groups');
  return args;
}

function postgresUser() {
  if (process.getuid() !== 0) return null;
  const id = flag => Number(execFileSync('id', [flag, 'postgres'], { encoding: 'utf8' }));
  return { name: 'postgres', uid: id('-u'), gid: id('-g') };
}

function launch(signal, user, command, args, options) {
  const child = spawn('setpriv', [...privileges(signal, user), command, ...args], options);
  children.add(child);
  child.ended = new Promise(resolve => {
    child.once('error', error => resolve({ code: null, signal: null, error }));
    child.once('close', (code, ended) => {
      children.delete(child);
      resolve({ code, signal: ended });
    });
  });
  return child;
}

async function end(child, signal) {
  child.kill(signal);
  let timer;
  const late = new Promise(resolve => {
    timer = setTimeout(() => {
      child.kill('SIGKILL');
      resolve(null);
    }, stopTimeoutMs);
  });
  const result = await Promise.race([child.ended, late]);
  clearTimeout(timer);
  if (result === null) throw new Error(`${child.spawnargs.at(-1)} did not end ${stopTimeoutMs} ms after ${signal}`);
  return result;
}

/** Runs `sql` by psql and gives its output: a line a row, columns separated by |. */
export async function query(databaseUrl, sql) {
  const args = ['-X', '-A', '-t', '-q', '-v', 'ON_ERROR_STOP=1', '-d', databaseUrl, '-c', sql];
  const { stdout } = await promisify(execFile)(`${postgresPrograms}/psql`, args, { maxBuffer: 64 << 20 });
  return stdout.replace(/\n$/, '');
}

/** A PostgreSQL: its sockets, and how to make a database in it. */
export class Postgres {
  constructor(sockets) {
    this.sockets = sockets;
  }

  url(database = 'postgres') {
    return `postgresql://stonechat@/${database}?host=${encodeURIComponent(this.sockets)}`;
  }

  /** A new database with the schema of migrations/ (or an empty one); gives its URL. */
  async createDatabase({ migrate = true } = {}) {
    const name = `test_${process.pid}_${Math.random().toString(36).slice(2, 10)}`;
    if (migrate) await this.makeTemplate();
    await query(this.url(), `CREATE DATABASE ${name} TEMPLATE ${migrate ? migrated : 'template1'}`);
    return this.url(name);
  }

  /** The schema is applied once, to a database of which the others are copies. */
  makeTemplate() {
    this.template ??= (async () => {
      await query(this.url(), `CREATE DATABASE ${migrated}`);
      await migrateUp(this.url(migrated));
      await makeServerRole(this.url(migrated));
    })();
    return this.template;
  }
}

const migrated = 'migrated';

/** Who the server under test logs in as: somebody with no more rights than a server needs. */
const serverRole = 'stonechat_server';
const asServer = databaseUrl => databaseUrl.replace('postgresql://stonechat@/', `postgresql://${serverRole}@/`);

async function makeServerRole(databaseUrl) {
  await query(databaseUrl, `CREATE ROLE ${serverRole} LOGIN IN ROLE stonechat_app`);
}

export async function migrateUp(databaseUrl) {
  const env = { ...process.env, DATABASE_URL: databaseUrl, PATH: `${postgresPrograms}:${process.env.PATH}` };
  await promisify(execFile)(path.join(root, 'scripts/migrate'), ['up'], { env });
}

class OwnPostgres extends Postgres {
  constructor(settings = []) {
    const directory = temporaryDirectory();
    super(path.join(directory, 'sockets'));
    this.directory = directory;
    this.data = path.join(directory, 'data');
    this.settings = settings;
    /** What start() starts, with postgres's arguments. */
    this.program = `${postgresPrograms}/postgres`;
    this.user = postgresUser();
    const { uid, gid } = this.user ?? { uid: process.getuid(), gid: process.getgid() };
    mkdirSync(this.sockets, { mode: 0o700 });
    chownSync(this.directory, uid, gid);
    chownSync(this.sockets, uid, gid);
  }

  /** Runs a command as the user that PostgreSQL runs as, with its programs at hand, and gives its output. */
  async run(command, ...args) {
    const env = { ...process.env, PATH: `${postgresPrograms}:${process.env.PATH}` };
    const all = [...privileges('KILL', this.user), command, ...args];
    return (await promisify(execFile)('setpriv', all, { cwd: this.directory, env })).stdout;
  }

  initialise() {
    return this.run('initdb', '-D', this.data, '-U', 'stonechat', '-A', 'trust', '-E', 'UTF8', '--locale=C.UTF-8', '--no-sync');
  }

  /** Copies another one, to follow it as a standby. */
  follow(primary) {
    return this.run('pg_basebackup', '-d', primary.url(), '-D', this.data, '-R', '-X', 'stream', '-c', 'fast', '--no-sync');
  }

  /** A standby becomes the primary. */
  promote() {
    return this.run('pg_ctl', 'promote', '-w', '-D', this.data);
  }

  /** Starts it, or starts it again after stop() or kill(). */
  async start() {
    const log = openSync(path.join(this.directory, 'log'), 'a');
    const settings = ['listen_addresses=', 'fsync=off', 'max_connections=200', 'max_wal_size=256MB', ...this.settings];
    const args = ['-D', this.data, '-k', this.sockets, ...settings.flatMap(s => ['-c', s])];
    this.child = launch('QUIT', this.user, this.program, args,
      { cwd: '/', stdio: ['ignore', log, log] });
    closeSync(log);
    this.child.unref();
    await until(async () => {
      if (this.child.exitCode !== null) {
        throw new Error(`PostgreSQL ended:\n${readFileSync(path.join(this.directory, 'log'), 'utf8')}`);
      }
      return query(this.url(), 'SELECT 1').catch(() => null);
    }, 'PostgreSQL', startTimeoutMs);
  }

  /** A fast shutdown; the data stays for start(). */
  async stop() {
    await end(this.child, 'SIGINT');
  }

  /** An immediate shutdown, as by a crash; the data stays for start(). */
  async kill() {
    await end(this.child, 'SIGQUIT');
  }

  /** Stops it and removes the data. */
  async destroy() {
    if (this.child.exitCode === null && this.child.signalCode === null) await this.stop();
    removeDirectory(this.directory);
  }
}

/** A PostgreSQL of its own, for a test that stops it or looks at all of it; with settings like `archive_mode=on`. */
export async function startPostgres(...settings) {
  const postgres = new OwnPostgres(settings);
  await postgres.initialise();
  await postgres.start();
  return postgres;
}

/** A standby that follows `primary`. */
export async function startStandby(primary) {
  const standby = new OwnPostgres();
  await standby.follow(primary);
  await standby.start();
  return standby;
}

/** The one of with-services.mjs, which has made the template. */
class SharedPostgres extends Postgres {
  async makeTemplate() {}
}

let shared;

/** The PostgreSQL that tests share: the one that scripts/test has started, else one for this process. */
export function sharedPostgres() {
  const sockets = process.env.STONECHAT_TEST_POSTGRES;
  shared ??= sockets ? Promise.resolve(new SharedPostgres(sockets)) : startPostgres();
  return shared;
}

/** A Redis without persistence. */
class Redis {
  constructor(directory, port, args) {
    this.directory = directory;
    this.port = port;
    this.args = args;
    this.url = `redis://127.0.0.1:${port}`;
  }

  /** Starts it, or starts it again, empty, after kill(). */
  async start() {
    const args = ['--port', `${this.port}`, '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', '--dir', this.directory];
    this.child = launch('KILL', null, 'redis-server', [...args, ...this.args], { cwd: this.directory, stdio: 'ignore' });
    this.child.unref();
    await until(async () => {
      if (this.child.exitCode !== null) throw new Error(`redis-server ended with ${this.child.exitCode}`);
      return new Promise(resolve => {
        const socket = net.connect(this.port, '127.0.0.1', () => resolve(socket.destroy()));
        socket.on('error', () => resolve(null));
      });
    }, 'Redis', startTimeoutMs);
  }

  /** SIGKILL. */
  async kill() {
    await end(this.child, 'SIGKILL');
  }

  /** SIGSTOP and SIGCONT: its connections stay, and nothing is answered meanwhile. */
  pause() {
    this.child.kill('SIGSTOP');
  }

  resume() {
    this.child.kill('SIGCONT');
  }

  /** Runs a command by redis-cli and gives its output: a line a value. */
  async command(...args) {
    const { stdout } = await promisify(execFile)('redis-cli', ['-p', `${this.port}`, ...args]);
    return stdout.replace(/\n$/, '');
  }

  async stop() {
    await this.kill();
    removeDirectory(this.directory);
  }
}

/** A Redis of its own, with more arguments for redis-server. */
export async function startRedis(...args) {
  const redis = new Redis(temporaryDirectory(), await freePort(), args);
  await redis.start();
  return redis;
}

function isHealthy(url, pathname) {
  const { get } = url.startsWith('https:') ? https : http;
  return new Promise(resolve => {
    get(`${url}${pathname}`, { rejectUnauthorized: false, agent: false, timeout: 5000 }, response => {
      response.resume();
      response.on('end', () => resolve(response.statusCode === 200));
    }).on('error', () => resolve(false)).on('timeout', function () {
      this.destroy();
    });
  });
}

const sanitizerReport = /ERROR: (Address|Leak)Sanitizer|WARNING: ThreadSanitizer|runtime error:|Assertion .* failed/;

class Server {
  constructor(binary, env, port) {
    this.binary = binary;
    this.env = env;
    this.port = port;
    this.url = `${env.TLS_CERT ? 'https' : 'http'}://127.0.0.1:${port}`;
    this.databaseUrl = env.DATABASE_URL;
    this.directory = temporaryDirectory();
    /** What it wrote, line by line: parsed where it is JSON, else `{text}`. */
    this.logs = [];
  }

  get pid() {
    return this.child.pid;
  }

  /** Starts it, and waits until it answers; with `log`, a descriptor or 'pipe', what it writes goes there, unread. */
  async start({ log } = {}) {
    this.launch(log);
    const { child } = this;
    await until(async () => {
      if (child.exitCode !== null || child.signalCode !== null) {
        await child.ended;
        throw new Error(`the server ended with ${child.exitCode ?? child.signalCode}:\n${this.logText()}`);
      }
      return isHealthy(this.url, '/health/ready');
    }, 'the server', startTimeoutMs).catch(error => {
      child.kill('SIGKILL');
      throw error;
    });
  }

  launch(log) {
    const child = launch('KILL', null, this.binary, [],
      { cwd: this.directory, env: this.env, stdio: ['ignore', 'pipe', log ?? 'pipe'] });
    this.child = child;
    for (const stream of log === undefined ? [child.stdout, child.stderr] : [child.stdout]) {
      readline.createInterface({ input: stream }).on('line', line => this.logs.push(parseLine(line)));
    }
  }

  logText() {
    return this.logs.map(line => line.text ?? JSON.stringify(line)).join('\n');
  }

  /** Waits for a line of the log for which `matches` is true, and gives it. */
  waitForLog(matches, timeoutMs) {
    return until(() => this.logs.find(matches), 'a line of the log', timeoutMs);
  }

  /** Runs SQL in the server's database. */
  query(sql) {
    return query(this.databaseUrl, sql);
  }

  /** SIGTERM; fails unless the server ends with 0 and no sanitizer has reported anything. */
  async stop() {
    if (this.child.exitCode === null && this.child.signalCode === null) {
      await end(this.child, 'SIGTERM');
    }
    const { code, signal } = await this.child.ended;
    removeDirectory(this.directory);
    this.checkReports();
    if (code !== 0) throw new Error(`the server ended with ${code ?? signal}:\n${this.logText()}`);
  }

  /** SIGKILL, as by a crash. */
  async kill() {
    await end(this.child, 'SIGKILL');
    this.checkReports();
  }

  /** Ends it (by stop, or by kill when `isCrash`), and starts it again on the same port and database. */
  async restart({ isCrash = false, env = {} } = {}) {
    await (isCrash ? this.kill() : this.stop());
    mkdirSync(this.directory, { recursive: true });
    directories.add(this.directory);
    Object.assign(this.env, env);
    await this.start();
  }

  checkReports() {
    const text = this.logText();
    if (sanitizerReport.test(text)) throw new Error(`a report in the server's output:\n${text}`);
  }
}

function parseLine(line) {
  try {
    const value = JSON.parse(line);
    return value !== null && typeof value === 'object' ? value : { text: line };
  } catch {
    return { text: line };
  }
}

// What the server is started with, unless a test says otherwise: quick hashes, no rate limits, short waits.
function serverEnvironment(port, databaseUrl, env) {
  const inherited = ['PATH', 'HOME', 'LANG', 'ASAN_OPTIONS', 'TSAN_OPTIONS', 'UBSAN_OPTIONS', 'LSAN_OPTIONS'];
  const support = path.join(root, 'tests/support');
  return {
    ASAN_OPTIONS: 'detect_stack_use_after_return=1:strict_string_checks=1',
    UBSAN_OPTIONS: 'print_stacktrace=1',
    LSAN_OPTIONS: `suppressions=${support}/lsan.supp:print_suppressions=0`,
    TSAN_OPTIONS: `suppressions=${support}/tsan.supp:second_deadlock_stack=1`,
    ...Object.fromEntries(inherited.filter(name => name in process.env).map(name => [name, process.env[name]])),
    STONECHAT_ENV: 'test',
    HOST: '127.0.0.1',
    PORT: `${port}`,
    WORKERS: '2',
    DATABASE_URL: asServer(databaseUrl),
    RUN_AS: postgresUser()?.name ?? 'nobody',
    JWT_SECRET: jwtSecret,
    SHARE_DIR: root,
    LOG_FORMAT: 'json',
    ARGON2_MEMORY_KIB: '256',
    ARGON2_ITERATIONS: '1',
    RATE_LIMIT_DISABLED: '1',
    DRAIN_SECONDS: '2',
    ...env,
  };
}

/**
 * Starts a server and waits until it answers.
 * `env` adds to its environment; `preset` chooses build/<preset>/stonechat; `databaseUrl` a database that is there
 * already; `postgres` where to make a new one.
 */
export async function startServer(options) {
  const server = await prepareServer(options);
  await server.start();
  return server;
}

/** The same, not started yet: launch() starts it without waiting. */
export async function prepareServer({ env = {}, preset, binary, databaseUrl, postgres } = {}) {
  const program = binary ?? (preset ? path.join(root, 'build', preset, 'stonechat') : testedBinary());
  const url = databaseUrl ?? env.DATABASE_URL ?? (await (await (postgres ?? sharedPostgres())).createDatabase());
  const port = env.PORT ?? (await freePort());
  const server = new Server(program, serverEnvironment(port, url, env), Number(port));
  server.databaseUrl = url;
  return server;
}

/** The program under test. */
export function testedBinary() {
  return path.resolve(root, process.env.STONECHAT_BINARY ?? 'build/release/stonechat');
}
