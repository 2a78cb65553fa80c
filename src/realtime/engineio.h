/* Engine.IO 4: sessions that carry messages by HTTP long-polling or by WebSocket, move from one to the other, and are
 * kept alive by pings. What the messages mean is the handler's. https://socket.io/docs/v4/engine-io-protocol/
 *
 * A session lives on one worker's thread of one node, which its id names. It is freed at the end of a loop turn, never
 * inside a call of its own. */
#ifndef STONECHAT_REALTIME_ENGINEIO_H
#define STONECHAT_REALTIME_ENGINEIO_H

#include <stdbool.h>
#include <stdint.h>

#include "frame.h"
#include "http/request.h"
#include "loop/loop.h"
#include "rate.h"
#include "realtime/socketio.h"
#include "util/slice.h"
#include "util/uuid_map.h"
#include "ws_connection.h"

struct eio_group;
struct eio_probe;
struct eio_server;
struct eio_session;

enum { EIO_SID_LENGTH = 20 };

/* What the request that opens a session tells. */
struct eio_opening {
    struct slice query, authorization;
    const char *address;
};

struct eio_handler {
    size_t session_bytes; /* of the handler's struct, which begins with a struct eio_session; zeroed */
    /* False refuses the session, without memory for example. */
    bool (*on_open)(struct eio_session *session, const struct eio_opening *opening);
    void (*on_message)(struct eio_session *session, struct slice message, bool is_binary);
    /* Exactly once: no message comes after it, and what is sent goes nowhere. */
    void (*on_close)(struct eio_session *session, const char *reason);
    /* Everything sent has left. */
    void (*on_drain)(struct eio_session *session);
    /* At the end of a turn in which eio_session_defer was called; the session may be closed. */
    void (*on_turn_end)(struct eio_session *session);
    /* The last word, at the end of a turn; the server may be gone. */
    void (*on_free)(struct eio_session *session);
};

struct eio_options {
    uint32_t ping_interval_ms, ping_timeout_ms;
    uint32_t max_payload_bytes;
    uint32_t stranger_max_bytes;     /* the same until eio_session_trust; 0: no less */
    uint32_t max_packets_per_second; /* from one session; 0: no limit */
    uint32_t send_queue_max_bytes;
    uint32_t polling_hold_ms; /* 0: a poll is held for as long as it takes */
    bool (*is_origin_allowed)(const void *origin_data, struct slice origin);
    const void *origin_data;
    sio_find_peer *find_peer; /* NULL: there are no other nodes */
    void *find_peer_data;
};

/* A session's side of HTTP long-polling; gone once it has moved to a WebSocket. */
struct eio_polling {
    struct frame_queue queue;
    struct eio_request *poll; /* the GET that waits for something to send */
    struct timer hold;
};

enum eio_state {
    EIO_STATE_OPEN,
    EIO_STATE_LINGERING, /* closed, but the client is told so by its next poll */
    EIO_STATE_CLOSED,
};

struct eio_session {
    struct eio_server *server;
    const struct eio_handler *handler;
    struct ws_connection *socket; /* NULL while it polls, and once closed */
    struct eio_polling *polling;  /* NULL once it has a WebSocket */
    struct eio_probe *probe;      /* a WebSocket that may take over */
    struct timer heartbeat;       /* the next ping, the pong's deadline, or the end of lingering */
    struct loop_deferred work;
    struct eio_session *previous, *next;
    const char *doom;     /* why it closes at the end of the turn; NULL if it does not */
    const char *farewell; /* what the next poll of a lingering session gets */
    uint32_t pins;        /* who needs the memory beyond the close */
    uint8_t sid[15];
    uint8_t state;
    bool awaits_pong, is_doom_orderly, is_trusted;
    struct rate rate; /* of the packets that are posted */
};

/* --- servers --- */

struct eio_group *eio_group_create(int workers);
void eio_group_destroy(struct eio_group *group);
void eio_group_set_node(struct eio_group *group, int node);

struct eio_server *eio_server_create(struct eio_group *group, int worker, struct loop *loop,
                                     const struct eio_options *options, const struct eio_handler *handler, void *owner);
bool eio_server_let_go(struct eio_server *server, int max);
void eio_server_destroy(struct eio_server *server);
void *eio_server_owner(const struct eio_server *server);
struct loop *eio_server_loop(const struct eio_server *server);
int eio_server_session_count(const struct eio_server *server);
void eio_server_handle(struct eio_server *server, struct http_request *http);

/* Random bits as text: EIO_SID_LENGTH characters and a terminator. `bytes` get what was drawn. */
void eio_make_id(uint8_t bytes[15], int node, int worker, char out[EIO_SID_LENGTH + 1]);

/* --- sessions --- */

/* Sends a message's frame: `4` and text, or bytes. It never closes inside: a session whose queue is past its cap closes
 * at the end of the turn (SIO_SLOW_READER). */
void eio_session_send(struct eio_session *session, struct sio_frame *frame, enum sio_sending sending);
size_t eio_session_queued_bytes(const struct eio_session *session);

/* Closes it now: the handler's on_close is called inside. */
void eio_session_close(struct eio_session *session, const char *reason, enum ws_close_code code);
/* Closes it at the end of the turn, behind what is queued. `reason` is static. */
void eio_session_close_later(struct eio_session *session, const char *reason);

/* It is known whose it is: its messages may be as large as any. */
void eio_session_trust(struct eio_session *session);

/* Calls the handler's on_turn_end, once. */
void eio_session_defer(struct eio_session *session);

/* Keeps the memory beyond the close, until unpinned. */
void eio_session_pin(struct eio_session *session);
void eio_session_unpin(struct eio_session *session);

#endif
