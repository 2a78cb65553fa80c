#include "service/node.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>

#include "cache/cache.h"
#include "node_rows.h"
#include "peers.h"
#include "realtime/bus.h"
#include "realtime/socketio.h"
#include "repository/node.h"
#include "service/announce.h"
#include "service/logins.h"
#include "util/log.h"
#include "util/metrics.h"
#include "util/uuid_map.h"
#include "work.h"

/* What other nodes hold is kept by presence. It is heard of by the bus, and now and then compared with the database, so
 * that news that got lost do no lasting harm. What this node holds is written to the database (node_rows.c): a coming
 * is told to contacts when it has been written, and a going before. Should this node die in between, whoever buries it
 * finds in the database everybody who is to be called offline.
 *
 * A new node says hello, and those that hear it say hello too. Whoever meets a node that he did not know lets his
 * sessions look at their logs: what was published before the other knew of him may have been told to nobody. While no
 * other node is known, nothing is said on the bus at all.
 *
 * Who leaves two nodes at once seems to each of them to be at the other one: neither has told anybody, which they say,
 * and the one with the lower id makes up for it.
 *
 * What the database does not list is not gone for that: after a crash it lists nobody, until all have written
 * themselves down again. It is when nothing was said of it for a whole lease of comparisons.
 *
 * A node that has just started does not know yet who is online elsewhere, and so whom to tell of the users that come to
 * it. It tells once it has compared for the first time; from then on it is settled.
 *
 * One that stops lets its users have their grace time too, in which they come to another one, or back to this one when
 * it was started again: it extends its lease for that long and no longer, and is buried like the dead. */

enum { RENEWALS_A_LEASE = 3, ROUND_MIN_MS = 50, ROUND_RETRY_MS = 500, NUMBER_MAX = 65535, LATE_COMMIT_MS = 35 * 1000 };

/* News of a user for the node's thread, from whichever thread noticed: he has come to this node or left it, or his
 * logins have been revoked. Freed there. */
struct note {
    struct loop_task task;
    struct node *node;
    struct uuid user_id;
    bool has_come;
    bool is_to_be_told;   /* to contacts: he has come to the first node that holds him, or left the last */
    bool has_left_untold; /* while another node seemed to hold him */
};

struct node {
    struct services *services;
    struct uuid id;
    struct bus *bus;             /* NULL once it is stopped */
    struct announcer *announcer; /* owned */
    struct node_rows *rows;      /* owned */
    bool has_peers;
    struct peers *peers; /* where they are; owned */
    struct sio_group *sockets;
    char address[CONFIG_URL_MAX_LENGTH + 1];
    int number; /* the one that it wishes for, until it is known */
    struct timer round;
    struct timer late_commit; /* a second look after a doubt */
    int renewing;             /* on their way */
    bool is_leaving, has_left;
    atomic_bool has_been_known; /* its lease was taken once */
    atomic_bool is_settled;
    atomic_bool is_hearing;     /* what the others say */
    int comparing;              /* on their way: what they read may be older than the news */
    struct uuid_map leavers;    /* who has left a node meanwhile */
    uint64_t compared_ms;       /* with the database, the last time */
    uint64_t compared_since_ms; /* again and again, without a pause of a lease */
};

static const struct actor NOBODY = {.username = ""};

static uint64_t now_ms(const struct node *node)
{
    return loop_now_ms(node->services->loop);
}

static uint64_t lease_ms(const struct node *node)
{
    return (uint64_t)node->services->config->presence_lease_seconds * 1000;
}

static void ignore(void *data, const struct outcome *outcome)
{
    (void)data, (void)outcome;
}

/* --- whom this node holds --- */

static bool is_here(const struct node *node, struct uuid user_id)
{
    return presence_is_here(node->services->presence, user_id);
}

static void on_coming(void *data, struct uuid user_id)
{
    struct node *node = data;
    if (presence_is_online(node->services->presence, user_id)) {
        announce_presence(node->announcer, user_id, true);
    }
}

