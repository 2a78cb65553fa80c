/* How server puts a site onto libh2o. */
#ifndef STONECHAT_HTTP_H2O_HTTP_H
#define STONECHAT_HTTP_H2O_HTTP_H

#include <h2o.h>

#include "http/site.h"

/* Adds the handler that serves the site, and gzip, to `host`; also what libh2o itself refuses then gets our form of
 * errors. */
h2o_handler_t *http_install(h2o_hostconf_t *host);

/* Says which worker serves what arrives by `context`. Before its loop runs. */
void http_bind(h2o_context_t *context, h2o_handler_t *handler, struct http_worker *worker);

/* The connections of one worker. */
struct http_connections {
    struct http_connection *first;
    int count;
    struct http_request *sending, **sending_tail; /* replies that have not left yet, the oldest first */
};

void http_connections_init(struct http_connections *connections);

/* Keeps a record of an accepted socket until it closes, or is handed over to another thread. */
void http_connection_attach(struct http_connections *connections, h2o_socket_t *socket);

/* Ends connections whose oldest reply has been on its way since before `since_ms` of the loop's time. libh2o itself
 * waits for ever for a client that does not read. */
void http_connections_cut_slow(struct http_connections *connections, uint64_t since_ms);

/* Shuts the reading side, so that idle connections end; HTTP/2 has its own farewell. */
void http_connections_shutdown(struct http_connections *connections);

/* Ends them all: requests by HTTP/1 that are still worked on are answered with 503. They close in the turns after. */
void http_connections_cut(struct http_connections *connections);

#endif
