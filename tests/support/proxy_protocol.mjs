// Proxies that speak the PROXY protocol, as HAProxy does with `send-proxy`: in front of what the client sends they say who
// it is. They come from an address of the loopback interface of their own, so that TRUST_PROXY can name it.
//
//   const proxy = await startProxy(server, line('203.0.113.9'));
//   await fetch(`${proxy.url}/health`);    // comes from 203.0.113.9
//   proxy.header = block('2001:db8::1');
//   await proxy.close();

import net from 'node:net';

export const proxyAddress = '127.0.0.2';

/** Version 1: one line. */
export const line = source => (net.isIPv6(source) ? `PROXY TCP6 ${source} ::1 4711 443\r\n` : `PROXY TCP4 ${source} 10.0.0.1 4711 443\r\n`);

const signature = Buffer.from('\r\n\r\n\0\r\nQUIT\n');

/** Version 2, of any bytes. */
export function rawBlock(command, family, body = '', length = body.length) {
  return Buffer.concat([signature, Buffer.from([command, family, length >> 8, length & 255]), Buffer.from(body)]);
}

function bytesOf(address) {
  if (net.isIPv4(address)) return Buffer.from(address.split('.').map(Number));
  const [before, after] = address.split('::').map(part => part.split(':').filter(Boolean).map(word => parseInt(word, 16)));
  const words = after ? [...before, ...Array(8 - before.length - after.length).fill(0), ...after] : before;
  return Buffer.from(words.flatMap(word => [word >> 8, word & 255]));
}

/** Version 2: a TCP connection from `source`; `vectors` is what follows the addresses. */
export function block(source, vectors = '') {
  const [family, destination] = net.isIPv6(source) ? [0x21, '::1'] : [0x11, '10.0.0.1'];
  const ports = Buffer.from([0x12, 0x67, 0x01, 0xbb]);
  return rawBlock(0x21, family, Buffer.concat([bytesOf(source), bytesOf(destination), ports, Buffer.from(vectors)]));
}

/** Version 2, LOCAL: the proxy itself. */
export const local = rawBlock(0x20, 0);

/** A proxy that sends `header`, and in the same packet the first that the client says. */
export async function startProxy(server, header) {
  const sockets = new Set();
  const keep = socket => sockets.add(socket.on('error', () => {}).on('close', () => sockets.delete(socket)));
  const proxy = { header };
  const listener = net.createServer(client => {
    keep(client);
    client.once('data', first => {
      const upstream = net.connect({ port: server.port, host: '127.0.0.1', localAddress: proxyAddress });
      keep(upstream);
      client.pause();
      upstream.write(Buffer.concat([Buffer.from(proxy.header), first]));
      client.pipe(upstream).pipe(client);
      client.on('close', () => upstream.destroy());
      upstream.on('close', () => client.destroy());
    });
  });
  await new Promise((resolve, reject) => listener.once('error', reject).listen(0, '127.0.0.1', resolve));
  proxy.port = listener.address().port;
  proxy.url = `${server.url.split(':')[0]}://127.0.0.1:${proxy.port}`;
  proxy.close = () => {
    for (const socket of sockets) socket.destroy();
    return new Promise(resolve => listener.close(resolve));
  };
  return proxy;
}
