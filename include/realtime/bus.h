/* How the nodes on one database hear of each other. A bus is a hint, never the truth: it may lose, repeat, reorder or
 * be away for a while, and sessions find in the log whatever they miss. It lives on the first worker's loop. */
#ifndef STONECHAT_REALTIME_BUS_H
#define STONECHAT_REALTIME_BUS_H

#include <stdbool.h>

#include "auth/token.h"
#include "cache/redis.h"
#include "loop/loop.h"
#include "realtime/hub.h"
#include "util/slice.h"
#include "util/uuid.h"

/* What is told of users and nodes. */
enum bus_news {
    BUS_NEWS_HELLO,         /* a node is here, and what it had to tell may have been lost (no user) */
    BUS_NEWS_GONE,          /* a node is dead (no user) */
    BUS_NEWS_ENTERS,        /* a user has come to a node */
    BUS_NEWS_LEAVES,        /* a user has left a node, which has told his contacts if he was nowhere else */
    BUS_NEWS_LEAVES_UNTOLD, /* the same, but another node seemed to hold him, so that nobody was told */
    BUS_NEWS_REVOKED        /* logins of a user have been revoked on a node */
};

/* What other nodes say. All of it is checked for form; what it claims may be false. */
struct bus_callbacks {
    /* Durable events may come without a payload: then they are a hint. */
    void (*on_event)(void *data, const struct hub_event *event);
    void (*on_news)(void *data, enum bus_news news, struct uuid node_id, struct uuid user_id);
    /* It is connected, for the first time or again, and hears of every user that is followed: anything may have been
     * missed. */
    void (*on_connected)(void *data);
    /* Nothing is heard any more, until on_connected. */
    void (*on_lost)(void *data);
    /* Redis alone. Calls `visit` for each user that this node holds, or for each other node that it knows. `visit` must
     * not call presence. */
    void (*for_each_local)(void *data, void (*visit)(void *visitor, struct uuid user_id), void *visitor);
    void (*for_each_peer)(void *data, void (*visit)(void *visitor, struct uuid node_id), void *visitor);
};

struct bus_options {
    struct loop *loop;
    struct uuid node_id; /* this node: what it says itself does not come back */
    const char *database_url;
    const struct redis_options *redis; /* copied; NULL for none */
    const struct token_key *token_key; /* seals what goes by Redis */
    const struct bus_callbacks *callbacks;
    void *data;
};

/* One kind of bus; the others' structs begin with it. */
struct bus {
    const struct bus_operations *operations;
};

struct bus_operations {
    void (*publish)(struct bus *bus, const struct hub_event *event);
    void (*tell)(struct bus *bus, enum bus_news news, struct uuid node_id, struct uuid user_id);
    void (*follow)(struct bus *bus, struct uuid user_id, bool is_followed);
    void (*destroy)(struct bus *bus);
};

/* The bus that the options ask for: over NOTIFY, and over Redis too where there is one. NULL without memory, or when
 * Redis cannot be set up (that is logged). */
struct bus *bus_create(const struct bus_options *options);

/* Over LISTEN and NOTIFY. */
struct bus *bus_postgres_create(const struct bus_options *options);

/* Over PUBLISH and SUBSCRIBE. */
struct bus *bus_redis_create(const struct bus_options *options);

/* Two in one: `sure` has what is durable and whatever `fast` cannot be trusted with, `fast` has everything as long as
 * all other nodes are heard on it. */
typedef struct bus *bus_create_fn(const struct bus_options *options);
struct bus *bus_pair_create(const struct bus_options *options, bus_create_fn *create_sure, bus_create_fn *create_fast);

/* NULL is fine. */
static inline void bus_destroy(struct bus *bus)
{
    if (bus != NULL) {
        bus->operations->destroy(bus);
    }
}

/* Tells the other nodes; copied. While the bus is away, what is told is forgotten: durable events are in the log, and
 * where users are is asked for when it is back. */
static inline void bus_publish(struct bus *bus, const struct hub_event *event)
{
    bus->operations->publish(bus, event);
}

static inline void bus_tell(struct bus *bus, enum bus_news news, struct uuid node_id, struct uuid user_id)
{
    bus->operations->tell(bus, news, node_id, user_id);
}

/* The node holds the user (any more). Those that it holds when the bus connects are followed by themselves. */
static inline void bus_follow(struct bus *bus, struct uuid user_id, bool is_followed)
{
    bus->operations->follow(bus, user_id, is_followed);
}

#endif
