/* GET /ws: a session by plain WebSocket (RFC 6455), for clients without a Socket.IO library. A frame is a JSON object:
 *
 *   down  {"event":"ready","data":{"userId","offset","resumed"}}   the first one; then maybe
 *         {"event":"reset","data":{"offset"}}                      the place from which to resume was no good
 *         {"event":…,"data":…,"offset":"…"}                        the offset only where it is kept
 *         {"ack":id,"data":{"success":…}}
 *   up    {"event":"auth","data":{"token","since"}}                where the token does not come with the request
 *         {"event":…,"data":…,"id":…}                              the id, a string or a number, asks for an ack */
#ifndef STONECHAT_REALTIME_PLAIN_SOCKETS_H
#define STONECHAT_REALTIME_PLAIN_SOCKETS_H

#include <stdint.h>

#include "http/site.h"
#include "realtime/client.h"

/* The sockets of one worker. */
struct plain_sockets;

struct plain_sockets_options {
    struct loop *loop;
    const struct client_worker *worker;
    uint32_t ping_interval_ms, ping_timeout_ms;
    uint32_t connect_timeout_ms; /* for the token to come */
    size_t max_payload_bytes;
    size_t stranger_max_bytes;       /* the same until the token has come */
    uint32_t max_packets_per_second; /* from one socket, twice as many at once; 0: no limit */
    size_t send_queue_max_bytes;     /* a socket whose queue passes this is closed; its client resumes */
};

/* NULL without memory. `options` is copied; what it points at must stay. */
struct plain_sockets *plain_sockets_create(const struct plain_sockets_options *options);

/* A request for the path. Pages may come from the server's own host, and from the origins that `site` allows. */
void plain_sockets_handle(struct plain_sockets *sockets, const struct http_site *site, struct http_request *request);

/* Opens no more, and closes at most `max` with 1001. True when there are no more of them. */
bool plain_sockets_let_go(struct plain_sockets *sockets, int max);

/* How many connections there are, those included that still say goodbye. */
int plain_sockets_count(const struct plain_sockets *sockets);

/* When the loop runs no more, before the HTTP server, the hub and the loop are destroyed. NULL is fine. */
void plain_sockets_destroy(struct plain_sockets *sockets);

#endif
