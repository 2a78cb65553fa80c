/* A hash table from UUIDs to pointers: open addressing, linear probing, no tombstones. One thread. */
#ifndef STONECHAT_UTIL_UUID_MAP_H
#define STONECHAT_UTIL_UUID_MAP_H

#include <stdbool.h>
#include <stddef.h>

#include "util/uuid.h"

struct uuid_map {
    struct uuid_map_entry {
        struct uuid key;
        void *value; /* NULL: the place is free */
    } * entries;
    size_t count, capacity; /* capacity: 0 or a power of two */
};

/* All zeros is an empty map. Frees the table, not the values. */
void uuid_map_dispose(struct uuid_map *map);

/* NULL when it is not there. */
void *uuid_map_get(const struct uuid_map *map, struct uuid key);

/* Adds or replaces; `value` is not NULL. False without memory. */
bool uuid_map_put(struct uuid_map *map, struct uuid key, void *value);

/* Takes it out and returns it, or NULL. */
void *uuid_map_remove(struct uuid_map *map, struct uuid key);

/* The next value in no order, from *cursor = 0 on; NULL at the end. The map must not change meanwhile. */
void *uuid_map_next(const struct uuid_map *map, size_t *cursor);

#endif
