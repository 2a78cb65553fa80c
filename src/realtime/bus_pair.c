#include <stddef.h>
#include <stdlib.h>

#include "realtime/bus.h"

/* What is durable goes by both: `fast` has it with its payload, `sure` as a hint that costs those who have it already
 * nothing. News go by both, since hearing them twice changes nothing. What is ephemeral goes by one of them: by `fast`
 * when every other node is known to hear it, that is, when each was heard on it just now; else by `sure`. So each node
 * says every second, on `fast`, that it is there. That is a hello, and a hello makes all sessions look at their logs:
 * it goes no further while its sender is known and was heard just before. One that says more than that comes by `sure`
 * too.
 */

enum { BEAT_MS = 1000, HEARD_MAX_MS = 3500 };

struct peer {
    struct uuid id;
    uint64_t heard_ms;
};

struct bus_pair {
    struct bus bus; /* first */
    struct bus_options options;
    struct bus *sure, *fast;
    struct timer beat;
    struct peer *peers; /* heard on `fast` since it is connected; owned */
    int peer_count;
    bool is_connected; /* `fast` is */
    bool is_sure_connected;
    bool is_trusted; /* all other nodes hear it */
};

/* Is a node among those that ours knows? */
struct acquaintance {
    struct uuid id;
    bool is_known;
};

/* --- who is heard --- */

static struct peer *find_peer(struct bus_pair *self, struct uuid node_id)
{
    for (int i = 0; i < self->peer_count; i++) {
        if (uuid_equals(self->peers[i].id, node_id)) {
            return &self->peers[i];
        }
    }
    return NULL;
}

static bool is_silent(const struct peer *peer, uint64_t now_ms)
{
    return peer->heard_ms + HEARD_MAX_MS < now_ms;
}

static void forget_silent_peers(struct bus_pair *self, uint64_t now_ms)
{
    int kept = 0;
    for (int i = 0; i < self->peer_count; i++) {
        if (!is_silent(&self->peers[i], now_ms)) {
            self->peers[kept++] = self->peers[i];
        }
    }
    self->peer_count = kept;
}

static void check_peer(void *data, struct uuid node_id)
{
    struct bus_pair *self = data;
    self->is_trusted = self->is_trusted && find_peer(self, node_id) != NULL;
}

static void judge(struct bus_pair *self)
{
    forget_silent_peers(self, loop_now_ms(self->options.loop));
    self->is_trusted = self->is_connected;
    self->options.callbacks->for_each_peer(self->options.data, check_peer, self);
}

static void note_peer(struct bus_pair *self, struct uuid node_id)
{
    struct peer *peer = find_peer(self, node_id);
    if (peer == NULL) {
        struct peer *larger = realloc(self->peers, sizeof *larger * ((size_t)self->peer_count + 1));
        if (larger == NULL) {
            return;
        }
        self->peers = larger;
        peer = &self->peers[self->peer_count++];
    }
    *peer = (struct peer){node_id, loop_now_ms(self->options.loop)};
}

static void compare_peer(void *data, struct uuid node_id)
{
    struct acquaintance *other = data;
    other->is_known = other->is_known || uuid_equals(node_id, other->id);
}

/* Is it only there, as it was a second ago? When it was silent, or is nobody that the node knows (any more), it has
 * come back, and something may have been missed. */
static bool is_beat(struct bus_pair *self, struct uuid node_id)
{
    const struct peer *peer = find_peer(self, node_id);
    struct acquaintance other = {.id = node_id};
    if (peer == NULL || is_silent(peer, loop_now_ms(self->options.loop))) {
        return false;
    }
    self->options.callbacks->for_each_peer(self->options.data, compare_peer, &other);
    return other.is_known;
}

static void on_beat(struct timer *timer)
{
    struct bus_pair *self = (struct bus_pair *)((char *)timer - offsetof(struct bus_pair, beat));
    if (self->is_connected) {
        bus_tell(self->fast, BUS_NEWS_HELLO, self->options.node_id, self->options.node_id);
    }
    judge(self);
    loop_timer_start(self->options.loop, &self->beat, BEAT_MS);
}

/* --- what they hear --- */

static void on_event(void *data, const struct hub_event *event)
{
    struct bus_pair *self = data;
    self->options.callbacks->on_event(self->options.data, event);
}

static void on_connected(struct bus_pair *self)
{
    self->options.callbacks->on_connected(self->options.data);
}

static void on_lost(struct bus_pair *self)
{
    if (!self->is_connected && !self->is_sure_connected) {
        self->options.callbacks->on_lost(self->options.data);
    }
}