/* Said again: who has asked the database in between has read a row that there is no more. */
static void on_released(void *data, struct uuid user_id)
{
    struct node *node = data;
    if (node->has_peers && !is_here(node, user_id)) {
        bus_tell(node->bus, BUS_NEWS_LEAVES, node->id, user_id);
    }
}

static const struct node_rows_callbacks ROWS_CALLBACKS = {on_coming, on_released};

static void on_note(struct loop_task *task)
{
    struct note *note = (struct note *)task;
    struct node *node = note->node;
    if (node->bus == NULL) {
        free(note);
        return;
    }
    bool has_come = is_here(node, note->user_id);
    if (note->is_to_be_told && !note->has_come) {
        announce_presence(node->announcer, note->user_id, false);
    }
    bus_follow(node->bus, note->user_id, has_come);
    cache_set_online(node->services->cache, node->id, note->user_id, has_come);
    if (node->has_peers) {
        enum bus_news leaves = note->has_left_untold ? BUS_NEWS_LEAVES_UNTOLD : BUS_NEWS_LEAVES;
        bus_tell(node->bus, has_come ? BUS_NEWS_ENTERS : leaves, node->id, note->user_id);
    }
    node_rows_put(node->rows, note->user_id, note->is_to_be_told && note->has_come);
    node_rows_write(node->rows);
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

/* Without memory it is forgotten: the next comparison makes up for it. */
static struct note *create_note(struct node *node, void (*run)(struct loop_task *task), struct uuid user_id)
{
    struct note *note = malloc(sizeof *note);
    if (note != NULL) {
        *note = (struct note){.task.run = run, .node = node, .user_id = user_id};
    }
    return note;
}

static void post_note(struct note *note)
{
    loop_post(note->node->services->loop, &note->task);
}

void node_tell_revoked(struct services *services, struct uuid user_id)
{
    struct note *note = create_note(services->node, on_revoked, user_id);
    if (note != NULL) {
        post_note(note);
    }
}

void node_on_presence(void *data, struct uuid user_id, bool is_here_now, bool is_elsewhere)
{
    struct node *node = ((struct services *)data)->node;
    struct note *note = create_note(node, on_note, user_id);
    if (note != NULL) {
        note->has_come = is_here_now;
        note->is_to_be_told = !is_elsewhere && (!is_here_now || atomic_load(&node->is_settled));
        note->has_left_untold = !is_here_now && is_elsewhere;
        post_note(note);
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
    bool is_known = presence_knows_node(node->services->presence, other);
    if (!presence_add_node(node->services->presence, other, now_ms(node)) || is_known) {
        return;
    }
    use_bus(node);
    say_hello(node);
    hub_catch_up(node->services->append_hub);
}

/* Whoever has buried it tells of its users; of a node that nobody has buried, `on_untold` tells of those who left this
 * node while they seemed to be there. */
static void lose_sight(struct node *node, struct uuid other, void (*on_untold)(void *data, struct uuid user_id))
{
    presence_forget_node(node->services->presence, other, on_untold, node);
    use_bus(node);
    hub_catch_up(node->services->append_hub); /* it may have died between a commit and its notification */
}

static void on_place(struct node *node, enum bus_news news, struct uuid other, struct uuid user_id)
{
    meet(node, other);
    if (news != BUS_NEWS_ENTERS && node->comparing > 0) {
        uuid_map_put(&node->leavers, user_id, node);
    }
    struct presence_change change =
        presence_set_remote(node->services->presence, other, user_id, news == BUS_NEWS_ENTERS, now_ms(node));
    if (news == BUS_NEWS_LEAVES_UNTOLD && change.has_left_untold && uuid_is_lower(node->id, other)) {
        announce_presence(node->announcer, user_id, false);
    }
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
        lose_sight(node, node_id, NULL);
        break;
    case BUS_NEWS_ENTERS:
    case BUS_NEWS_LEAVES:
    case BUS_NEWS_LEAVES_UNTOLD:
        on_place(node, news, node_id, user_id);
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

static void on_untold(void *data, struct uuid user_id)
{
    announce_presence(((struct node *)data)->announcer, user_id, false);
}

static void on_silent(void *data, struct uuid other)
{
    lose_sight(data, other, on_untold);
}

static const struct presence_losses LOSSES = {on_silent, on_untold};

static void sweep(struct node *node)
{
    uint64_t now = now_ms(node), lease = lease_ms(node);
    if (now - node->compared_ms > lease) {
        node->compared_since_ms = now;
    }
    node->compared_ms = now;
    if (now - node->compared_since_ms >= lease) {
        presence_sweep(node->services->presence, now - lease, &LOSSES, node);
    }
}

/* Owned. */
struct id_list {
    struct uuid *ids;
    int count, capacity;
};

/* A presence_for_each_local's visit. Without memory the id is forgotten: the next comparison makes up for it. */
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

/* Those who came before the others were known. */
static void settle(struct node *node)
{
    struct presence *presence = node->services->presence;
    struct id_list newcomers = {0};
    if (atomic_exchange(&node->is_settled, true)) {
        return;
    }
    presence_for_each_local(presence, add_id, &newcomers);
    for (int i = 0; i < newcomers.count; i++) {
        node_rows_put(node->rows, newcomers.ids[i], !presence_is_elsewhere(presence, newcomers.ids[i]));
    }
    free(newcomers.ids);
    node_rows_write(node->rows);
}

static struct outcome finish_list(struct work *work, const struct db_rows *rows)
{
    struct node *node = work->data;
    for (int i = 0; i < db_rows_count(rows); i++) {
        struct node_user held = node_decode_user(rows, i);
        meet(node, held.node_id);
        if (!uuid_is_nil(held.user_id) && uuid_map_get(&node->leavers, held.user_id) == NULL) {
            presence_set_remote(node->services->presence, held.node_id, held.user_id, true, now_ms(node));
        }
    }
    sweep(node);
    use_bus(node);
    settle(node);
    return (struct outcome){.status = STATUS_OK};
}

static void on_compared(void *data, const struct outcome *outcome)
{
    struct node *node = data;
    (void)outcome;
    if (--node->comparing == 0) {
        uuid_map_dispose(&node->leavers);
    }
}

static void compare(struct node *node)
{
    node->comparing++;
    login_watch_look(node->services->login_watch);
    peers_read(node->peers, node->services);
    struct work *work = work_create(node->services, &NOBODY, on_compared, node);
    if (work != NULL) {
        node_list(&work->call, node->id);
        work_read(work, finish_list);
    }
}

static void on_connected(void *data)
{
    struct node *node = data;
    node->is_hearing = true;
    say_hello(node);
    loop_timer_start(node->services->loop, &node->round, 0); /* PostgreSQL may have lost its row, and has others' */
    hub_catch_up(node->services->append_hub);
}

/* --- the lease: renewed, and looked at --- */

static void put_local(void *data, struct uuid user_id)
{
    node_rows_put(((struct node *)data)->rows, user_id, false);
}

/* PostgreSQL has lost it, or somebody has buried this node while it did not move. */
static void write_all(struct node *node)
{
    presence_for_each_local(node->services->presence, put_local, node);
    node_rows_write(node->rows);
    say_hello(node);
}

static void forget(struct node *node, struct uuid other, bool has_left)
{
    log_write(has_left ? LOG_INFO : LOG_WARN, has_left ? "a node has stopped: who has not come back is offline"
                                                       : "a node has not renewed its lease: its users are offline");
    metrics_add(METRIC_NODES_LOST, has_left ? 0 : 1);
    lose_sight(node, other, NULL);
    cache_drop_online(node->services->cache, other);
    bus_tell(node->bus, BUS_NEWS_GONE, other, node->id);
}

static struct outcome finish_bury(struct work *work, const struct db_rows *rows)
{
    struct node *node = work->data;
    for (int i = 0; i < db_rows_count(rows); i++) {
        struct node_user held = node_decode_user(rows, i);
        if (i == 0 || !uuid_equals(held.node_id, node_decode_user(rows, i - 1).node_id)) {
            forget(node, held.node_id, node_decode_has_left(rows, i));
        }
        if (!uuid_is_nil(held.user_id) && !presence_is_online(node->services->presence, held.user_id)) {
            announce_presence(node->announcer, held.user_id, false);
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
    node_rows_retry(node->rows);
    if (is_forgotten) {
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

static void on_left(void *data, const struct outcome *outcome)
{
    (void)outcome; /* if it did not go well, the lease ends by itself */
    ((struct node *)data)->has_left = true;
}

static struct outcome finish_leave(struct work *work, const struct db_rows *rows)
{
    (void)work, (void)rows;
    return (struct outcome){.status = STATUS_OK};
}

static void leave(struct node *node)
{
    struct services *services = node->services;
    if (!node->has_been_known) {
        node->has_left = true;
        return;
    }
    struct work *work = work_create(services, &NOBODY, on_left, node);
    if (work != NULL) {
        node_renew(&work->call, node->id, (services->config->presence_grace_ms + 999) / 1000, node->number, SLICE(""));
        work_read(work, finish_leave);
    }
}

/* After those that extend its lease: the last one counts. */
bool node_leave(struct node *node)
{
    if (node != NULL && !node->is_leaving) {
        node->is_leaving = true;
        if (node->renewing == 0) {
            leave(node);
        }
    }
    return node == NULL || (node->has_left && announcer_is_idle(node->announcer));
}

/* Soon again, if it did not go well. */
static void on_renewed(void *data, const struct outcome *outcome)
{
    struct node *node = data;
    node->renewing--;
    if (node->is_leaving) {
        if (node->renewing == 0) {
            leave(node);
        }
        return;
    }
    uint64_t pause_ms = node->has_been_known ? ROUND_RETRY_MS : ROUND_MIN_MS;
    bool is_well = outcome->status == STATUS_OK && node->has_been_known;
    loop_timer_start(node->services->loop, &node->round, is_well ? lease_ms(node) / RENEWALS_A_LEASE : pause_ms);
}

static void on_round(struct timer *timer)
{
    struct node *node = (struct node *)((char *)timer - offsetof(struct node, round));
    struct services *services = node->services;
    if (node->is_leaving) {
        return;
    }
    node->renewing++;
    struct work *work = work_create(services, &NOBODY, on_renewed, node);
    if (work != NULL) {
        node_renew(&work->call, node->id, services->config->presence_lease_seconds, node->number,
                   slice_of(node->address));
        work_read(work, finish_renew);
    }
}

/* --- for requests of the others' sessions --- */

bool node_is_in_touch(const struct node *node)
{
    return node->has_been_known && node->is_hearing;
}

void node_find_peer(struct services *services, int number, node_on_peer *on_found, void *data)
{
    peers_find(services->node->peers, services, number, on_found, data);
}

/* --- life --- */

static void on_lost(void *data)
{
    ((struct node *)data)->is_hearing = false; /* what is missed meanwhile is found when it is back */
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
    node->announcer = announcer_create(services);
    node->rows = node_rows_create(services, node->id, &ROWS_CALLBACKS, node);
    if (node->bus == NULL || node->peers == NULL || node->announcer == NULL || node->rows == NULL) {
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
        node_rows_stop(node->rows);
    }
}

void node_destroy(struct node *node)
{
    if (node != NULL) {
        peers_destroy(node->peers);
        announcer_destroy(node->announcer);
        node_rows_destroy(node->rows);
        uuid_map_dispose(&node->leavers);
        free(node);
    }
}
