#include "realtime/presence.h"

#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>

#include "util/uuid_map.h"

/* A person is here as long as a worker holds a session of his, and for the grace time after. The last worker to lose
 * him starts a farewell: when its timer fires and nobody has seen him since, he has left this node. A return only
 * counts up the visit, so that the farewell finds itself out of date; nothing needs to be stopped on another thread.
 *
 * Other nodes are counted beside that. Which of them holds whom is kept by the one thread that hears of it. */

enum { SHARDS = 64 };

struct person {
    struct uuid id;
    uint32_t workers; /* that hold a session of his */
    uint32_t visit;
    uint32_t nodes; /* others that hold him */
    bool is_here;
    bool has_left_untold; /* not here any more, but others still held him then */
};

struct remote_node {
    struct uuid id;
    struct uuid_map users; /* values are when that was said last, in ms and one more */
    uint64_t heard_ms;
    struct remote_node *next;
};

struct shard {
    pthread_mutex_t mutex;
    struct uuid_map people;
};

struct presence {
    uint32_t grace_ms;
    struct remote_node *nodes;
    struct shard shards[SHARDS];
};

struct farewell {
    struct timer timer;
    struct presence_worker *worker;
    struct uuid user_id;
    uint32_t visit;
    struct farewell *previous, *next;
};

struct presence_worker {
    struct presence *presence;
    struct loop *loop;
    presence_on_change on_change;
    void *data;
    struct farewell *farewells;
};

static struct shard *shard_of(struct presence *presence, struct uuid user_id)
{
    return &presence->shards[(uuid_hash(user_id) >> 32) % SHARDS];
}

struct presence *presence_create(uint32_t grace_ms)
{
    struct presence *presence = calloc(1, sizeof *presence);
    if (presence == NULL) {
        return NULL;
    }
    presence->grace_ms = grace_ms;
    for (int i = 0; i < SHARDS; i++) {
        pthread_mutex_init(&presence->shards[i].mutex, NULL);
    }
    return presence;
}

void presence_destroy(struct presence *presence)
{
    if (presence == NULL) {
        return;
    }
    while (presence->nodes != NULL) {
        presence_forget_node(presence, presence->nodes->id, NULL, NULL);
    }
    for (int i = 0; i < SHARDS; i++) {
        struct person *person;
        for (size_t cursor = 0; (person = uuid_map_next(&presence->shards[i].people, &cursor)) != NULL;) {
            free(person);
        }
        uuid_map_dispose(&presence->shards[i].people);
        pthread_mutex_destroy(&presence->shards[i].mutex);
    }
    free(presence);
}

/* NULL without memory: then he is not noticed. */
static struct person *find_or_add(struct shard *shard, struct uuid user_id)
{
    struct person *person = uuid_map_get(&shard->people, user_id);
    if (person == NULL) {
        person = calloc(1, sizeof *person);
        if (person == NULL || !uuid_map_put(&shard->people, user_id, person)) {
            free(person);
            return NULL;
        }
        person->id = user_id;
    }
    return person;
}

static void remove_if_gone(struct shard *shard, struct person *person)
{
    if (!person->is_here && person->nodes == 0) {
        free(uuid_map_remove(&shard->people, person->id));
    }
}

/* What a change is to be told as. */
struct change {
    bool has_changed, is_elsewhere;
};

static struct change enter(struct shard *shard, struct uuid user_id)
{
    struct person *person = find_or_add(shard, user_id);
    if (person == NULL) {
        return (struct change){0};
    }
    struct change change = {!person->is_here, person->nodes > 0};
    person->workers++;
    person->visit++;
    person->is_here = true;
    person->has_left_untold = false;
    return change;
}

/* True, with the visit that is over, when no worker holds him any more. */
static bool leave(struct shard *shard, struct uuid user_id, uint32_t *ret_visit)
{
    struct person *person = uuid_map_get(&shard->people, user_id);
    if (person == NULL || person->workers == 0 || --person->workers > 0) {
        return false;
    }
    *ret_visit = person->visit;
    return true;
}

static struct change forget(struct shard *shard, struct uuid user_id, uint32_t visit)
{
    struct person *person = uuid_map_get(&shard->people, user_id);
    if (person == NULL || person->workers > 0 || person->visit != visit || !person->is_here) {
        return (struct change){0};
    }
    struct change change = {true, person->nodes > 0};
    person->is_here = false;
    person->has_left_untold = change.is_elsewhere;
    remove_if_gone(shard, person);
    return change;
}

