/* The inside of the server, shared by its files: a lane is what libh2o needs for one worker, which is a context, a
 * listener of its own (SO_REUSEPORT) and the connections that it accepted. On the worker's thread, unless something
 * else is said. */
#ifndef STONECHAT_SERVER_LANE_H
#define STONECHAT_SERVER_LANE_H

#include <h2o.h>
#include <h2o/http1.h>
#include <h2o/http2.h>
#include <pthread.h>
#include <stdatomic.h>

#include "acceptor.h"
#include "http/h2o_http.h"
#include "operator_port.h"
#include "proxied.h"
#include "server/server.h"
#include "util/places.h"

struct lane {
    struct server *server;
    struct server_worker *worker;
    h2o_context_t context;
    h2o_accept_ctx_t accept;
    struct acceptor acceptor;
    struct proxied proxied;
    struct http_connections connections;
    struct loop_task notice, stop, renewal;
    SSL_CTX *tls;                /* in use: a reference, as the next one; NULL: no TLS */
    _Atomic(SSL_CTX *) next_tls; /* read again, and not taken yet */
    struct timer drain;
    uint64_t drain_until_ms, polite_until_ms;
    int let_go_step, let_go_turns; /* so many sockets are let go in a turn */
    bool has_let_go;               /* of all of them */
    struct timer sweep, guard;
    int64_t turned_away;
    uint64_t told_ms;
    bool is_started;
    bool is_clean;
    pthread_t thread;
    int fd;
};

struct server {
    struct server_options options;
    h2o_globalconf_t config;
    h2o_hostconf_t *hosts[2]; /* for everybody; ends with NULL */
    h2o_handler_t *handler;
    bool has_tls;
    struct places *places;
    struct operator_port operator_port; /* on the first lane */
    struct lane *lanes;
    int count, port;
    atomic_int ended_count;
    pthread_barrier_t meeting; /* of all threads: when the loops have ended, and when all sockets are closed */
    bool has_threads;
};

/* On the first lane's loop is what the process has one of: the operators' port, and what the other workers wait for,
 * as the connection that appends. */
static inline bool lane_is_first(const struct lane *lane)
{
    return lane == lane->server->lanes;
}

/* Makes it ready, before its loop runs. */
void lane_start(struct lane *lane);

/* Accepts who is connected already, and nobody any more. */
void lane_close_listener(struct lane *lane);

/* Has new connections use these settings of TLS, from lane_start on; a reference of its own is taken. On the thread of
 * lane_start. */
void lane_offer_certificate(struct lane *lane, SSL_CTX *tls);

/* --- the end: drain.c --- */

/* From now on it is not ready, and serves all the same. Any thread. */
void drain_announce(struct lane *lane);

/* Closes the listener, tells everybody to go, and leaves the loop when the last connection has gone or time is up; the
 * first lane when the others have left theirs, too. Any thread. */
void drain_start(struct lane *lane);

#endif
