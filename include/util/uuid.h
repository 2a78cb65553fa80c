/* UUIDs (RFC 9562): made as version 7, so that ids sort by time and indexes stay dense. */
#ifndef STONECHAT_UTIL_UUID_H
#define STONECHAT_UTIL_UUID_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "util/slice.h"

enum { UUID_TEXT_LENGTH = 36 };

struct uuid {
    uint8_t bytes[16];
};

/* A new version 7 UUID: milliseconds, then a counter and random bits, ascending within a thread. Any thread. */
struct uuid uuid_generate(void);

/* Reads the 36-character form, upper or lower case. False, and nothing written, if it is anything else. */
bool uuid_parse(struct slice text, struct uuid *ret_uuid);

/* Writes 36 lower-case characters, without a terminator. */
void uuid_format(struct uuid uuid, char out[UUID_TEXT_LENGTH]);

static inline bool uuid_equals(struct uuid a, struct uuid b)
{
    return memcmp(a.bytes, b.bytes, sizeof a.bytes) == 0;
}

static inline bool uuid_is_lower(struct uuid a, struct uuid b)
{
    return memcmp(a.bytes, b.bytes, sizeof a.bytes) < 0;
}

static inline bool uuid_is_nil(struct uuid uuid)
{
    return uuid_equals(uuid, (struct uuid){{0}});
}

/* A hash for tables in memory, all of whose bits depend on all of the UUID's: ids made by others may differ anywhere.
 * (The mixing is MurmurHash3's finalizer.) */
static inline uint64_t uuid_hash(struct uuid uuid)
{
    uint64_t head, tail;
    memcpy(&head, uuid.bytes, 8);
    memcpy(&tail, uuid.bytes + 8, 8);
    uint64_t hash = head * 0x9e3779b97f4a7c15u ^ tail;
    hash = (hash ^ hash >> 33) * 0xff51afd7ed558ccdu;
    hash = (hash ^ hash >> 33) * 0xc4ceb9fe1a85ec53u;
    return hash ^ hash >> 33;
}

#endif
