// A reader of server-sent events, as a browser's EventSource is one, by HTTP/1.1 or HTTP/2. Every event is held against
// swagger/asyncapi.yaml.
//
//   const stream = await EventStream.open(alice, { version: 2 });
//   assert.deepEqual(await stream.next('private-message'), message);
//   stream.close();
//   const later = await EventStream.open(alice, { headers: { 'last-event-id': stream.lastEventId } });

import assert from 'node:assert/strict';
import http from 'node:http';
import http2 from 'node:http2';
import https from 'node:https';

import { unique, patienceMs } from './api.mjs';
import { checkEvent } from './asyncapi.mjs';
import { until } from './server.mjs';

function requestHttp1(url, headers) {
  const { request: start } = url.protocol === 'https:' ? https : http;
  const request = start(url, { headers, agent: false, rejectUnauthorized: false });
  request.end();
  return {
    close: () => request.destroy(),
    onHead: callback => request.on('response', response => callback(response.statusCode, response.headers, response)),
    onEnd: callback => request.on('close', callback).on('error', callback),
  };
}

function requestHttp2(url, headers) {
  const session = http2.connect(url.origin, { rejectUnauthorized: false });
  const stream = session.request({ ':path': url.pathname + url.search, ...headers });
  session.on('error', () => {});
  return {
    close: () => session.destroy(),
    onHead: callback => stream.on('response', head => callback(head[':status'], head, stream)),
    onEnd: callback => stream.on('error', callback).on('close', () => {
      callback();
      session.destroy();
    }),
  };
}

export class EventStream {
  #text = '';
  #untaken = [];

  /** A stream that was let in, and has begun. */
  static async open(client, options) {
    const stream = new this(client, options);
    await stream.opened();
    assert.equal(stream.status, 200, stream.body);
    await until(() => stream.lastEventId !== undefined, 'the place where the stream begins', patienceMs);
    return stream;
  }

  /** With `stopsAfter` it is paused in the very moment in which that many characters of the body have come. */
  constructor(client, { version = 1, query = {}, headers = {}, token = client.token, stopsAfter = Infinity } = {}) {
    this.client = client;
    this.stopsAfter = stopsAfter;
    /** `{id, event, data}` in order; `id` is undefined where the event has none. */
    this.events = [];
    this.comments = 0;
    this.body = '';
    this.ended = false;
    const url = new URL('/api/events', client.server.url);
    if (typeof query === 'string') url.search = query;
    else for (const [name, value] of Object.entries(query)) url.searchParams.append(name, value);
    const all = { ...(token && { authorization: `Bearer ${token}` }), ...headers };
    const request = version === 2 ? requestHttp2(url, all) : requestHttp1(url, all);
    request.onEnd(() => (this.ended = true));
    request.onHead((status, head, body) => {
      Object.assign(this, { status, headers: head, source: body });
      body.setEncoding('utf8');
      body.on('error', () => {});
      body.on('data', text => this.#read(text));
      body.on('end', () => (this.ended = true));
    });
    this.close = () => {
      this.ended = true;
      request.close();
    };
  }

  opened() {
    return until(() => this.status !== undefined || this.ended, 'a reply', patienceMs);
  }

  /** For a stream that was refused: the failure. */
  async refusal() {
    await until(() => this.ended, 'the end of the reply', patienceMs);
    return { status: this.status, headers: new Headers(cleaned(this.headers)), body: JSON.parse(this.body), ...JSON.parse(this.body) };
  }

  // https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
  #read(text) {
    this.body += text;
    this.#text += text;
    if (this.body.length >= this.stopsAfter) {
      this.source.pause();
      this.stopsAfter = Infinity;
    }
    for (let end; (end = this.#text.indexOf('\n\n')) >= 0; ) {
      this.#readBlock(this.#text.slice(0, end));
      this.#text = this.#text.slice(end + 2);
    }
  }

  #readBlock(block) {
    const event = { id: undefined, event: 'message', data: undefined };
    for (const line of block.split('\n')) {
      const [, name, value] = /^([^:]*):? ?(.*)$/s.exec(line);
      if (name === '') this.comments++;
      else if (name === 'data') event.data = event.data === undefined ? value : `${event.data}\n${value}`;
      else if (name === 'id' || name === 'event') event[name] = value;
      else assert.fail(`a line that nobody knows: ${line}`);
    }
    if (event.id !== undefined) this.lastEventId = event.id;
    if (event.data === undefined) return;
    event.data = JSON.parse(event.data);
    checkEvent('stream', event.event, event.data, event.id);
    this.events.push(event);
    this.#untaken.push(event);
  }

  /** Takes the first event of that name that was not taken; waits for it. */
  async take(name, matches = () => true) {
    const place = await until(() => this.#untaken.findIndex(e => e.event === name && matches(e.data)) + 1, name, patienceMs);
    return this.#untaken.splice(place - 1, 1)[0];
  }

  /** The data of that event. */
  async next(name, matches) {
    return (await this.take(name, matches)).data;
  }

  /** Has `from` write, waits for that, and gives what else came and was not taken, but who came and went. */
  async untilMarker(from) {
    const marker = await from.send(this.client, unique('marker'));
    await this.next('private-message', message => message.id === marker.id);
    return this.#untaken.filter(({ event, data }) => {
      return !/^marker_\d+$/.test(data?.content) && !['user-online', 'user-offline'].includes(event);
    });
  }

  waitForEnd() {
    return until(() => this.ended, 'the end of the stream', patienceMs);
  }
}

function cleaned(headers) {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !name.startsWith(':')));
}