static void unlink_farewell(struct farewell *farewell)
{
    if (farewell->previous != NULL) {
        farewell->previous->next = farewell->next;
    } else {
        farewell->worker->farewells = farewell->next;
    }
    if (farewell->next != NULL) {
        farewell->next->previous = farewell->previous;
    }
}

static void on_farewell(struct timer *timer)
{
    struct farewell *farewell = (struct farewell *)((char *)timer - offsetof(struct farewell, timer));
    struct presence_worker *worker = farewell->worker;
    struct shard *shard = shard_of(worker->presence, farewell->user_id);
    pthread_mutex_lock(&shard->mutex);
    struct change change = forget(shard, farewell->user_id, farewell->visit);
    pthread_mutex_unlock(&shard->mutex);
    unlink_farewell(farewell);
    if (change.has_changed) {
        worker->on_change(worker->data, farewell->user_id, false, change.is_elsewhere);
    }
    free(farewell);
}

static void say_farewell(struct presence_worker *worker, struct uuid user_id, uint32_t visit)
{
    struct farewell *farewell = calloc(1, sizeof *farewell);
    if (farewell == NULL) {
        return; /* he stays online until he comes and goes again */
    }
    *farewell = (struct farewell){
        .timer.on_fire = on_farewell, .worker = worker, .user_id = user_id, .visit = visit, .next = worker->farewells};
    if (farewell->next != NULL) {
        farewell->next->previous = farewell;
    }
    worker->farewells = farewell;
    loop_timer_start(worker->loop, &farewell->timer, worker->presence->grace_ms);
}

static void on_user(void *data, struct uuid user_id, bool is_here)
{
    struct presence_worker *worker = data;
    struct shard *shard = shard_of(worker->presence, user_id);
    struct change change = {0};
    uint32_t visit;
    pthread_mutex_lock(&shard->mutex);
    if (is_here) {
        change = enter(shard, user_id);
    }
    bool has_left = !is_here && leave(shard, user_id, &visit);
    pthread_mutex_unlock(&shard->mutex);
    if (change.has_changed) {
        worker->on_change(worker->data, user_id, true, change.is_elsewhere);
    } else if (has_left) {
        say_farewell(worker, user_id, visit);
    }
}

struct presence_worker *presence_watch(struct presence *presence, struct loop *loop, struct hub *hub,
                                       presence_on_change on_change, void *data)
{
    struct presence_worker *worker = calloc(1, sizeof *worker);
    if (worker != NULL) {
        *worker = (struct presence_worker){presence, loop, on_change, data, NULL};
        hub_watch_users(hub, on_user, worker);
    }
    return worker;
}

void presence_unwatch(struct presence_worker *worker)
{
    if (worker == NULL) {
        return;
    }
    while (worker->farewells != NULL) {
        struct farewell *farewell = worker->farewells;
        worker->farewells = farewell->next;
        free(farewell);
    }
    free(worker);
}

bool presence_is_online(struct presence *presence, struct uuid user_id)
{
    struct shard *shard = shard_of(presence, user_id);
    pthread_mutex_lock(&shard->mutex);
    bool is_online = uuid_map_get(&shard->people, user_id) != NULL;
    pthread_mutex_unlock(&shard->mutex);
    return is_online;
}

bool presence_is_here(struct presence *presence, struct uuid user_id)
{
    struct shard *shard = shard_of(presence, user_id);
    pthread_mutex_lock(&shard->mutex);
    const struct person *person = uuid_map_get(&shard->people, user_id);
    bool is_here = person != NULL && person->is_here;
    pthread_mutex_unlock(&shard->mutex);
    return is_here;
}

bool presence_is_elsewhere(struct presence *presence, struct uuid user_id)
{
    struct shard *shard = shard_of(presence, user_id);
    pthread_mutex_lock(&shard->mutex);
    const struct person *person = uuid_map_get(&shard->people, user_id);
    bool is_elsewhere = person != NULL && person->nodes > 0;
    pthread_mutex_unlock(&shard->mutex);
    return is_elsewhere;
}

void presence_for_each_local(struct presence *presence, void (*visit)(void *data, struct uuid user_id), void *data)
{
    for (int i = 0; i < SHARDS; i++) {
        struct shard *shard = &presence->shards[i];
        struct person *person;
        pthread_mutex_lock(&shard->mutex);
        for (size_t cursor = 0; (person = uuid_map_next(&shard->people, &cursor)) != NULL;) {
            if (person->is_here) {
                visit(data, person->id);
            }
        }
        pthread_mutex_unlock(&shard->mutex);
    }
}

/* --- other nodes --- */

