/* LISTEN and NOTIFY on one channel of PostgreSQL, by a connection of its own, apart from the statements: a notification
 * inside a transaction takes a lock that all commits share. Loop's thread. */
#ifndef STONECHAT_DB_LISTENER_H
#define STONECHAT_DB_LISTENER_H

#include <stdbool.h>

#include "loop/loop.h"
#include "util/slice.h"

struct listener;

enum { LISTENER_PAYLOAD_MAX_BYTES = 7999 };

struct listener_callbacks {
    /* It listens, for the first time or again: what was notified before may have been missed. */
    void (*on_listening)(void *data);
    /* It listens no longer, and tries to come back. */
    void (*on_lost)(void *data);
    /* Also what this very listener has sent. Anybody with psql can send anything: `payload` is not to be trusted. */
    void (*on_notification)(void *data, struct slice payload);
    /* listener_notify may be called (again). */
    void (*on_idle)(void *data);
};

/* `url` and `channel` (an SQL identifier) must stay. NULL without memory. */
struct listener *listener_create(struct loop *loop, const char *url, const char *channel,
                                 const struct listener_callbacks *callbacks, void *data);
/* NULL is fine. */
void listener_destroy(struct listener *listener);

/* Is it connected, with no notification under way? */
bool listener_is_idle(const struct listener *listener);

/* Sends one notification; only while it is idle. It is lost when the connection breaks. */
void listener_notify(struct listener *listener, struct slice payload);

#endif
