#include "util/uuid_map.h"

#include <assert.h>
#include <stdlib.h>

enum { CAPACITY_MIN = 16 };

void uuid_map_dispose(struct uuid_map *map)
{
    free(map->entries);
    *map = (struct uuid_map){0};
}

/* Where the key is, or the free place where it would be. */
static struct uuid_map_entry *find(const struct uuid_map *map, struct uuid key)
{
    size_t mask = map->capacity - 1;
    for (size_t i = uuid_hash(key) >> 20 & mask;; i = (i + 1) & mask) {
        struct uuid_map_entry *entry = &map->entries[i];
        if (entry->value == NULL || uuid_equals(entry->key, key)) {
            return entry;
        }
    }
}

void *uuid_map_get(const struct uuid_map *map, struct uuid key)
{
    return map->capacity == 0 ? NULL : find(map, key)->value;
}

static bool grow(struct uuid_map *map)
{
    struct uuid_map larger = {.capacity = map->capacity == 0 ? CAPACITY_MIN : map->capacity * 2, .count = map->count};
    larger.entries = calloc(larger.capacity, sizeof *larger.entries);
    if (larger.entries == NULL) {
        return false;
    }
    for (size_t i = 0; i < map->capacity; i++) {
        if (map->entries[i].value != NULL) {
            *find(&larger, map->entries[i].key) = map->entries[i];
        }
    }
    free(map->entries);
    *map = larger;
    return true;
}

bool uuid_map_put(struct uuid_map *map, struct uuid key, void *value)
{
    assert(value != NULL);
    if (map->count * 4 >= map->capacity * 3 && !grow(map)) {
        return false;
    }
    struct uuid_map_entry *entry = find(map, key);
    map->count += entry->value == NULL;
    *entry = (struct uuid_map_entry){key, value};
    return true;
}

void *uuid_map_remove(struct uuid_map *map, struct uuid key)
{
    if (map->capacity == 0) {
        return NULL;
    }
    struct uuid_map_entry *entry = find(map, key);
    void *value = entry->value;
    if (value == NULL) {
        return NULL;
    }
    map->count--;
    size_t mask = map->capacity - 1, hole = (size_t)(entry - map->entries);
    map->entries[hole].value = NULL;
    /* Later entries of the run move back, unless the hole lies before their own place. */
    for (size_t i = (hole + 1) & mask; map->entries[i].value != NULL; i = (i + 1) & mask) {
        size_t home = uuid_hash(map->entries[i].key) >> 20 & mask;
        if (((i - home) & mask) >= ((i - hole) & mask)) {
            map->entries[hole] = map->entries[i];
            map->entries[i].value = NULL;
            hole = i;
        }
    }
    return value;
}

void *uuid_map_next(const struct uuid_map *map, size_t *cursor)
{
    while (*cursor < map->capacity) {
        struct uuid_map_entry *entry = &map->entries[(*cursor)++];
        if (entry->value != NULL) {
            return entry->value;
        }
    }
    return NULL;
}
