#include "realtime/presence.h"

#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>

#include "util/uuid_map.h"

/* A person is there as long as a worker holds a session of his, and for the grace time after. The last worker to lose
 * him starts a farewell: when its timer fires and nobody has seen him since, he is offline. A return only counts up the
 * visit, so that the farewell finds itself out of date; nothing needs to be stopped on another thread. */

enum { SHARDS = 64 };

struct person {
    uint32_t workers; /* that hold a session of his */
    uint32_t visit;
};

struct shard {
    pthread_mutex_t mutex;
    struct uuid_map people;
};

struct presence {
    uint32_t grace_ms;
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
    presence_on_change *on_change;
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

/* True when he was offline until now. Without memory he is not noticed. */
static bool enter(struct shard *shard, struct uuid user_id)
{
    struct person *person = uuid_map_get(&shard->people, user_id);
    bool is_new = person == NULL;
    if (is_new) {
        person = calloc(1, sizeof *person);
        if (person == NULL || !uuid_map_put(&shard->people, user_id, person)) {
            free(person);
            return false;
        }
    }
    person->workers++;
    person->visit++;
    return is_new;
}

/* True, with the visit that is over, when no worker holds him any more. */
static bool leave(struct shard *shard, struct uuid user_id, uint32_t *ret_visit)
{
    struct person *person = uuid_map_get(&shard->people, user_id);
    if (person == NULL || --person->workers > 0) {
        return false;
    }
    *ret_visit = person->visit;
    return true;
}

static bool forget(struct shard *shard, struct uuid user_id, uint32_t visit)
{
    struct person *person = uuid_map_get(&shard->people, user_id);
    if (person == NULL || person->workers > 0 || person->visit != visit) {
        return false;
    }
    free(uuid_map_remove(&shard->people, user_id));
    return true;
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
    bool is_gone = forget(shard, farewell->user_id, farewell->visit);
    pthread_mutex_unlock(&shard->mutex);
    unlink_farewell(farewell);
    if (is_gone) {
        worker->on_change(worker->data, farewell->user_id, false);
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
    uint32_t visit;
    pthread_mutex_lock(&shard->mutex);
    bool has_changed = is_here ? enter(shard, user_id) : leave(shard, user_id, &visit);
    pthread_mutex_unlock(&shard->mutex);
    if (has_changed && is_here) {
        worker->on_change(worker->data, user_id, true);
    } else if (has_changed) {
        say_farewell(worker, user_id, visit);
    }
}

struct presence_worker *presence_watch(struct presence *presence, struct loop *loop, struct hub *hub,
                                       presence_on_change *on_change, void *data)
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
