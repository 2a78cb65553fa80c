/* An event on its way to the sessions of one thread: encoded at most once for each form of transport. */
#ifndef STONECHAT_REALTIME_RENDERING_H
#define STONECHAT_REALTIME_RENDERING_H

#include <stdint.h>

#include "realtime/socketio.h"
#include "util/slice.h"

enum rendering_form {
    RENDERING_SOCKETIO, /* 42["type",payload,"offset"] */
    RENDERING_SSE,      /* id: offset, event: type, data: payload, as lines; not for a WebSocket */
    RENDERING_PLAIN,    /* {"event":type,"data":payload,"offset":offset} */
    RENDERING_FORMS
};

struct rendering {
    struct slice type, payload; /* the caller's */
    int64_t seq;                /* the offset; 0 for an event that has none */
    struct sio_frame *frames[RENDERING_FORMS];
};

/* The event in this form; the rendering keeps the reference. NULL without memory. */
struct sio_frame *rendering_frame(struct rendering *rendering, enum rendering_form form);
void rendering_dispose(struct rendering *rendering);

#endif
