// A load balancer without sticky sessions: each new TCP connection goes to the next server, and past one that is gone.
//
//   const balancer = await roundRobin(one.port, other.port);
//   io(balancer.url, { agent: balancer.agent });   // a connection of its own for each request
//   await balancer.close();

import http from 'node:http';
import net from 'node:net';

export async function roundRobin(...ports) {
  const sockets = new Set();
  let next = 0;

  const keep = socket => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket)).on('error', () => {});
  };

  const connect = (client, first, tries) => {
    const server = net.connect(ports[first % ports.length], '127.0.0.1');
    keep(server);
    server.once('error', () => (tries > 1 ? connect(client, first + 1, tries - 1) : client.destroy()));
    server.once('connect', () => {
      server.removeAllListeners('error').on('error', () => client.destroy());
      client.on('close', () => server.destroy());
      server.on('close', () => client.destroy());
      client.pipe(server).pipe(client);
      if (client.destroyed) server.destroy();
    });
  };

  const listener = net.createServer(client => {
    keep(client);
    connect(client, next++, ports.length);
  });
  await new Promise((resolve, reject) => listener.once('error', reject).listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${listener.address().port}`,
    agent: new http.Agent({ keepAlive: false }),
    close() {
      for (const socket of sockets) socket.destroy();
      return new Promise(resolve => listener.close(resolve));
    },
  };
}
