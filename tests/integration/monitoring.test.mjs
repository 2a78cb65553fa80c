// What docker/ brings for Prometheus and Grafana: sound, and about metrics that there are.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { after, before, describe, test } from 'node:test';
import { parse } from 'yaml';

import { friends, stopServer } from '../support/api.mjs';
import { freePort, root, startServer, temporaryCertificate, temporaryDirectory, until } from '../support/server.mjs';

const rulesFile = path.join(root, 'docker/prometheus/rules.yml');
const alertsFile = path.join(root, 'tests/support/alerts.yml');
const dashboard = JSON.parse(readFileSync(path.join(root, 'docker/grafana/dashboards/stonechat.json'), 'utf8'));
const rules = parse(readFileSync(rulesFile, 'utf8')).groups.flatMap(group => group.rules);
const charts = dashboard.panels.filter(panel => panel.type !== 'row');

/** Runs promtool; fails with what it said unless it is content. */
async function promtool(args, input = '') {
  const child = spawn('promtool', args, { cwd: root });
  child.stdin.end(input);
  const output = Promise.all([text(child.stdout), text(child.stderr)]);
  const code = await new Promise((resolve, reject) => child.on('error', reject).on('close', resolve));
  assert.equal(code, 0, (await output).join(''));
  return (await output).join('');
}

/** Names of Stonechat's metrics in an expression. */
const namesIn = expression => expression.match(/\bstonechat_[a-z0-9_]+/g) ?? [];

/** The labels that an expression selects or sums by, but for those that Prometheus adds. */
function labelsIn(expression) {
  const selected = [...expression.matchAll(/\{([^}]*)\}/g)].flatMap(([, inner]) => inner.match(/[a-z_]+(?=[=!])/g) ?? []);
  const grouped = [...expression.matchAll(/\bby \(([^)]*)\)/g)].flatMap(([, inner]) => inner.split(/, */));
  return [...selected, ...grouped].filter(label => !['job', 'instance'].includes(label));
}

describe('monitoring', () => {
  let server, secure, metrics;
  const samples = new Map(); // name → labels that it has

  const read = async () => (metrics = await (await fetch(`${server.url}/metrics`)).text());

  before(async () => {
    server = await startServer();
    const [alice, bob] = await friends(server, 'alice', 'bob');
    const device = await alice.connect();
    await device.done('private-message', { receiverId: bob.id, content: 'hi' });
    await until(async () => /socket_events_total\{/.test(await read()) && /http_requests_total\{/.test(metrics), 'metrics');
    const { key, certificate } = temporaryCertificate('IP:127.0.0.1');
    const operators = `127.0.0.1:${await freePort()}`;
    secure = await startServer({ env: { TLS_CERT: certificate, TLS_KEY: key, METRICS_ADDR: operators } });
    const more = await (await fetch(`http://${operators}/metrics`)).text();
    for (const [, name, labels = ''] of `${metrics}${more}`.matchAll(/^([a-z_]+)(?:\{(.*)\})? \S+$/gm)) {
      const known = samples.get(name) ?? new Set();
      for (const [, label] of labels.matchAll(/([a-z_]+)="/g)) known.add(label);
      samples.set(name, known);
    }
  });
  after(async () => {
    await stopServer(server);
    await stopServer(secure);
  });

  const holdsTo = (expression, where) => {
    const names = namesIn(expression);
    const labels = new Set(names.flatMap(name => [...(samples.get(name) ?? assert.fail(`${where}: there is no ${name}`))]));
    if (names.length > 0) for (const label of labelsIn(expression)) assert.ok(labels.has(label), `${where}: no label ${label}`);
  };

  test('promtool finds no fault with /metrics', async () => {
    assert.equal(await promtool(['check', 'metrics'], metrics), '');
  });

  test('promtool finds no fault with the configuration and the rules', async () => {
    await promtool(['check', 'config', 'docker/prometheus/prometheus.yml']);
    await promtool(['check', 'rules', rulesFile]);
  });

  test('alerts go off when they should, and not when they should not', async () => {
    await promtool(['test', 'rules', alertsFile]);
    const cases = parse(readFileSync(alertsFile, 'utf8')).tests.flatMap(one => one.alert_rule_test);
    for (const { alert } of rules) {
      const lengths = cases.filter(({ alertname }) => alertname === alert).map(({ exp_alerts: alerts }) => alerts.length);
      assert.ok(lengths.includes(0) && lengths.some(length => length > 0), `${alert} is not played through`);
    }
  });

  test('alerts are about what /metrics has, and say what to do', () => {
    for (const { alert, expr, labels, annotations } of rules) {
      holdsTo(expr, alert);
      assert.ok(['page', 'ticket'].includes(labels.severity), alert);
      assert.ok(annotations.summary && annotations.action, alert);
    }
    assert.equal(new Set(rules.map(({ alert }) => alert)).size, rules.length);
  });

  test('the dashboard is about what /metrics has', () => {
    for (const { title, targets } of charts) {
      for (const { expr } of targets) holdsTo(expr, title);
    }
  });

  test('the dashboard leaves nothing out that /metrics has', () => {
    const shown = new Set(charts.flatMap(({ targets }) => targets.flatMap(({ expr }) => namesIn(expr))));
    const plain = name => name.replace(/_(bucket|sum|count)$/, '');
    const shownMetrics = new Set([...shown].map(plain));
    const missing = [...new Set([...samples.keys()].map(plain))].filter(name => !shownMetrics.has(name));
    assert.deepEqual(missing, []);
  });

  test('expressions of the dashboard are PromQL', async () => {
    const expressions = charts.flatMap(({ targets }) => targets.map(({ expr }) => expr.replaceAll('$__rate_interval', '1m')));
    const rule = (expr, i) => ({ record: `chart${i}`, expr });
    const file = path.join(temporaryDirectory(), 'charts.yml');
    writeFileSync(file, JSON.stringify({ groups: [{ name: 'charts', rules: expressions.map(rule) }] }));
    await promtool(['check', 'rules', file]);
  });

  test('charts have places, ids and queries of their own', () => {
    const { panels } = dashboard;
    assert.equal(new Set(panels.map(({ id }) => id)).size, panels.length);
    for (const { title, gridPos: a, targets } of charts) {
      assert.ok(a.x >= 0 && a.x + a.w <= 24, title);
      const over = panels.filter(({ gridPos: b }) => a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h);
      assert.deepEqual(over.map(panel => panel.title), [title]);
      assert.equal(new Set(targets.map(({ refId }) => refId)).size, targets.length, title);
    }
    const source = parse(readFileSync(path.join(root, 'docker/grafana/provisioning/datasources/prometheus.yml'), 'utf8'));
    for (const { title, datasource } of charts) assert.equal(datasource.uid, source.datasources[0].uid, title);
  });
});
