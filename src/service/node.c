#include "service/node.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>

#include "cache/cache.h"
#include "peers.h"
#include "realtime/bus.h"
#include "realtime/socketio.h"
#include "repository/node.h"
#include "service/announce.h"
#include "service/logins.h"
#include "util/log.h"
#include "work.h"

/* What other nodes hold is kept by presence. It is heard of by the bus, and now and then compared with the database, so
 * that news that got lost do no lasting harm. What this node holds is written to the database from here alone, one
 * batch after the other and always as it is by then, so that the last word is the right one.
 *
 * A new node says hello, and those that hear it say hello too. Whoever meets a node that he did not know lets his
 * sessions look at their logs: what was published before the other knew of him may have been told to nobody. While no
 * other node is known, nothing is said on the bus at all.
 *
 * A node that has just started does not know yet who is online elsewhere, and so whom to tell of the users that come to
 * it. It tells once it has compared for the first time; from then on it is settled. */

enum { RENEWALS_A_LEASE = 3, ROUND_MIN_MS = 50, BATCH_MAX = 256, NUMBER_MAX = 65535, LATE_COMMIT_MS = 35 * 1000 };

/* Owned. */
struct id_list {
    struct uuid *ids;
    int count, capacity;
};

struct node {
    struct services *services;
    struct uuid id;
    struct bus *bus; /* NULL once it is stopped */
    bool has_peers;
    struct peers *peers; /* where they are; owned */
    struct sio_group *sockets;
    char address[CONFIG_URL_MAX_LENGTH + 1];
    int number; /* the one that it wishes for, until it is known */
    struct timer round;
    struct timer late_commit;   /* a second look after a doubt */
    atomic_bool has_been_known; /* its lease was taken once */
    atomic_bool is_settled;
    bool must_write_all;   /* something was not written */
    struct id_list dirty;  /* users whose row in the database may be out of date */
    int writing;           /* rows on their way */
    struct id_list listed; /* the nodes of the last comparison */
};

static const struct actor NOBODY = {.username = ""};

static void ignore(void *data, const struct outcome *outcome)
{
    (void)data, (void)outcome;
}

/* A presence_for_each_local's visit too. Without memory the id is forgotten: the next comparison makes up for it. */
static void add_id(void *data, struct uuid id)
{
    struct id_list *list = data;
    if (list->count == list->capacity) {
        int capacity = list->capacity > 0 ? 2 * list->capacity : 64;
        struct uuid *larger = realloc(list->ids, sizeof *larger * (size_t)capacity);
        if (larger == NULL) {
            return;
        }
        list->ids = larger;
        list->capacity = capacity;
    }
    list->ids[list->count++] = id;
}

/* --- whom this node holds, in the database --- */

static void write_dirty(struct node *node);

static void on_written(void *data, const struct outcome *outcome)
{
    struct node *node = data;
    node->must_write_all = node->must_write_all || outcome->status != STATUS_OK;
    if (--node->writing == 0) {
        write_dirty(node);
    }
}

static struct outcome finish(struct work *work, const struct db_rows *rows)
{
    (void)work, (void)rows;
    return (struct outcome){.status = STATUS_OK};
}

static bool is_here(struct node *node, struct uuid user_id)
{
    return presence_is_here(node->services->presence, user_id);
}

/* The last of them, a bounded number, so that a crowd that comes or goes leaves the database to the requests. */
static void write_dirty(struct node *node)
{
    if (node->writing > 0 || node->dirty.count == 0) {
        return;
    }
    int count = node->dirty.count < BATCH_MAX ? node->dirty.count : BATCH_MAX;
    node->dirty.count -= count;
    node->writing = 1; /* until all are sent */
    for (int i = 0; i < count; i++) {
        struct uuid user_id = node->dirty.ids[node->dirty.count + i];
        node->writing++;
        struct work *work = work_create(node->services, &NOBODY, on_written, node);
        if (work != NULL) {
            (is_here(node, user_id) ? node_hold : node_release)(&work->call, node->id, user_id);
            work_read(work, finish);
        }
    }
    on_written(node, &(struct outcome){.status = STATUS_OK});
}

