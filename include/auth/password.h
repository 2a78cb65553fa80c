/* Password hashes (argon2id) off the workers' threads. One hash takes tens of milliseconds and megabytes by design, so
 * that they run on a few threads of low priority with a bounded queue: a flood of logins slows logins, and nothing
 * else. */
#ifndef STONECHAT_AUTH_PASSWORD_H
#define STONECHAT_AUTH_PASSWORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/slice.h"
#include "util/status.h"

struct loop;
struct password_pool;

struct password_options {
    uint32_t memory_kib, iterations, parallelism; /* of argon2id; memory at least 8 KiB for each of parallelism */
    unsigned threads;                             /* each holds memory_kib while it works */
    size_t queue_max;                             /* jobs that may wait beside those that run */
};

/* Starts the threads. NULL without memory or threads. */
struct password_pool *password_pool_create(const struct password_options *options);

/* Waits for the jobs that run; those that wait are completed with STATUS_UNAVAILABLE, and new ones refused. All
 * completions are posted when it returns. NULL is fine. */
void password_pool_stop(struct password_pool *pool);

/* Stops it if it is not. The loops must outlive it, and no thread may use it any more. */
void password_pool_destroy(struct password_pool *pool);

/* Called once on the loop's thread. With STATUS_OK, `encoded` is the hash as text ("$argon2id$…"), which lives until
 * the call returns; with STATUS_UNAVAILABLE it is NULL. */
typedef void password_on_hashed(void *data, enum status status, const char *encoded);

/* Called once on the loop's thread. STATUS_OK when the password is right, STATUS_INVALID_CREDENTIALS when not,
 * STATUS_INTERNAL when the stored hash cannot be read, STATUS_UNAVAILABLE when there was no memory or the pool ended.
 * `needs_rehash` is true only with STATUS_OK, when the hash was made with other parameters than the pool has now. */
typedef void password_on_verified(void *data, enum status status, bool needs_rehash);

/* Hashes a copy of `password`, wiped after use. STATUS_OK: `on_hashed` will be called. STATUS_UNAVAILABLE (the queue is
 * full, or no memory): it will not. Any thread; `loop` is the one to complete on. */
enum status password_hash(struct password_pool *pool, struct loop *loop, struct slice password,
                          password_on_hashed *on_hashed, void *data);

/* Holds a copy of `password`, wiped after use, against `encoded`, which is copied too. `encoded` NULL, for a user that
 * does not exist, takes as long as a hash with the pool's parameters and always fails. Returns as password_hash. */
enum status password_verify(struct password_pool *pool, struct loop *loop, struct slice password, const char *encoded,
                            password_on_verified *on_verified, void *data);

#endif
