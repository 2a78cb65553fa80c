// What stands between two sides and breaks the line: a proxy for a TCP port or a Unix socket.
//
//   const proxy = await Proxy.start(() => server.port);        // clients connect to proxy.port
//   proxy.cut();                                               // every connection is reset; new ones are welcome
//   proxy.blackHole();                                         // takes whatever comes, and lets nothing through
//   proxy.heal();

import { once } from 'node:events';
import net from 'node:net';

// By a reset, where there is such a thing: Unix sockets just end. (Node 20 spins at its exit when what was ended is reset.)
function hangUp(socket) {
  if (socket.remoteFamily && !socket.destroyed && !socket.writableEnded) socket.resetAndDestroy();
  else socket.destroy();
}

class Link {
  isLossy = false; // something was swallowed: it can only be cut
  isHalfOpen = false; // the client's side has gone, and the other has not been told

  constructor(proxy, client, target) {
    this.proxy = proxy;
    this.client = client;
    this.server = net.connect({ ...target, allowHalfOpen: true });
    this.#join(this.client, this.server);
    this.#join(this.server, this.client);
  }

  #join(from, to) {
    const late = []; // bytes, or null for the end
    const pass = bytes => {
      if (this.proxy.swallows(from === this.server)) this.isLossy = true;
      else if (to.destroyed) return;
      else if (bytes === null) to.end();
      else if (!to.write(bytes)) from.pause();
    };
    const take = bytes => {
      if (this.proxy.delayMs === 0 && late.length === 0) return pass(bytes);
      late.push(bytes);
      setTimeout(() => pass(late.shift()), this.proxy.delayMs);
    };
    from.on('data', take);
    from.on('end', () => take(null));
    from.on('drain', () => this.proxy.isFrozen || to.resume());
    from.on('error', () => {});
    from.on('close', () => {
      if (this.proxy.swallows(from === this.server)) this.isLossy = true;
      else if (!this.isHalfOpen && late.length === 0) this.cut(from.errored !== null);
    });
    if (this.proxy.isFrozen) from.pause();
  }

  cut(isReset = true) {
    for (const socket of [this.client, this.server]) {
      if (isReset) hangUp(socket);
      else socket.destroySoon();
    }
    this.proxy.links.delete(this);
  }
}

export class Proxy {
  links = new Set();
  delayMs = 0;
  hole = null; // 'both', or 'answers'
  isFrozen = false;

  /** `target` gives the port or path of the server, for each connection anew; `path` is where to listen, if not on TCP. */
  static async start(target, path) {
    const proxy = new Proxy();
    proxy.listener = net.createServer({ allowHalfOpen: true, noDelay: true }, client => {
      const place = target();
      proxy.links.add(new Link(proxy, client, typeof place === 'number' ? { port: place, host: '127.0.0.1' } : { path: place }));
    });
    proxy.listener.listen(path ? { path } : { port: 0, host: '127.0.0.1' });
    await once(proxy.listener, 'listening');
    proxy.port = proxy.listener.address().port;
    return proxy;
  }

  /** Ends all connections: by a reset, or, if `isReset` is false, by an end as of a process that closes them. */
  cut({ isReset = true } = {}) {
    for (const link of this.links) link.cut(isReset);
  }

  /** Connections are accepted, and what is sent is taken; nothing arrives, or no answers do. */
  blackHole(hole = 'both') {
    this.hole = hole;
  }

  swallows(isAnswer) {
    return this.hole === 'both' || (this.hole === 'answers' && isAnswer);
  }

  /** The clients' sides are gone, and the server hears nothing of it, nor of anything else on these connections. */
  halfOpen() {
    for (const link of this.links) {
      link.isHalfOpen = true;
      hangUp(link.client);
    }
  }

  /** Nothing is read any more, from either side, so that both feel the pressure. */
  freeze() {
    this.isFrozen = true;
    for (const { client, server } of this.links) for (const socket of [client, server]) socket.pause();
  }

  /** Everything arrives so much later. */
  delay(ms) {
    this.delayMs = ms;
  }

  /** All works again; connections of which something was swallowed are reset. */
  heal() {
    this.delayMs = 0;
    this.hole = null;
    for (const link of this.links) {
      if (link.isLossy || link.isHalfOpen) link.cut();
    }
    if (!this.isFrozen) return;
    this.isFrozen = false;
    for (const { client, server } of this.links) for (const socket of [client, server]) socket.resume();
  }

  async stop() {
    const closed = once(this.listener, 'close');
    this.listener.close();
    this.cut();
    await closed;
  }
}