struct note {
    struct loop_task task;
    struct node *node;
    struct uuid user_id;
};

static void on_note(struct loop_task *task)
{
    struct note *note = (struct note *)task;
    struct node *node = note->node;
    if (node->bus != NULL) {
        bool has_come = is_here(node, note->user_id);
        bus_follow(node->bus, note->user_id, has_come);
        cache_set_online(node->services->cache, node->id, note->user_id, has_come);
        if (node->has_peers) {
            bus_tell(node->bus, has_come ? BUS_NEWS_ENTERS : BUS_NEWS_LEAVES, node->id, note->user_id);
        }
        add_id(&node->dirty, note->user_id);
        write_dirty(node);
    }
    free(note);
}

static void on_revoked(struct loop_task *task)
{
    struct note *note = (struct note *)task;
    struct node *node = note->node;
    if (node->bus != NULL && node->has_peers) {
        bus_tell(node->bus, BUS_NEWS_REVOKED, node->id, note->user_id);
    }
    free(note);
}

/* To the node's thread. Without memory it is forgotten: the next comparison makes up for it. */
static void post_note(struct node *node, void (*run)(struct loop_task *task), struct uuid user_id)
{
    struct note *note = malloc(sizeof *note);
    if (note != NULL) {
        *note = (struct note){{.run = run}, node, user_id};
        loop_post(node->services->loop, &note->task);
    }
}

void node_tell_revoked(struct services *services, struct uuid user_id)
{
    post_note(services->node, on_revoked, user_id);
}

void node_on_presence(void *data, struct uuid user_id, bool is_here_now, bool is_elsewhere)
{
    struct services *services = data;
    post_note(services->node, on_note, user_id);
    if (!is_elsewhere && (!is_here_now || atomic_load(&services->node->is_settled))) {
        announce_presence(services, user_id, is_here_now);
    }
}

/* --- the others --- */

static void count_peer(void *data, struct uuid node_id)
{
    (void)node_id;
    ++*(int *)data;
}

/* The bus is used while somebody listens. */
static void use_bus(struct node *node)
{
    int peers = 0;
    presence_for_each_node(node->services->presence, count_peer, &peers);
    node->has_peers = peers > 0;
    hub_set_bus(node->services->append_hub, node->has_peers ? node->bus : NULL);
}

static void say_hello(struct node *node)
{
    bus_tell(node->bus, BUS_NEWS_HELLO, node->id, node->id);
}

static void look_everywhere(struct node *node)
{
    say_hello(node);
    hub_catch_up(node->services->append_hub);
}

/* The connection of a statement may outlive its client: what it waited for may still come, and be committed. */
static void on_late_commit(struct timer *timer)
{
    look_everywhere((struct node *)((char *)timer - offsetof(struct node, late_commit)));
}

/* Events may be in the logs of which nobody has been told. */
static void on_doubt(void *data)
{
    struct node *node = data;
    look_everywhere(node);
    loop_timer_start(node->services->loop, &node->late_commit, LATE_COMMIT_MS);
}

static void meet(struct node *node, struct uuid other)
{
    if (presence_knows_node(node->services->presence, other) || !presence_add_node(node->services->presence, other)) {
        return;
    }
    use_bus(node);
    say_hello(node);
    hub_catch_up(node->services->append_hub);
}

static void lose_sight(struct node *node, struct uuid other)
{
    presence_forget_node(node->services->presence, other);
    use_bus(node);
    hub_catch_up(node->services->append_hub); /* it may have died between a commit and its notification */
}

static void on_news(void *data, enum bus_news news, struct uuid node_id, struct uuid user_id)
{
    struct node *node = data;
    if (uuid_equals(node_id, node->id)) {
        return;
    }
    switch (news) {
    case BUS_NEWS_HELLO:
        meet(node, node_id);
        hub_catch_up(node->services->append_hub);
        login_watch_look(node->services->login_watch);
        break;
    case BUS_NEWS_GONE:
        lose_sight(node, node_id);
        break;
    case BUS_NEWS_ENTERS:
    case BUS_NEWS_LEAVES:
        meet(node, node_id);
        presence_set_remote(node->services->presence, node_id, user_id, news == BUS_NEWS_ENTERS);
        break;
    case BUS_NEWS_REVOKED:
        login_watch_look(node->services->login_watch);
        break;
    }
}

