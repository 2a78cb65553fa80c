/* One Socket.IO 5 client over an Engine.IO 4 WebSocket: upgrade, authenticate, then events and acks as their text. */
#ifndef STONECHAT_BENCH_SOCKETIO_CLIENT_H
#define STONECHAT_BENCH_SOCKETIO_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include "net.h"
#include "util/slice.h"

struct socketio_client;

struct socketio_callbacks {
    /* The server let the user in. */
    void (*on_ready)(struct socketio_client *client);
    /* `packet` is the event's array: `["name",…]`. */
    void (*on_event)(struct socketio_client *client, struct slice packet);
    /* `packet` is the ack's array: `[…]`. */
    void (*on_ack)(struct socketio_client *client, struct slice packet);
    /* Refused, closed or broken; at most once, and nothing follows. */
    void (*on_failure)(struct socketio_client *client, const char *reason, struct slice detail);
};

struct socketio_client {
    struct net_connection connection; /* first: the callbacks get back from it to the client */
    const struct socketio_callbacks *callbacks;
    enum { SOCKETIO_UPGRADING, SOCKETIO_OPENING, SOCKETIO_JOINING, SOCKETIO_READY } state;
    const char *token; /* the caller's */
    char pid[128];     /* of the session that it has, or had and goes on with; empty without one */
    bool is_recovered; /* it has gone on */
    uint64_t started_at_ns;
    uint64_t next_ack_id;
    uint32_t mask;
    void *owner;  /* the caller's */
    size_t index; /* the caller's */
};

/* Starts connecting; on_ready or on_failure follows. `token`, `owner` and `index` are set already and stay. A client
 * that was closed goes on with its session, and is told again all that the session was told. */
void socketio_connect(struct socketio_client *client, struct net *net, const struct socketio_callbacks *callbacks);

/* Sends an event that asks for an ack: `arguments` are JSON values joined by commas. */
void socketio_emit(struct socketio_client *client, const char *name, struct slice arguments);

void socketio_close(struct socketio_client *client);

#endif
