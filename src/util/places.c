#include "util/places.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "util/metrics.h"

/* One lock for all: it is taken when a connection begins and ends, not while it works. A client is in the table for as
 * long as it has a place, so that the table is no larger than the connections are many. */

enum { BUCKETS = 4096 };

struct client {
    struct client *next;
    struct ip_address key;
    int count;
};

struct places {
    pthread_mutex_t lock;
    int max, max_per_client, count;
    bool is_destroyed;
    struct client *buckets[BUCKETS];
};

struct place {
    struct places *places;
    struct ip_address key;
    bool has_client;
};

struct places *places_create(int max, int max_per_client)
{
    struct places *places = calloc(1, sizeof *places);
    if (places != NULL) {
        pthread_mutex_init(&places->lock, NULL);
        places->max = max;
        places->max_per_client = max_per_client;
    }
    return places;
}

/* With the lock, which is let go. */
static void leave(struct places *places)
{
    bool is_last = places->is_destroyed && places->count == 0;
    pthread_mutex_unlock(&places->lock);
    if (is_last) {
        pthread_mutex_destroy(&places->lock);
        free(places);
    }
}

void places_destroy(struct places *places)
{
    if (places != NULL) {
        pthread_mutex_lock(&places->lock);
        places->is_destroyed = true;
        leave(places);
    }
}

/* FNV-1a. Who has many addresses can fill a bucket, and pays for each with a connection. */
static struct client **find(struct places *places, const struct ip_address *key)
{
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < sizeof key->bytes; i++) {
        hash = (hash ^ key->bytes[i]) * 16777619u;
    }
    struct client **link = &places->buckets[hash % BUCKETS];
    while (*link != NULL && memcmp(&(*link)->key, key, sizeof *key) != 0) {
        link = &(*link)->next;
    }
    return link;
}

static bool count_client(struct places *places, const struct ip_address *key)
{
    struct client **link = find(places, key);
    if (*link == NULL) {
        struct client *client = calloc(1, sizeof *client);
        if (client == NULL) {
            return false;
        }
        client->key = *key;
        *link = client;
    }
    if (places->max_per_client > 0 && (*link)->count >= places->max_per_client) {
        return false;
    }
    (*link)->count++;
    return true;
}

static void uncount_client(struct places *places, const struct ip_address *key)
{
    struct client **link = find(places, key), *client = *link;
    assert(client != NULL && client->count > 0);
    if (--client->count == 0) {
        *link = client->next;
        free(client);
    }
}

struct place *places_take(struct places *places, const struct ip_address *client)
{
    struct place *place = calloc(1, sizeof *place);
    if (place == NULL) {
        return NULL;
    }
    place->places = places;
    place->has_client = client != NULL;
    place->key = client != NULL ? ip_address_limit_key(client) : place->key;
    pthread_mutex_lock(&places->lock);
    bool good =
        (places->max == 0 || places->count < places->max) && (client == NULL || count_client(places, &place->key));
    places->count += good;
    pthread_mutex_unlock(&places->lock);
    if (!good) {
        free(place);
        return NULL;
    }
    metrics_add(METRIC_CONNECTIONS, 1);
    return place;
}

bool place_assign(struct place *place, const struct ip_address *client)
{
    assert(!place->has_client);
    place->key = ip_address_limit_key(client);
    pthread_mutex_lock(&place->places->lock);
    place->has_client = count_client(place->places, &place->key);
    pthread_mutex_unlock(&place->places->lock);
    return place->has_client;
}

void place_give_back(struct place *place)
{
    if (place == NULL) {
        return;
    }
    struct places *places = place->places;
    pthread_mutex_lock(&places->lock);
    places->count--;
    if (place->has_client) {
        uncount_client(places, &place->key);
    }
    leave(places);
    metrics_add(METRIC_CONNECTIONS, -1);
    free(place);
}