static void on_sure_news(void *data, enum bus_news news, struct uuid node_id, struct uuid user_id)
{
    struct bus_pair *self = data;
    self->options.callbacks->on_news(self->options.data, news, node_id, user_id);
    judge(self);
}

static void on_fast_news(void *data, enum bus_news news, struct uuid node_id, struct uuid user_id)
{
    struct bus_pair *self = data;
    bool goes_on = news != BUS_NEWS_HELLO || !is_beat(self, node_id);
    if (news == BUS_NEWS_HELLO) {
        note_peer(self, node_id);
    }
    if (goes_on) {
        self->options.callbacks->on_news(self->options.data, news, node_id, user_id);
    }
    judge(self);
}

static void on_fast_connected(void *data)
{
    struct bus_pair *self = data;
    self->is_connected = true;
    on_connected(self);
    judge(self);
}

static void on_fast_lost(void *data)
{
    struct bus_pair *self = data;
    self->is_connected = self->is_trusted = false;
    self->peer_count = 0;
    on_lost(self);
}

static void on_sure_connected(void *data)
{
    struct bus_pair *self = data;
    self->is_sure_connected = true;
    on_connected(self);
}

static void on_sure_lost(void *data)
{
    struct bus_pair *self = data;
    self->is_sure_connected = false;
    on_lost(self);
}

static void for_each_local(void *data, void (*visit)(void *visitor, struct uuid user_id), void *visitor)
{
    struct bus_pair *self = data;
    self->options.callbacks->for_each_local(self->options.data, visit, visitor);
}

static void for_each_peer(void *data, void (*visit)(void *visitor, struct uuid node_id), void *visitor)
{
    struct bus_pair *self = data;
    self->options.callbacks->for_each_peer(self->options.data, visit, visitor);
}

static const struct bus_callbacks SURE = {on_event,     on_sure_news,   on_sure_connected,
                                          on_sure_lost, for_each_local, for_each_peer};
static const struct bus_callbacks FAST = {on_event,     on_fast_news,   on_fast_connected,
                                          on_fast_lost, for_each_local, for_each_peer};

/* --- what they tell --- */

static bool is_durable(const struct hub_event *event)
{
    return event->recipient_count > 0 && event->recipients[0].seq > 0;
}

static void publish(struct bus *bus, const struct hub_event *event)
{
    struct bus_pair *self = (struct bus_pair *)bus;
    if (is_durable(event)) {
        bus_publish(self->fast, event);
        bus_publish(self->sure, event);
    } else {
        bus_publish(self->is_trusted ? self->fast : self->sure, event);
    }
}

static void tell(struct bus *bus, enum bus_news news, struct uuid node_id, struct uuid user_id)
{
    struct bus_pair *self = (struct bus_pair *)bus;
    bus_tell(self->fast, news, node_id, user_id);
    bus_tell(self->sure, news, node_id, user_id);
}

static void follow(struct bus *bus, struct uuid user_id, bool is_followed)
{
    struct bus_pair *self = (struct bus_pair *)bus;
    bus_follow(self->fast, user_id, is_followed);
    bus_follow(self->sure, user_id, is_followed);
}

/* --- life --- */

static void destroy(struct bus *bus)
{
    struct bus_pair *self = (struct bus_pair *)bus;
    loop_timer_stop(self->options.loop, &self->beat);
    bus_destroy(self->fast);
    bus_destroy(self->sure);
    free(self->peers);
    free(self);
}

static const struct bus_operations OPERATIONS = {publish, tell, follow, destroy};

struct bus *bus_pair_create(const struct bus_options *options, bus_create_fn *create_sure, bus_create_fn *create_fast)
{
    struct bus_pair *self = calloc(1, sizeof *self);
    if (self == NULL) {
        return NULL;
    }
    struct bus_options part = *options;
    self->bus.operations = &OPERATIONS;
    self->options = *options;
    self->beat.on_fire = on_beat;
    part.data = self;
    part.callbacks = &SURE;
    self->sure = create_sure(&part);
    part.callbacks = &FAST;
    self->fast = create_fast(&part);
    if (self->sure == NULL || self->fast == NULL) {
        destroy(&self->bus);
        return NULL;
    }
    loop_timer_start(options->loop, &self->beat, BEAT_MS);
    return &self->bus;
}

struct bus *bus_create(const struct bus_options *options)
{
    return options->redis == NULL ? bus_postgres_create(options)
                                  : bus_pair_create(options, bus_postgres_create, bus_redis_create);
}