static void on_event(void *data, const struct hub_event *event)
{
    hub_receive(((struct node *)data)->services->append_hub, event);
}

/* --- the comparison with the database --- */

static bool is_listed(const struct node *node, struct uuid other)
{
    for (int i = 0; i < node->listed.count; i++) {
        if (uuid_equals(node->listed.ids[i], other)) {
            return true;
        }
    }
    return false;
}

static void forget_unlisted(void *data, struct uuid other)
{
    struct node *node = data;
    if (!is_listed(node, other)) {
        lose_sight(node, other);
    }
}

/* Those who came before the others were known. */
static void settle(struct node *node)
{
    struct services *services = node->services;
    struct id_list newcomers = {0};
    if (atomic_exchange(&node->is_settled, true)) {
        return;
    }
    presence_for_each_local(services->presence, add_id, &newcomers);
    for (int i = 0; i < newcomers.count; i++) {
        if (!presence_is_elsewhere(services->presence, newcomers.ids[i])) {
            announce_presence(services, newcomers.ids[i], true);
        }
    }
    free(newcomers.ids);
}

static struct outcome finish_list(struct work *work, const struct db_rows *rows)
{
    struct node *node = work->data;
    node->listed.count = 0;
    for (int i = 0; i < db_rows_count(rows); i++) {
        struct node_user held = node_decode_user(rows, i);
        if (!is_listed(node, held.node_id)) {
            add_id(&node->listed, held.node_id);
        }
        meet(node, held.node_id);
        if (!uuid_is_nil(held.user_id)) {
            presence_set_remote(node->services->presence, held.node_id, held.user_id, true);
        }
    }
    presence_sweep(node->services->presence);
    presence_for_each_node(node->services->presence, forget_unlisted, node);
    use_bus(node);
    settle(node);
    return (struct outcome){.status = STATUS_OK};
}

static void compare(struct node *node)
{
    login_watch_look(node->services->login_watch);
    peers_read(node->peers, node->services);
    struct work *work = work_create(node->services, &NOBODY, ignore, node);
    if (work != NULL) {
        presence_start_epoch(node->services->presence);
        node_list(&work->call, node->id);
        work_read(work, finish_list);
    }
}

static void on_connected(void *data)
{
    struct node *node = data;
    say_hello(node);
    compare(node);
    hub_catch_up(node->services->append_hub);
}

/* --- the lease: renewed, and looked at --- */

/* PostgreSQL has lost it, or somebody has buried this node while it did not move, or a write failed. */
static void write_all(struct node *node)
{
    node->must_write_all = false;
    presence_for_each_local(node->services->presence, add_id, &node->dirty);
    write_dirty(node);
    say_hello(node);
}

static struct outcome finish_bury(struct work *work, const struct db_rows *rows)
{
    struct node *node = work->data;
    for (int i = 0; i < db_rows_count(rows); i++) {
        struct node_user held = node_decode_user(rows, i);
        if (uuid_is_nil(held.user_id) || i == 0 || !uuid_equals(held.node_id, node_decode_user(rows, i - 1).node_id)) {
            log_write(LOG_WARN, "a node has not renewed its lease: its users are offline");
            lose_sight(node, held.node_id);
            cache_drop_online(node->services->cache, held.node_id);
            bus_tell(node->bus, BUS_NEWS_GONE, held.node_id, node->id);
        }
        if (!uuid_is_nil(held.user_id) && !presence_is_online(node->services->presence, held.user_id)) {
            announce_presence(node->services, held.user_id, false);
        }
    }
    return (struct outcome){.status = STATUS_OK};
}

static void cache_user(void *data, struct uuid user_id)
{
    struct node *node = data;
    cache_set_online(node->services->cache, node->id, user_id, true);
}

static void on_stale_cache(void *data)
{
    struct node *node = data;
    cache_drop_online(node->services->cache, node->id);
    presence_for_each_local(node->services->presence, cache_user, node);
}

