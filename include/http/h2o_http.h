/* How server puts a site onto libh2o. */
#ifndef STONECHAT_HTTP_H2O_HTTP_H
#define STONECHAT_HTTP_H2O_HTTP_H

#include <h2o.h>

#include "http/site.h"
#include "util/places.h"

/* Adds the handler that serves the site, and gzip, to `host`; also what libh2o itself refuses then gets our form of
 * errors. */
h2o_handler_t *http_install(h2o_hostconf_t *host);

/* Says which worker serves what arrives by `context`. Before its loop runs. */
void http_bind(h2o_context_t *context, h2o_handler_t *handler, struct http_worker *worker);

/* The connections of one worker. */
struct http_connections {
    h2o_context_t *context;
    struct loop *loop;
    size_t max_held_bytes;
    struct http_connection *first, *upgraded;
    int count;                                    /* of both */
    struct http_request *sending, **sending_tail; /* replies that have not left yet, the oldest first */
    size_t held_bytes;                            /* at most, since the last sweep */
    bool is_stopping;                             /* set by server */
};

/* `max_held_bytes` is for requests on their way in and replies on their way out: past it, the connections that hold
 * most are cut. */
void http_connections_init(struct http_connections *connections, h2o_context_t *context, struct loop *loop,
                           size_t max_held_bytes);

/* Has libh2o serve the socket, and keeps a record of it until it closes, or is handed over to another thread. `place`
 * is given back at the very end, of a WebSocket too. */
void http_connections_accept(struct http_connections *connections, h2o_accept_ctx_t *accept, h2o_socket_t *socket,
                             struct place *place);

/* To be called several times a second: counts what is held anew, and looks that every connection is guarded. */
void http_connections_guard(struct http_connections *connections);

/* Ends connections by HTTP/2 on which a request has been arriving for longer than that; by HTTP/1 libh2o does so. */
void http_connections_cut_unfinished(struct http_connections *connections, int timeout_s);

/* Ends connections whose oldest reply has been on its way since before `since_ms` of the loop's time. libh2o itself
 * waits for ever for a client that does not read. */
void http_connections_cut_slow(struct http_connections *connections, uint64_t since_ms);

/* Shuts the reading side, so that idle connections end; HTTP/2 has its own farewell. */
void http_connections_shutdown(struct http_connections *connections);

/* Ends them all: requests by HTTP/1 that are still worked on are answered with 503. They close in the turns after. */
void http_connections_cut(struct http_connections *connections);

#endif
