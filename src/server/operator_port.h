/* An address of its own for operators: one site, in clear text, served by the first worker beside what is for
 * everybody. Private to server. */
#ifndef STONECHAT_SERVER_OPERATOR_PORT_H
#define STONECHAT_SERVER_OPERATOR_PORT_H

#include "acceptor.h"
#include "http/h2o_http.h"
#include "util/places.h"

/* Embedded; all zero when there is none. */
struct operator_port {
    struct http_worker http;
    /* private */
    h2o_hostconf_t *hosts[2]; /* ends with NULL */
    h2o_handler_t *handler;
    h2o_accept_ctx_t accept;
    struct acceptor acceptor;
    struct http_connections *connections;
    struct places *places;
    bool is_open;
    int fd;
};

/* Listens. `site` must stay. Before the context is made. False, logged, when it cannot. */
bool operator_port_open(struct operator_port *port, h2o_globalconf_t *config, const char *host, int number,
                        const struct http_site *site);

/* Starts to accept, for the worker whose these are; nothing happens when it is not open. Before its loop runs. */
void operator_port_start(struct operator_port *port, h2o_context_t *context, const struct http_worker *worker,
                         struct http_connections *connections, struct places *places);

/* Accepts no more. Its connections are among the worker's. */
void operator_port_close(struct operator_port *port);

#endif
