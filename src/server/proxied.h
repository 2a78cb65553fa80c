/* Connections from trusted proxies that have yet to say for whom they are (http/proxy_header.h), before TLS and HTTP
 * begin on them. A list for each lane, on its thread alone. */
#ifndef STONECHAT_SERVER_PROXIED_H
#define STONECHAT_SERVER_PROXIED_H

#include <h2o.h>

#include "loop/loop.h"
#include "util/places.h"

struct proxied {
    struct loop *loop;
    uint64_t timeout_ms; /* for a header to come whole */
    /* Has read the header. The callee owns both; h2o_socket_getpeername gives the client from now on, or still the
     * proxy if the header names none. */
    void (*on_client)(struct proxied *proxied, h2o_socket_t *socket, struct place *place);
    /* private */
    struct newcomer *first;
    int count;       /* of connections that are waited for; for reading */
    int64_t refused; /* so far */
    uint64_t told_ms;
};

/* Waits for the header. A connection on which it is wrong, or does not come in time, is closed, its place is given
 * back, and every few seconds a line of the log says so. */
void proxied_expect(struct proxied *proxied, h2o_socket_t *socket, struct place *place);

/* Closes those that have not sent their header yet. */
void proxied_close_all(struct proxied *proxied);

#endif
