/* How often something may be done: the table of rules, and the buckets that count. Pure, but for a limiter's clock.
 *
 * A bucket holds so many tokens and fills up evenly within its period; what is done takes one. It is kept as one
 * number, how long the bucket needs to be full again: the Generic Cell Rate Algorithm (ITU-T I.371, annex A). */
#ifndef STONECHAT_UTIL_RATE_LIMITS_H
#define STONECHAT_UTIL_RATE_LIMITS_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "util/slice.h"

/* X(rule, name, by, tokens, period in seconds, what it counts). Who is limited by address is counted before he has said
 * who he is; who is limited by user, after it. */
#define RATE_RULE_MAP(X)                                                                                               \
    X(REQUESTS, "requests", IP, 200, 60, "requests, whatever they ask for")                                            \
    X(LOGINS, "logins", IP, 10, 900, "registering and logging in")                                                     \
    X(REFRESHES, "refreshes", IP, 120, 900, "tokens refreshed")                                                        \
    X(EVENTS, "events", IP, 3000, 60, "socket events, whatever they are")                                              \
    X(POLLS, "polls", IP, 6000, 60, "polls and posts of Socket.IO sessions without WebSocket")                         \
    X(ACCOUNT, "account", USER, 30, 900, "logins ended, password and second factor changed, account deleted")          \
    X(READS, "reads", USER, 200, 60, "lists and profiles")                                                             \
    X(MESSAGES, "messages", USER, 30, 10, "messages")                                                                  \
    X(RECEIPTS, "receipts", USER, 120, 60, "messages marked read")                                                     \
    X(CONTACTS, "contacts", USER, 20, 900, "friend requests: sent, accepted, rejected; contacts removed")              \
    X(TYPING, "typing", USER, 10, 10, "typing, and no longer typing")                                                  \
    X(CALLS, "calls", USER, 30, 60, "calls: started, answered, ended")                                                 \
    X(CANDIDATES, "candidates", USER, 600, 60, "ICE candidates")

enum rate_rule {
    RATE_NONE, /* is not limited */
#define X(rule, name, by, tokens, period, what) RATE_##rule,
    RATE_RULE_MAP(X)
#undef X
        RATE_RULE_COUNT
};

enum rate_by { RATE_BY_IP, RATE_BY_USER };

struct rate_limit {
    int32_t tokens; /* 0: not limited */
    int32_t period_s;
};

enum { RATE_TOKENS_MAX = 1000000, RATE_PERIOD_MAX_S = 7 * 24 * 3600 };

const char *rate_rule_name(enum rate_rule rule);
enum rate_by rate_rule_by(enum rate_rule rule);

/* Puts the defaults of the table into limits[RATE_RULE_COUNT]. */
void rate_limits_default(struct rate_limit *limits);
/* Reads "messages=60/10s" (s, m, h or d) or "messages=off" into the rule's place. */
bool rate_limits_parse(struct slice text, struct rate_limit *limits);

/* Who is counted: an address's key (util/ip_address.h) or a user's id. */
struct rate_key {
    uint8_t bytes[16];
};

static inline struct rate_key rate_key_of(const uint8_t bytes[16])
{
    struct rate_key key;
    memcpy(key.bytes, bytes, sizeof key.bytes);
    return key;
}

/* The buckets of a process. Those that nobody uses are full, and take no room; the room is bounded, and when it is
 * short those that are nearly full are forgotten first. Any thread. NULL without memory. */
struct rate_buckets;
struct rate_buckets *rate_buckets_create(const struct rate_limit *limits);
void rate_buckets_destroy(struct rate_buckets *buckets);

/* What a bucket says; all but `is_allowed` is 0 where nothing is limited. */
struct rate_verdict {
    bool is_allowed;
    int32_t limit, remaining;
    int32_t reset_s; /* until the bucket is full */
    int32_t retry_s; /* until there is a token, when there was none */
};

/* Takes a token, if there is one. `now_us` never goes back. */
struct rate_verdict rate_buckets_take(struct rate_buckets *buckets, enum rate_rule rule, const struct rate_key *key,
                                      int64_t now_us);

/* What a token costs, and how much a bucket can owe, in µs of filling: for those who count elsewhere too. */
int64_t rate_buckets_token_us(const struct rate_buckets *buckets, enum rate_rule rule);
int64_t rate_buckets_period_us(const struct rate_buckets *buckets, enum rate_rule rule);
/* Elsewhere this bucket needs `owed_us` to be full again: here it needs no less. */
void rate_buckets_learn(struct rate_buckets *buckets, enum rate_rule rule, const struct rate_key *key, int64_t owed_us,
                        int64_t now_us);

/* --- with who else counts --- */

/* One a worker, filled by main; used on the worker's thread. */
struct rate_limiter {
    struct rate_buckets *buckets; /* NULL: nothing is limited */
    /* Tells them that a token was taken; may be NULL. */
    void (*share)(void *context, enum rate_rule rule, const struct rate_key *key);
    void *context;
};

struct rate_verdict rate_limiter_take(const struct rate_limiter *limiter, enum rate_rule rule,
                                      const struct rate_key *key);

#endif
