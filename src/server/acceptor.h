/* A listening socket whose connections are handed on as they come; while no descriptor is free for one, it is left
 * alone. On the thread of its loop. Private to server. */
#ifndef STONECHAT_SERVER_ACCEPTOR_H
#define STONECHAT_SERVER_ACCEPTOR_H

#include "http/h2o_http.h"
#include "loop/loop.h"

/* Embedded; all zero before the start. */
struct acceptor {
    struct loop *loop;
    const struct http_connections *connections; /* told of when they are too many */
    void (*on_connection)(struct acceptor *acceptor, h2o_socket_t *socket);
    /* private */
    h2o_socket_t *listener; /* NULL: nobody is accepted */
    struct timer pause;
    bool is_full; /* no descriptor was free for the newest connection */
};

/* Takes over the descriptor. Before the loop runs. */
void acceptor_start(struct acceptor *acceptor, int fd);

/* Hands on who is connected already. */
void acceptor_accept(struct acceptor *acceptor);

/* Closes the descriptor, if it was started. */
void acceptor_close(struct acceptor *acceptor);

#endif
