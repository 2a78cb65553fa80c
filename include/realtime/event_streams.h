/* GET /api/events: a session as server-sent events, by HTTP/1.1 and HTTP/2. An event's id is its offset, so that a
 * browser's EventSource resumes by itself.
 * https://html.spec.whatwg.org/multipage/server-sent-events.html */
#ifndef STONECHAT_REALTIME_EVENT_STREAMS_H
#define STONECHAT_REALTIME_EVENT_STREAMS_H

#include <stdint.h>

#include "http/request.h"
#include "realtime/client.h"

/* The streams of one worker. */
struct event_streams;

struct event_streams_options {
    struct loop *loop;
    const struct client_worker *worker;
    uint32_t heartbeat_ms;       /* a comment so often, so that nobody takes a quiet connection for a dead one */
    size_t send_queue_max_bytes; /* a stream whose queue passes this is ended; its client resumes */
};

/* NULL without memory. `options` is copied; what it points at must stay. */
struct event_streams *event_streams_create(const struct event_streams_options *options);

/* A request for the path. */
void event_streams_handle(struct event_streams *streams, struct http_request *request);

/* Opens no more streams, and ends at most `max`. True when there are no more of them. */
bool event_streams_let_go(struct event_streams *streams, int max);

/* When the loop runs no more, before the HTTP server, the hub and the loop are destroyed. NULL is fine. */
void event_streams_destroy(struct event_streams *streams);

#endif
