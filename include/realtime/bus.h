/* How the nodes on one database hear of each other. A bus is a hint, never the truth: it may lose, repeat, reorder or
 * be away for a while, and sessions find in the log whatever they miss. It lives on the first worker's loop. */
#ifndef STONECHAT_REALTIME_BUS_H
#define STONECHAT_REALTIME_BUS_H

#include <stdbool.h>

#include "loop/loop.h"
#include "realtime/hub.h"
#include "util/slice.h"
#include "util/uuid.h"

/* What other nodes say. All of it is checked for form; what it claims may be false. */
struct bus_callbacks {
    /* Events of other nodes. Durable ones may come without a payload: then they are a hint. */
    void (*on_event)(void *data, const struct hub_event *event);
    /* A user has come to the node, or has left it. */
    void (*on_presence)(void *data, struct uuid node_id, struct uuid user_id, bool is_here);
    /* It is connected, for the first time or again: anything may have been missed. */
    void (*on_connected)(void *data);
};

struct bus_options {
    struct loop *loop;
    struct uuid node_id; /* this node: what it says itself does not come back */
    const char *database_url;
    const struct bus_callbacks *callbacks;
    void *data;
};

struct bus;

/* The bus over LISTEN and NOTIFY. NULL without memory. */
struct bus *bus_postgres_create(const struct bus_options *options);

/* NULL is fine. */
void bus_destroy(struct bus *bus);

/* Tells the other nodes; copied. While the bus is away, durable events are forgotten: their readers look at the log
 * when it is back. */
void bus_publish(struct bus *bus, const struct hub_event *event);
void bus_tell_presence(struct bus *bus, struct uuid user_id, bool is_here);

#endif
