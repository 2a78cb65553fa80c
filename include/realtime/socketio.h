/* Socket.IO 5 over Engine.IO 4: namespaces, events, acks, binary attachments, connect errors; by HTTP long-polling, by
 * WebSocket, and by the upgrade from one to the other. It knows nothing of chat: a namespace is a table of callbacks.
 * https://socket.io/docs/v4/socket-io-protocol/ and https://socket.io/docs/v4/engine-io-protocol/
 *
 * Threads: one sio_server a worker, all of one sio_group. A session lives on the worker that opened it; requests for it
 * that land on another worker are handed over inside, and those that land on another node are forwarded by HTTP.
 * Everything else belongs to the session's thread. */
#ifndef STONECHAT_REALTIME_SOCKETIO_H
#define STONECHAT_REALTIME_SOCKETIO_H

#include <stdbool.h>
#include <stdint.h>

#include "http/request.h"
#include "util/slice.h"

struct sio_group;
struct sio_server;
struct sio_socket;
struct sio_frame;

/* What the client sent: a Socket.IO EVENT or BINARY_EVENT. Slices live inside the callback. */
enum { SIO_ARGUMENTS_MAX = 16, SIO_ATTACHMENTS_MAX = 16 };
struct sio_event {
    struct slice name;                         /* decoded */
    struct slice arguments[SIO_ARGUMENTS_MAX]; /* raw JSON, the name not included */
    int argument_count;
    struct slice attachments[SIO_ATTACHMENTS_MAX]; /* bytes, in the order of their placeholders */
    int attachment_count;
    int64_t ack_id; /* -1 when no ack is wanted */
};

struct sio_handshake {
    struct slice auth;          /* the CONNECT packet's payload: a JSON object, or empty */
    struct slice query;         /* of the request that opened the session, percent-encoded */
    struct slice authorization; /* its Authorization header */
    const char *address;        /* the client's, as text */
};

/* Reasons that a namespace may want to tell from others. */
#define SIO_PING_TIMEOUT "ping timeout"
#define SIO_SLOW_READER "slow reader" /* the queue is past its cap, or there is no memory for it */

struct sio_namespace {
    const char *name; /* "/" or "/custom" */
    /* A client asks to join. Answer now or later, once, with sio_accept, sio_refuse or sio_turn_away. */
    void (*on_connect)(struct sio_socket *socket, const struct sio_handshake *handshake);
    void (*on_event)(struct sio_socket *socket, const struct sio_event *event);
    /* After an accept, exactly once, and never inside a call of yours but sio_server_let_go and sio_server_destroy;
     * the socket is freed at the end of the loop turn. `reason` is Socket.IO's: "transport close", "transport error",
     * SIO_PING_TIMEOUT, "parse error", "client namespace disconnect", "server namespace disconnect", "forced server
     * close", "server shutting down"; or SIO_SLOW_READER. */
    void (*on_disconnect)(struct sio_socket *socket, const char *reason);
    /* May be NULL: see sio_notify_drained. */
    void (*on_drain)(struct sio_socket *socket);
};

/* Where is the node of this number? `on_found` is called once, on the same thread, perhaps inside: with the node's URL,
 * or NULL when it is not known. */
typedef void sio_on_peer(void *found_data, const char *url);
typedef void sio_find_peer(void *data, int node, sio_on_peer *on_found, void *found_data);

struct sio_options {
    const char *path; /* "/socket.io/" */
    uint32_t ping_interval_ms, ping_timeout_ms, connect_timeout_ms;
    uint32_t max_payload_bytes;
    uint32_t stranger_max_bytes;     /* the same until the first sio_accept; 0: no less */
    uint32_t max_packets_per_second; /* from one session, twice as many at once; 0: no limit */
    uint32_t send_queue_max_bytes;   /* a session whose queue passes this is closed */
    uint32_t polling_hold_ms;        /* the longest that a poll is held before it is answered with a noop; 0: never */
    const struct sio_namespace *namespaces; /* ends with a row whose name is NULL */
    /* NULL: pure Socket.IO. Else raw Engine.IO: every message, text or binary, comes here, and no Socket.IO is spoken.
     */
    void (*on_raw_message)(struct sio_socket *socket, struct slice message, bool is_binary);
    /* May be NULL: is this request's Origin header allowed? */
    bool (*is_origin_allowed)(const void *origin_data, struct slice origin);
    const void *origin_data;
    sio_find_peer *find_peer; /* NULL: there are no other nodes */
    void *find_peer_data;
    void *context; /* yours: sio_server_context */
};

