// psql as somebody uses it who keeps it open.

import { spawn } from 'node:child_process';

import { patienceMs } from './api.mjs';
import { postgresPrograms, until } from './server.mjs';

/** A session of psql that waits for what it is told. */
export class Psql {
  constructor(url) {
    this.child = spawn(`${postgresPrograms}/psql`, ['-X', '-A', '-t', '-q', '-d', url]);
    this.closed = new Promise(resolve => this.child.once('close', resolve));
    this.output = '';
    this.child.stdout.on('data', data => (this.output += data));
  }

  /** Runs SQL that gives one row, and gives that. */
  async run(sql) {
    this.output = '';
    this.child.stdin.write(`${sql};\n\\echo done\n`);
    return until(() => this.output.endsWith('done\n') && this.output.slice(0, -6), sql, patienceMs);
  }

  /** Ends it, and what it had begun. */
  async end() {
    this.child.stdin.end();
    await this.closed;
  }
}
