/* What a Redis (or Valkey) keeps for all nodes, so that the database is asked less, and what it tells other programs.
 *
 *     stonechat:chats:<user>
 *         Hash; 10 minutes after it was begun. `list`: the user's list of chats, as the service made it.
 *         A contact's id: when he went offline since then, in µs since 1970.
 *     stonechat:online:<node>
 *         Set; as long as the node's lease. The users with a socket at this node.
 *     stonechat:limit:<rule>:<user or address>
 *         Integer; until the bucket is full. When that is, in µs since 1970 by Redis' clock.
 *     stonechat:lock:<name>
 *         Empty string; as long as the name is locked out, but a minute at most.
 *
 * None of it is the truth. All of it may be lost at any moment, or be older than what the database says: whoever takes
 * something from here compares it with the database, or can bear the difference. Nothing waits for a Redis that is away
 * or stands still, but for a fraction of a second, once.
 *
 * One a worker; on its thread. Every function takes NULL for a cache that is not there. */
#ifndef STONECHAT_CACHE_CACHE_H
#define STONECHAT_CACHE_CACHE_H

#include "cache/redis.h"
#include "util/uuid.h"

struct cache;

/* Starts connecting in the next turn. NULL without memory, or (logged) when TLS cannot be set up. */
struct cache *cache_create(struct loop *loop, const struct redis_options *options);
/* Who waits is told that there is nothing. */
void cache_destroy(struct cache *cache);

/* Can be asked now: there is one, and its Redis is there. */
bool cache_is_there(const struct cache *cache);

/* --- lists of chats --- */

/* Lives inside the callback. */
struct cache_chats {
    struct slice list;
    const struct redisReply *fields;
};

/* `found` is NULL where there is no list. */
typedef void cache_on_chats(void *data, const struct cache_chats *found);

/* False: nothing is called, as there is no Redis now; else `on_found` comes once, later. */
bool cache_find_chats(struct cache *cache, struct uuid user_id, cache_on_chats *on_found, void *data);
/* When the contact went offline, in µs since 1970; 0 where nothing is known. */
int64_t cache_chats_last_seen(const struct cache_chats *found, struct uuid contact_id);
void cache_put_chats(struct cache *cache, struct uuid user_id, struct slice list);
/* A contact of the user has gone offline. The later time wins, whoever comes first. */
void cache_note_last_seen(struct cache *cache, struct uuid user_id, struct uuid contact_id, int64_t last_seen_us);

/* --- who is online, for other programs --- */

void cache_set_online(struct cache *cache, struct uuid node_id, struct uuid user_id, bool is_online);
/* Keeps the node's set for another `lease_s`, also when that is asked for before its first user. */
void cache_renew_online(struct cache *cache, struct uuid node_id, int64_t lease_s);
/* Nobody is at the node. */
void cache_drop_online(struct cache *cache, struct uuid node_id);
/* `on_stale` comes when the set of the node may not be as it was left: Redis is there (again), or was flushed. */
void cache_watch_online(struct cache *cache, void (*on_stale)(void *data), void *data);

/* --- rate limits, counted by all nodes --- */

struct cache_token {
    struct slice bucket; /* 64 bytes at most */
    int64_t token_us, period_us;
};

/* `owed_us` is how long the bucket needs to be full again; -1 when that was not told. */
typedef void cache_on_owed(void *data, int64_t owed_us);
/* Takes a token, by Redis' clock. False: nothing is called. */
bool cache_take_token(struct cache *cache, const struct cache_token *token, cache_on_owed *on_owed, void *data);

/* --- names that are locked out --- */

typedef void cache_on_lock(void *data, bool is_locked);
/* False: nothing is called. */
bool cache_find_lock(struct cache *cache, struct slice name, cache_on_lock *on_found, void *data);
/* `duration_s` is what is left of it. */
void cache_put_lock(struct cache *cache, struct slice name, int64_t duration_s);

#endif
