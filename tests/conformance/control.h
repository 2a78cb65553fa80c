/* The namespace "/control": a client of it has the server do what servers do by themselves. The mode of its connect is
 * `{"mode":"refuse"}`, `"late"` (accepted after a while) or `"late-refuse"`; its events are
 *   leave      the server sends a DISCONNECT
 *   close      the server emits `last`, then closes the session
 *   flood      2,000 events `x` of 10 kB at once, then `done`
 *   ephemeral  the same, but each `x` may be dropped
 *   paced      the same as flood, but each event waits until those before have left */
#ifndef STONECHAT_CONFORMANCE_CONTROL_H
#define STONECHAT_CONFORMANCE_CONTROL_H

#include "realtime/socketio.h"

/* The context of the sio_server is its loop. */
void control_on_connect(struct sio_socket *socket, const struct sio_handshake *handshake);
void control_on_event(struct sio_socket *socket, const struct sio_event *event);
void control_on_drain(struct sio_socket *socket);

#endif
