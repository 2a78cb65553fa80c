/* How server puts a site onto libh2o. */
#ifndef STONECHAT_HTTP_H2O_HTTP_H
#define STONECHAT_HTTP_H2O_HTTP_H

#include <h2o.h>

#include "http/site.h"

/* Adds the handler that serves the site, and gzip, to `path`. */
h2o_handler_t *http_install(h2o_pathconf_t *path);

/* Says which worker serves what arrives by `context`. Before its loop runs. */
void http_bind(h2o_context_t *context, h2o_handler_t *handler, struct http_worker *worker);

/* The connections of one worker. */
struct http_connections {
    struct http_connection *first;
    int count;
};

/* One connection, from its accept to its close; upgraded ones leave the list when they are handed over. */
struct http_connection {
    h2o_socket_t *socket;
    struct http_request *watched; /* whose client's leaving is watched for */
    struct http_connections *connections;
    struct http_connection *previous, *next;
};

/* Keeps a record of an accepted socket until it closes. */
void http_connection_attach(struct http_connections *connections, h2o_socket_t *socket);

/* Shuts every connection's reading side, so that idle ones end. */
void http_connections_shutdown(struct http_connections *connections);

#endif
