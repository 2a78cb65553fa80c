/* One connection to a Redis (or Valkey), kept up: it connects, logs in, and does so again, after growing pauses, when
 * it is lost. It carries commands or subscriptions; who needs both has two. Nothing that it is told waits for a
 * connection: while there is none it is refused. Loop's thread. */
#ifndef STONECHAT_CACHE_REDIS_H
#define STONECHAT_CACHE_REDIS_H

#include <stdbool.h>

#include "loop/loop.h"
#include "util/config.h"
#include "util/redis_address.h"
#include "util/slice.h"

struct redis;
struct redisReply; /* of hiredis */

struct redis_options {
    struct redis_address address;
    const char *tls_ca;  /* a PEM file; NULL: what the system trusts. Must stay */
    const char *use;     /* what it is for: a word for the log */
    uint32_t silence_ms; /* asked and silent for so long, it is lost; 0: 5 s */
};

struct redis_callbacks {
    /* It is ready, for the first time or again; nothing is subscribed to. */
    void (*on_connected)(void *data);
    /* It was ready, and is not any more. */
    void (*on_lost)(void *data);
    /* NULL where nothing is subscribed to. Anybody who may publish can send anything: `payload` is not to be trusted.
     */
    void (*on_message)(void *data, struct slice channel, struct slice payload);
};

/* What the settings say. False: no Redis is wanted. */
bool redis_options_of(const struct config *config, struct redis_options *ret_options);

/* Starts connecting in the next turn. NULL without memory, or (logged) when TLS cannot be set up. */
struct redis *redis_create(struct loop *loop, const struct redis_options *options,
                           const struct redis_callbacks *callbacks, void *data);
/* What is under way is told to be lost; on_lost does not come. Not inside a callback. NULL is fine. */
void redis_destroy(struct redis *redis);

bool redis_is_connected(const struct redis *redis);

/* `reply` is only good inside the call; NULL: the connection was lost, and nobody knows whether it was done. */
typedef void redis_on_reply(void *data, const struct redisReply *reply);

/* NULL when the command was done; else why it was not. */
const char *redis_error(const struct redisReply *reply);

enum { REDIS_ARGUMENTS_MAX = 8 };

/* Sends a command at the end of the turn. True: `on_reply` comes exactly once, later (and inside redis_destroy if not
 * before). False: it is not connected, or too much is waiting already; nothing is called. */
bool redis_command(struct redis *redis, const struct slice *arguments, int count, redis_on_reply *on_reply, void *data);

/* Where it is not connected, nothing happens. What Redis refuses, or does not fit, ends the connection: it is tried
 * again with the next one. Each is confirmed before the reply to a PING that is sent after it. */
void redis_subscribe(struct redis *redis, struct slice channel);
void redis_unsubscribe(struct redis *redis, struct slice channel);

#endif
