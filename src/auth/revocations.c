#include "auth/revocations.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "util/uuid_map.h"

/* The map's values are no pointers: they are the seconds at which a login's last token expires. */

struct revocations {
    pthread_mutex_t lock;
    struct uuid_map logins;
    size_t swept; /* the place at which the sweep has stopped */
    atomic_uint_fast64_t version;
    atomic_bool is_whole;
};

_Static_assert(sizeof(void *) >= sizeof(int64_t), "a value holds a time");

static void *value_of(int64_t until_s)
{
    return (void *)(uintptr_t)(until_s > 0 ? until_s : 1); /* NULL would be a free place */
}

struct revocations *revocations_create(void)
{
    struct revocations *revocations = calloc(1, sizeof *revocations);
    if (revocations != NULL) {
        pthread_mutex_init(&revocations->lock, NULL);
        atomic_init(&revocations->version, 1);
    }
    return revocations;
}

void revocations_destroy(struct revocations *revocations)
{
    if (revocations != NULL) {
        uuid_map_dispose(&revocations->logins);
        pthread_mutex_destroy(&revocations->lock);
        free(revocations);
    }
}

enum revocations_added revocations_add(struct revocations *revocations, struct uuid login_id, int64_t until_s)
{
    pthread_mutex_lock(&revocations->lock);
    bool is_old = uuid_map_get(&revocations->logins, login_id) != NULL;
    bool is_added = is_old || uuid_map_put(&revocations->logins, login_id, value_of(until_s));
    pthread_mutex_unlock(&revocations->lock);
    if (!is_added) {
        atomic_store(&revocations->is_whole, false);
        return REVOCATIONS_FAILED;
    }
    if (is_old) {
        return REVOCATIONS_OLD;
    }
    atomic_fetch_add(&revocations->version, 1);
    return REVOCATIONS_NEW;
}

bool revocations_hold(struct revocations *revocations, struct uuid login_id)
{
    pthread_mutex_lock(&revocations->lock);
    bool is_held = uuid_map_get(&revocations->logins, login_id) != NULL;
    pthread_mutex_unlock(&revocations->lock);
    return is_held;
}

void revocations_set_whole(struct revocations *revocations)
{
    atomic_store(&revocations->is_whole, true);
}

bool revocations_are_whole(const struct revocations *revocations)
{
    return atomic_load(&((struct revocations *)revocations)->is_whole);
}

uint64_t revocations_version(const struct revocations *revocations)
{
    return atomic_load(&((struct revocations *)revocations)->version);
}

void revocations_sweep(struct revocations *revocations, int64_t now_s, size_t places)
{
    struct uuid_map *logins = &revocations->logins;
    pthread_mutex_lock(&revocations->lock);
    for (size_t i = 0; i < places && i < logins->capacity; i++) {
        revocations->swept = (revocations->swept + 1) & (logins->capacity - 1);
        const struct uuid_map_entry *entry = &logins->entries[revocations->swept];
        while (entry->value != NULL && (int64_t)(uintptr_t)entry->value <= now_s) {
            uuid_map_remove(logins, entry->key); /* which may move another one here */
        }
    }
    pthread_mutex_unlock(&revocations->lock);
}

size_t revocations_count(struct revocations *revocations)
{
    pthread_mutex_lock(&revocations->lock);
    size_t count = revocations->logins.count;
    pthread_mutex_unlock(&revocations->lock);
    return count;
}