static struct remote_node *find_node(const struct presence *presence, struct uuid node_id)
{
    struct remote_node *node = presence->nodes;
    while (node != NULL && !uuid_equals(node->id, node_id)) {
        node = node->next;
    }
    return node;
}

bool presence_knows_node(const struct presence *presence, struct uuid node_id)
{
    return find_node(presence, node_id) != NULL;
}

bool presence_add_node(struct presence *presence, struct uuid node_id, uint64_t now_ms)
{
    struct remote_node *node = find_node(presence, node_id);
    if (node == NULL) {
        node = calloc(1, sizeof *node);
        if (node == NULL) {
            return false;
        }
        *node = (struct remote_node){.id = node_id, .next = presence->nodes};
        presence->nodes = node;
    }
    node->heard_ms = now_ms;
    return true;
}

/* Counts a node that holds him, or one less. */
static struct presence_change count_node(struct presence *presence, struct uuid user_id, bool is_there)
{
    struct shard *shard = shard_of(presence, user_id);
    struct presence_change change = {0};
    pthread_mutex_lock(&shard->mutex);
    struct person *person = is_there ? find_or_add(shard, user_id) : uuid_map_get(&shard->people, user_id);
    if (person != NULL && is_there) {
        change.has_changed = person->nodes++ == 0 && !person->is_here;
    } else if (person != NULL && person->nodes > 0) {
        change.has_changed = --person->nodes == 0 && !person->is_here;
        change.has_left_untold = change.has_changed && person->has_left_untold;
        remove_if_gone(shard, person);
    }
    pthread_mutex_unlock(&shard->mutex);
    return change;
}

struct presence_change presence_set_remote(struct presence *presence, struct uuid node_id, struct uuid user_id,
                                           bool is_there, uint64_t now_ms)
{
    static const struct presence_change none = {0};
    struct remote_node *node = presence_add_node(presence, node_id, now_ms) ? find_node(presence, node_id) : NULL;
    bool was_there = node != NULL && uuid_map_get(&node->users, user_id) != NULL;
    if (node == NULL || (is_there && !uuid_map_put(&node->users, user_id, (void *)(uintptr_t)(now_ms + 1)))) {
        return none;
    }
    if (!is_there) {
        uuid_map_remove(&node->users, user_id);
    }
    return is_there != was_there ? count_node(presence, user_id, is_there) : none;
}

/* A user of the node of whom nothing was said since. */
static const struct uuid_map_entry *find_old(const struct remote_node *node, uint64_t since_ms, size_t *at)
{
    while (*at < node->users.capacity) {
        const struct uuid_map_entry *entry = &node->users.entries[(*at)++];
        if (entry->value != NULL && (uintptr_t)entry->value <= since_ms) {
            return entry;
        }
    }
    return NULL;
}

void presence_sweep(struct presence *presence, uint64_t since_ms, const struct presence_losses *losses, void *data)
{
    struct remote_node *next;
    for (struct remote_node *node = presence->nodes; node != NULL; node = next) {
        const struct uuid_map_entry *old;
        next = node->next;
        for (size_t at = 0; (old = find_old(node, since_ms, &at)) != NULL; at--) { /* another one moves there */
            struct uuid user_id = old->key;
            uuid_map_remove(&node->users, user_id);
            if (count_node(presence, user_id, false).has_left_untold) {
                losses->on_untold(data, user_id);
            }
        }
        if (node->heard_ms < since_ms) {
            losses->on_silent(data, node->id);
        }
    }
}

void presence_forget_node(struct presence *presence, struct uuid node_id,
                          void (*on_untold)(void *data, struct uuid user_id), void *data)
{
    struct remote_node **link = &presence->nodes;
    while (*link != NULL && !uuid_equals((*link)->id, node_id)) {
        link = &(*link)->next;
    }
    struct remote_node *node = *link;
    if (node == NULL) {
        return;
    }
    *link = node->next;
    for (size_t i = 0; i < node->users.capacity; i++) {
        struct uuid user_id = node->users.entries[i].key;
        if (node->users.entries[i].value != NULL && count_node(presence, user_id, false).has_left_untold &&
            on_untold != NULL) {
            on_untold(data, user_id);
        }
    }
    uuid_map_dispose(&node->users);
    free(node);
}

void presence_for_each_node(struct presence *presence, void (*visit)(void *data, struct uuid node_id), void *data)
{
    struct remote_node *next;
    for (struct remote_node *node = presence->nodes; node != NULL; node = next) {
        next = node->next;
        visit(data, node->id);
    }
}