static struct outcome finish_renew(struct work *work, const struct db_rows *rows)
{
    struct node *node = work->data;
    if (db_rows_count(rows) != 1) {
        return (struct outcome){.status = STATUS_INTERNAL};
    }
    bool is_forgotten = node_decode_is_new(rows) && node->has_been_known;
    if (is_forgotten || node->must_write_all) {
        write_all(node);
    }
    node->number = node_decode_number(rows);
    sio_group_set_node(node->sockets, node->number);
    node->has_been_known = true;
    cache_renew_online(node->services->cache, node->id, node->services->config->presence_lease_seconds);
    struct work *bury = work_create(node->services, &NOBODY, ignore, node);
    if (bury != NULL) {
        node_bury(&bury->call, node->id);
        work_read(bury, finish_bury);
    }
    compare(node);
    return (struct outcome){.status = STATUS_OK};
}

static void on_round(struct timer *timer)
{
    struct node *node = (struct node *)((char *)timer - offsetof(struct node, round));
    struct services *services = node->services;
    uint64_t round_ms = (uint64_t)services->config->presence_lease_seconds * 1000 / RENEWALS_A_LEASE;
    struct work *work = work_create(services, &NOBODY, ignore, node);
    if (work != NULL) {
        node_renew(&work->call, node->id, services->config->presence_lease_seconds, node->number,
                   slice_of(node->address));
        work_read(work, finish_renew);
    }
    loop_timer_start(services->loop, &node->round, node->has_been_known ? round_ms : ROUND_MIN_MS);
}

/* --- for requests of the others' sessions --- */

bool node_is_known(const struct node *node)
{
    return node->has_been_known;
}

void node_find_peer(struct services *services, int number, node_on_peer *on_found, void *data)
{
    peers_find(services->node->peers, services, number, on_found, data);
}

/* --- life --- */

static void on_lost(void *data)
{
    (void)data; /* what is missed meanwhile is found when it is back */
}

static void for_each_local(void *data, void (*visit)(void *visitor, struct uuid user_id), void *visitor)
{
    presence_for_each_local(((struct node *)data)->services->presence, visit, visitor);
}

static void for_each_peer(void *data, void (*visit)(void *visitor, struct uuid node_id), void *visitor)
{
    presence_for_each_node(((struct node *)data)->services->presence, visit, visitor);
}

static const struct bus_callbacks BUS_CALLBACKS = {on_event, on_news,        on_connected,
                                                   on_lost,  for_each_local, for_each_peer};

struct node *node_start(const struct node_options *options)
{
    struct services *services = options->services;
    struct node *node = calloc(1, sizeof *node);
    struct redis_options redis;
    if (node == NULL) {
        return NULL;
    }
    node->services = services;
    node->sockets = options->sockets;
    snprintf(node->address, sizeof node->address, "%s", options->address);
    node->id = uuid_generate();
    node->number = (node->id.bytes[14] << 8 | node->id.bytes[15]) % NUMBER_MAX + 1;
    node->peers = peers_create(node->id);
    node->round.on_fire = on_round;
    node->late_commit.on_fire = on_late_commit;
    bool has_redis = redis_options_of(services->config, &redis);
    node->bus = bus_create(&(struct bus_options){.loop = services->loop,
                                                 .node_id = node->id,
                                                 .database_url = services->config->database_url,
                                                 .redis = has_redis ? &redis : NULL,
                                                 .token_key = services->token_key,
                                                 .callbacks = &BUS_CALLBACKS,
                                                 .data = node});
    if (node->bus == NULL || node->peers == NULL) {
        node_stop(node);
        node_destroy(node);
        return NULL;
    }
    db_watch_doubt(services->append, on_doubt, node);
    cache_watch_online(services->cache, on_stale_cache, node);
    loop_timer_start(services->loop, &node->round, ROUND_MIN_MS);
    return node;
}

void node_stop(struct node *node)
{
    if (node != NULL) {
        hub_set_bus(node->services->append_hub, NULL);
        bus_destroy(node->bus);
        node->bus = NULL;
        node->has_peers = false;
    }
}

void node_destroy(struct node *node)
{
    if (node != NULL) {
        peers_destroy(node->peers);
        free(node->dirty.ids);
        free(node->listed.ids);
        free(node);
    }
}
