/* Between the files of engineio: sessions (engineio.c), polling (engineio_polling.c), and the requests that come for
 * them (engineio_request.c, engineio_upgrade.c) or for another node's (engineio_forward.c). */
#ifndef STONECHAT_REALTIME_ENGINEIO_PRIVATE_H
#define STONECHAT_REALTIME_ENGINEIO_PRIVATE_H

#include "engineio.h"
#include "util/uuid.h"

/* The servers of all workers. Refcounted by its creator, its servers and the requests under way, so that what comes
 * late, after the end, finds no server rather than freed memory. */
struct eio_group {
    atomic_int references;
    atomic_int node; /* this node's number; 0 while it has none */
    int workers;
    _Atomic(struct eio_server *) servers[];
};

struct eio_group *eio_group_ref(struct eio_group *group);
void eio_group_unref(struct eio_group *group);

struct eio_server {
    struct eio_group *group;
    int worker;
    struct loop *loop;
    struct eio_options options;
    const struct eio_handler *handler;
    void *owner;
    struct ws_host sockets;
    struct uuid_map sessions;
    struct eio_session *first;
    int count;
    atomic_bool is_closing; /* written by its own thread, read by all */
    struct sio_frame *ping; /* the same for all */
};

/* --- sessions (engineio.c) --- */

/* A session with its first transport: a stream, or NULL for polling. NULL when that failed; the stream is then closed.
 */
struct eio_session *eio_session_open(struct eio_server *server, struct stream *stream,
                                     const struct eio_opening *opening);
/* NULL when there is none, or its time is over. A lingering one is found too. */
struct eio_session *eio_session_find(struct eio_server *server, const uint8_t sid[15]);
/* A WebSocket of somebody who has not said yet who it is. */
void eio_limit_stranger(const struct eio_server *server, struct ws_connection *socket);
/* The open packet with its digit. */
void eio_session_describe(const struct eio_session *session, struct buffer *out);
/* Forgets a session whose client was told by a poll that it is closed. */
void eio_session_end_linger(struct eio_session *session);
/* A packet other than a message's bytes. */
void eio_session_on_packet(struct eio_session *session, struct slice text);
void eio_session_on_bytes(struct eio_session *session, struct slice bytes);
/* Takes a WebSocket in place of polling. */
void eio_session_adopt(struct eio_session *session, struct ws_connection *socket);
void eio_sid_format(const uint8_t sid[15], char out[EIO_SID_LENGTH + 1]);
bool eio_sid_parse(const char *text, uint8_t ret_sid[15]);
int eio_sid_node(const uint8_t sid[15]);
int eio_sid_worker(const uint8_t sid[15]);

/* --- requests (engineio_request.c) --- */

enum eio_error {
    EIO_ERROR_TRANSPORT_UNKNOWN,
    EIO_ERROR_SID_UNKNOWN,
    EIO_ERROR_BAD_METHOD,
    EIO_ERROR_BAD_REQUEST,
    EIO_ERROR_FORBIDDEN,
    EIO_ERROR_PROTOCOL_VERSION,
};

/* Answers a request at once, unless its client has left. */
void eio_reply_error(struct http_request *http, enum eio_error error);

enum eio_request_type { EIO_REQUEST_POLL, EIO_REQUEST_POST, EIO_REQUEST_UPGRADE };

/* A request for a session: from the thread that it came to (home) to the session's (owner), and back with the answer.
 */
struct eio_request {
    struct loop_task task;       /* there and back */
    struct loop_task leave_task; /* the client has left */
    atomic_int references;
    enum eio_request_type type;
    struct eio_group *group;
    struct loop *home_loop, *owner_loop;
    int home, owner;
    struct http_request *http;   /* home's */
    struct eio_session *session; /* owner's: whose poll this is, while it waits */
    struct slice body;           /* of a POST */
    bool is_oversized;
    bool owns_body;
    /* the answer */
    bool is_answered;
    int http_status;
    const char *content_type;
    struct buffer reply;
    uint8_t sid[15];
};

/* The answer, once; the body is taken over. On the owner's thread. */
void eio_request_answer(struct eio_request *request, int http_status, const char *content_type, struct buffer *body);
void eio_request_answer_text(struct eio_request *request, int http_status, const char *content_type, struct slice body);
void eio_request_answer_error(struct eio_request *request, enum eio_error error);

/* Its turn on the owner's thread. */
void eio_request_poll(struct eio_server *server, struct eio_request *request);
void eio_request_post(struct eio_server *server, struct eio_request *request);
void eio_request_upgrade(struct eio_server *server, struct eio_request *request);
/* The client of a waiting poll has left. */
void eio_poll_left(struct eio_request *request);

/* A WebSocket for the session of `sid` has come to the owner's thread. */
void eio_probe_start(struct eio_server *server, const uint8_t sid[15], struct stream *stream);
void eio_probe_cancel(struct eio_session *session, enum ws_close_code code);
/* Has the client paused polling, and is about to say `5`? Closed now, it would notice only by its heartbeat: what it
 * has of the WebSocket is not its transport yet, and it asks for nothing by the other. */
bool eio_session_is_moving(const struct eio_session *session);

/* --- for other nodes (engineio_forward.c) --- */

/* A request for a session of another node: has that one answer it, or answers that there is no such session. */
void eio_forward(struct eio_server *server, struct http_request *http, int node);

/* --- polling (engineio_polling.c) --- */

struct eio_polling *eio_polling_create(void);
void eio_polling_destroy(struct eio_session *session);
/* Answers the waiting poll with what is queued, else with `otherwise` (a packet; NULL: keeps it waiting). */
void eio_polling_flush(struct eio_session *session, const char *otherwise);
/* Answers the waiting poll, if any, with what is queued and `last` behind it. */
void eio_polling_finish(struct eio_session *session, const char *last);

#endif
