/* A WebSocket over a stream, from the server's side. What is sent in one turn of the loop leaves in one write at the
 * turn's end. A connection owns itself: its user lets go of it by closing, or is told of its end, and it goes when the
 * closing handshake is done or has taken too long. All of it is on the loop's thread. */
#ifndef STONECHAT_REALTIME_WS_CONNECTION_H
#define STONECHAT_REALTIME_WS_CONNECTION_H

#include <stdbool.h>
#include <stddef.h>

#include "frame.h"
#include "loop/loop.h"
#include "loop/stream.h"
#include "util/buffer.h"
#include "websocket.h"

struct ws_connection;

enum { WS_REASON_MAX_BYTES = WS_CONTROL_MAX_BYTES - 2 };

/* What the connections of one loop share: their limits, and a buffer that each uses while it reads. */
struct ws_host {
    struct loop *loop;
    size_t max_message_bytes, queue_max_bytes;
    uint32_t max_frames_per_second; /* to be set by its user; 0: no limit */
    /* private */
    struct buffer scratch;
    struct ws_connection *first;
    int count;
};

void ws_host_init(struct ws_host *host, struct loop *loop, size_t max_message_bytes, size_t queue_max_bytes);
/* Closes at most `max` connections that their users have not let go of; these are told of it as of a peer's close. True
 * when there are no more of them. */
bool ws_host_let_go(struct ws_host *host, enum ws_close_code code, int max);
/* Cuts the connections that are left; their users have let go of them. */
void ws_host_dispose(struct ws_host *host);

enum ws_end {
    WS_END_CLOSED,  /* the peer has sent a Close, or ws_host_let_go was called */
    WS_END_BROKEN,  /* the peer is gone without one */
    WS_END_FAILURE, /* the peer broke the protocol, and was told so */
};

struct ws_callbacks {
    /* The message lives inside the callback; the connection may be closed there. */
    void (*on_message)(void *data, struct slice message, bool is_binary);
    /* At most once, and not after ws_connection_close or _cut: the connection is no longer the user's. */
    void (*on_end)(void *data, enum ws_end end);
    /* All that was sent has left the process. May be NULL. */
    void (*on_drain)(void *data);
    /* May be NULL. */
    void (*on_pong)(void *data);
};

/* Takes the stream, also when it returns NULL (without memory). */
struct ws_connection *ws_connection_create(struct ws_host *host, struct stream *stream,
                                           const struct ws_callbacks *callbacks, void *data);

/* Other callbacks from now on. */
void ws_connection_set_user(struct ws_connection *connection, const struct ws_callbacks *callbacks, void *data);

/* Queues the frame, with a reference of its own. An ephemeral frame is silently dropped while the queue is more than
 * half full. False when the queue is past its cap or there is no memory: the caller should close. */
bool ws_connection_send(struct ws_connection *connection, struct sio_frame *frame, enum sio_sending sending);

/* Pauses reading, after the message that is being told, and resumes it. */
void ws_connection_pause(struct ws_connection *connection);
void ws_connection_resume(struct ws_connection *connection);

/* Messages may have so many bytes from now on; no more than those of the host. */
void ws_connection_limit(struct ws_connection *connection, size_t max_message_bytes);

/* Bytes that wait to be written. */
size_t ws_connection_queued_bytes(const struct ws_connection *connection);

/* Sends a Close behind what is queued and starts the closing handshake. `reason`, for people, has at most
 * WS_REASON_MAX_BYTES; NULL for none. */
void ws_connection_close(struct ws_connection *connection, enum ws_close_code code, const char *reason);
/* The same, without what is queued and not on its way yet. */
void ws_connection_close_now(struct ws_connection *connection, enum ws_close_code code, const char *reason);

#endif
