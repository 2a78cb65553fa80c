// Holds swagger/asyncapi.yaml of a tree against AsyncAPI's own parser and its rules, and against the sources: the events
// that clients may send, with their limits, and those that they are sent. Prints every problem; ends with 1 when there is
// one.

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';

import { lenient, objects, sources, tell } from './descriptions.mjs';

const require = createRequire(new URL('../../swagger/', import.meta.url));
const { load } = require('js-yaml');

const tree = path.resolve(process.argv[2]);
const file = name => path.join(tree, 'swagger', name);
const read = name => load(readFileSync(file(name), 'utf8'));
const [description, openapi] = [read('asyncapi.yaml'), read('openapi.yaml')];
const operations = Object.entries(description.operations);
const problems = [];

/** What `#/…` names, and the pointer of what that refers to in the end. */
function follow(pointer) {
  const value = pointer.slice(2).split('/').reduce((at, key) => at?.[key], description);
  return value?.$ref ? follow(value.$ref) : { value: value ?? {}, pointer };
}

function nameOf(operation) {
  return follow(operation.channel.$ref).value.address;
}

// What the parser would fetch.
function checkReferences() {
  for (const [{ $ref }, pointer] of objects(description)) {
    if (typeof $ref === 'string' && !/^(openapi\.yaml)?#\//.test($ref)) problems.push(`${pointer} goes too far: ${$ref}`);
  }
}

async function checkRules() {
  const { Parser, fromFile } = require('@asyncapi/parser');
  const { diagnostics } = await fromFile(new Parser(), file('asyncapi.yaml')).parse();
  for (const { code, message, path: place } of diagnostics) {
    if (code !== 'asyncapi-latest-version') problems.push(`#/${place.join('/')} ${code}: ${message}`);
  }
}

function checkForm() {
  for (const [name, { address }] of Object.entries(description.channels)) {
    if (address !== name) problems.push(`#/channels/${name} has another address: ${address}`);
  }
  for (const [name, { summary }] of operations) {
    if (!summary) problems.push(`#/operations/${name} has no summary`);
  }
  const codes = openapi.components.schemas.ErrorCode.enum;
  const { schemas } = description.components;
  const used = [...objects(schemas)].flatMap(([{ code }]) => code?.enum ?? code?.const ?? []);
  for (const code of [...used, ...schemas.FailureCode.enum]) {
    if (!codes.includes(code)) problems.push(`ErrorCode of openapi.yaml has no ${code}`);
  }
}

// Each message has examples, and they are as it says.
function checkExamples() {
  const Ajv = require('ajv/dist/2020.js');
  const ajv = new Ajv({ strict: false, allErrors: true, validateSchema: false });
  require('ajv-formats')(ajv);
  ajv.addSchema(openapi, 'openapi.yaml').addSchema(description, 'asyncapi.yaml');
  const fits = (pointer, value) => ajv.validate({ $ref: `asyncapi.yaml${pointer}` }, value);
  for (const [channel, { messages }] of Object.entries(description.channels)) {
    for (const key of Object.keys(messages)) {
      const { value: message, pointer } = follow(`#/channels/${channel}/messages/${key}`);
      const headers = message.traits ? `${message.traits[0].$ref}/headers` : message.headers && `${pointer}/headers`;
      if (!message.examples) problems.push(`${pointer} has no example`);
      for (const [i, example] of (message.examples ?? []).entries()) {
        const place = `${pointer}/examples/${i}`;
        if (!fits(`${pointer}/payload`, example.payload)) problems.push(`${place}/payload: ${ajv.errorsText()}`);
        if (headers && !fits(headers, example.headers ?? {})) problems.push(`${place}/headers: ${ajv.errorsText()}`);
      }
    }
  }
}

/** Both must have the same names: a map from each to where it is. */
function compare(action, found, what) {
  const described = new Set(operations.filter(([, operation]) => operation.action === action).map(([, o]) => nameOf(o)));
  for (const [event, place] of found) {
    if (!described.has(event)) problems.push(`${event} of ${place}, ${what}, is not described (action: ${action})`);
  }
  for (const event of described) {
    if (!found.has(event)) problems.push(`${event} is described (action: ${action}), but no source has it`);
  }
}

// The rows of the tables of events: {NULL, "typing", …, .rate = RATE_TYPING}, and the frame by which a socket comes in.
function checkSent() {
  const found = new Map();
  const header = readFileSync(path.join(tree, 'include/util/rate_limits.h'), 'utf8');
  const limits = new Map([...header.matchAll(/X\((\w+), ("\w+"), USER, (\d+), (\d+),/g)].map(([, rule, ...row]) => [rule, row]));
  for (const { name, text } of sources(tree, 'src', '.c')) {
    for (const [, event, row] of text.matchAll(/\{NULL, "([^"]+)"([^}]*)\}/g)) {
      found.set(event, name);
      const [, operation] = operations.find(([, o]) => o.action === 'receive' && nameOf(o) === event) ?? [];
      const limit = operation?.traits && follow(operation.traits[0].$ref).value['x-rate-limit'];
      const described = limit && [JSON.stringify(limit.name), `${limit.times}`, `${limit.seconds}`];
      const wanted = limits.get(/\.rate = RATE_(\w+)/.exec(row)?.[1]);
      if (operation && `${described}` !== `${wanted}`) problems.push(`${event} of ${name} is limited by ${wanted}, not ${described}`);
      if (operation && !operation.reply) problems.push(`${event} of ${name} has an ack, and the description none`);
    }
    for (const [, event] of text.matchAll(/slice_equals\(\w+->event, SLICE\("([^"]+)"\)\)/g)) found.set(event, name);
  }
  compare('receive', found, 'which clients may send');
}

// Texts in C that are no events, though they look like it.
const others = new Set(['null', 'ok']);

// What clients are told: by C a text that is passed on as a SLICE, or a frame that is a text as a whole; by SQL what gets a
// row of events.
function checkReceived() {
  const found = new Map();
  for (const { name, text } of ['api', 'service', 'realtime'].flatMap(layer => sources(tree, `src/${layer}`, '.c'))) {
    const lines = text.split('\n').filter(line => !/slice_equals|http_request_|scan_word/.test(line)).join('\n');
    for (const [, event] of lines.matchAll(/SLICE\("([a-z]+(?:[-_][a-z]+)*)"\)/g)) if (!others.has(event)) found.set(event, name);
    for (const [, event] of lines.matchAll(/(?:\\"event\\":\\"|\\nevent: )([\w-]+)/g)) found.set(event, name);
  }
  for (const { name, text } of sources(tree, 'migrations', '.sql')) {
    for (const [statement] of text.matchAll(/event_append\([^;]*;|types := [^;]*;|INSERT INTO events [^;]*;/g)) {
      for (const [, event] of statement.matchAll(/'([a-z][\w-]*)'/g)) found.set(event, name);
    }
  }
  compare('send', found, 'which clients are sent');
}

checkReferences();
if (problems.length === 0) {
  problems.push(...lenient(description, '#'));
  checkForm();
  checkSent();
  checkReceived();
}
if (problems.length === 0) await checkRules();
if (problems.length === 0) checkExamples();
tell(problems);
