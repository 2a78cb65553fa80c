/* A user's device on Socket.IO: it is let in by its token, joins the hub as a session, and what it sends becomes
 * exchanges, whose replies are acks (or `operation-error` when no ack was asked for). */
#ifndef STONECHAT_REALTIME_CLIENT_H
#define STONECHAT_REALTIME_CLIENT_H

#include "http/exchange.h"
#include "realtime/hub.h"
#include "realtime/socketio.h"

/* What a worker's clients need: the context of its sio_server. Filled by main. */
struct client_worker {
    const struct operation *const *events; /* tables that end with a row whose name is NULL; the list ends with NULL */
    struct hub *hub;
    struct token_cache *tokens;
    const struct rate_limiter *limiter;
    void *context; /* exchange->context */
};

/* For sio_options.namespaces: the namespace "/". */
extern const struct sio_namespace CLIENT_NAMESPACES[];

#endif
