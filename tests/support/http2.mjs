// HTTP/2 by Node's own client.

/** A request by HTTP/2: its status, or null when the stream ended without one. */
export function requestHttp2(session, headers, options) {
  const stream = session.request(headers, options);
  return new Promise(resolve => {
    stream.on('error', () => resolve(null));
    stream.on('close', () => resolve(null));
    stream.on('response', answer => {
      stream.resume();
      resolve(answer[':status']);
    });
  });
}