/* What the servers of all workers share: who owns which session. `workers` loops, all of one process. */
struct sio_group *sio_group_create(int workers);
void sio_group_destroy(struct sio_group *group);
/* The number (1 to 65535) of this node among those that may get requests for its sessions. Sessions opened before are
 * found only by requests that come here. Any thread. */
void sio_group_set_node(struct sio_group *group, int node);

/* `options` is copied; what it points at must stay. On the loop's thread, or before it runs. */
struct sio_server *sio_server_create(struct sio_group *group, int worker, struct loop *loop,
                                     const struct sio_options *options);
/* Opens no more sessions, and closes at most `max` ("server shutting down"), WebSockets with 1001. True when there are
 * no more of them. */
bool sio_server_let_go(struct sio_server *server, int max);
/* The same, without waiting for anybody. When no loop of the group runs any more, and before the loops and the HTTP
 * server are destroyed; every on_connect has been answered. NULL is fine. */
void sio_server_destroy(struct sio_server *server);
void *sio_server_context(const struct sio_server *server);
int sio_server_session_count(const struct sio_server *server);

/* A request under `path`: polls, posts, and WebSocket upgrades. A page of the server's own host is always let in,
 * whatever is_origin_allowed says of others. */
void sio_server_handle(struct sio_server *server, struct http_request *request);

/* --- one client in one namespace --- */
struct sio_server *sio_socket_server(const struct sio_socket *socket);
const char *sio_socket_id(const struct sio_socket *socket); /* unique, unguessable; 20 characters */
void sio_socket_set_data(struct sio_socket *socket, void *data);
void *sio_socket_data(const struct sio_socket *socket);

/* Lets it in. `extra` are further members of the CONNECT reply's object, for example `"pid":"…"`; may be empty. */
void sio_accept(struct sio_socket *socket, struct slice extra);
/* CONNECT_ERROR {"message":…} and `data` (JSON, may be empty); the socket is freed when the current callback returns.
 */
void sio_refuse(struct sio_socket *socket, struct slice message, struct slice data);
/* Closes the whole session without a word: a stock client comes back by itself, which after a refusal it does not. */
void sio_turn_away(struct sio_socket *socket);

/* An ack's arguments: JSON values joined by commas, or empty. */
void sio_ack(struct sio_socket *socket, int64_t ack_id, struct slice arguments);
/* The same with attachments, for acks and events that carry bytes; `arguments` hold the placeholders. */
void sio_ack_binary(struct sio_socket *socket, int64_t ack_id, struct slice arguments, const struct slice *attachments,
                    int attachment_count);
void sio_emit_binary(struct sio_socket *socket, struct slice name, struct slice arguments,
                     const struct slice *attachments, int attachment_count);
/* Sends an event: its arguments are JSON values joined by commas, or empty. */
void sio_emit(struct sio_socket *socket, struct slice name, struct slice arguments);

/* Sends a frame made once for many sockets of the same namespace. */
enum sio_sending {
    SIO_SENDING_COUNTED,  /* when the queue grows past its cap, the session is closed */
    SIO_SENDING_PACED,    /* it may grow past it: the sender waits for on_drain */
    SIO_SENDING_EPHEMERAL /* dropped when the queue is more than half full */
};
void sio_send(struct sio_socket *socket, struct sio_frame *frame, enum sio_sending sending);

/* An event of namespace "/" encoded once, for any number of sockets on any thread; refcounted, atomically. The packet
 * is `42["name",arguments]`, and `,"offset"` behind the arguments unless it is empty: the place to which a stock client
 * resumes. The caller has one reference. NULL without memory. */
struct sio_frame *sio_frame_create(struct slice name, struct slice arguments, struct slice offset);
struct sio_frame *sio_frame_ref(struct sio_frame *frame);
void sio_frame_unref(struct sio_frame *frame);

/* Sends a DISCONNECT for the namespace, or (close_session) closes the whole session behind what is queued; a stock
 * client comes back after the latter alone. on_disconnect follows at the end of the turn. */
void sio_disconnect(struct sio_socket *socket, bool close_session);

/* Sends a DISCONNECT, by which a stock client knows that it is to stay away, and soon closes the whole session, unless
 * it is in another namespace or has joined again by then. */
void sio_expel(struct sio_socket *socket);

/* Bytes that wait in the session's queue. */
size_t sio_queued_bytes(const struct sio_socket *socket);
/* Asks for on_drain, once, when all that is queued has left; something must be queued. For senders that pace
 * themselves. */
void sio_notify_drained(struct sio_socket *socket);

/* --- raw Engine.IO --- */
void sio_send_raw(struct sio_socket *socket, struct slice message, bool is_binary);

#endif
