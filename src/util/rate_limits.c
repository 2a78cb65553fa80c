#include "util/rate_limits.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "util/clock.h"
#include "util/digits.h"
#include "util/metrics.h"

static const struct {
    const char *name;
    enum rate_by by;
    struct rate_limit limit;
} rules[RATE_RULE_COUNT] = {
#define X(rule, name, by, tokens, period, what) [RATE_##rule] = {name, RATE_BY_##by, {tokens, period}},
    RATE_RULE_MAP(X)
#undef X
};

const char *rate_rule_name(enum rate_rule rule)
{
    assert(rule > RATE_NONE && rule < RATE_RULE_COUNT);
    return rules[rule].name;
}

enum rate_by rate_rule_by(enum rate_rule rule)
{
    return rules[rule].by;
}

void rate_limits_default(struct rate_limit *limits)
{
    for (int i = 0; i < RATE_RULE_COUNT; i++) {
        limits[i] = rules[i].limit;
    }
}

/* --- reading --- */

/* Takes a whole number of 1..max off the front. */
static bool take_number(struct slice *text, int64_t max, int32_t *ret_number)
{
    int64_t number;
    if (!digits_take(text, DIGITS_MAX, &number) || number < 1 || number > max) {
        return false;
    }
    *ret_number = (int32_t)number;
    return true;
}

static int32_t unit_seconds(struct slice unit)
{
    static const struct {
        char letter;
        int32_t seconds;
    } units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 24 * 3600}};
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (unit.length == 1 && unit.data[0] == units[i].letter) {
            return units[i].seconds;
        }
    }
    return 0;
}

static bool read_limit(struct slice text, struct rate_limit *ret_limit)
{
    struct rate_limit limit = {0, 1};
    if (slice_equals(text, SLICE("off"))) {
        *ret_limit = limit;
        return true;
    }
    if (!take_number(&text, RATE_TOKENS_MAX, &limit.tokens) || text.length == 0 || text.data[0] != '/') {
        return false;
    }
    text = (struct slice){text.data + 1, text.length - 1};
    if (!take_number(&text, RATE_PERIOD_MAX_S, &limit.period_s)) {
        return false;
    }
    int64_t period_s = (int64_t)limit.period_s * unit_seconds(text);
    limit.period_s = (int32_t)period_s;
    *ret_limit = limit;
    return period_s > 0 && period_s <= RATE_PERIOD_MAX_S;
}

bool rate_limits_parse(struct slice text, struct rate_limit *limits)
{
    const char *equals = text.length > 0 ? memchr(text.data, '=', text.length) : NULL;
    if (equals == NULL) {
        return false;
    }
    struct slice name = {text.data, (size_t)(equals - text.data)};
    struct slice value = {equals + 1, text.length - name.length - 1};
    for (int rule = RATE_NONE + 1; rule < RATE_RULE_COUNT; rule++) {
        struct rate_limit limit;
        if (slice_equals(name, slice_of(rules[rule].name)) && read_limit(value, &limit)) {
            limits[rule] = limit;
            return true;
        }
    }
    return false;
}

/* --- buckets: sets of a few places, each under one of a few locks --- */

enum { SETS = 1 << 14, WAYS = 4, LOCKS = 64 };

struct bucket {
    struct rate_key key;
    int64_t full_at_us; /* when it is full again; one that is full is as good as none */
    enum rate_rule rule;
};

struct rate_buckets {
    struct rate_limit limits[RATE_RULE_COUNT];
    uint64_t seed; /* nobody can aim at a set */
    pthread_mutex_t locks[LOCKS];
    struct bucket sets[SETS][WAYS];
};

struct rate_buckets *rate_buckets_create(const struct rate_limit *limits)
{
    struct rate_buckets *buckets = calloc(1, sizeof *buckets);
    if (buckets == NULL) {
        return NULL;
    }
    memcpy(buckets->limits, limits, sizeof buckets->limits);
    while (getrandom(&buckets->seed, sizeof buckets->seed, 0) != sizeof buckets->seed) {
    }
    for (int i = 0; i < LOCKS; i++) {
        pthread_mutex_init(&buckets->locks[i], NULL);
    }
    return buckets;
}

void rate_buckets_destroy(struct rate_buckets *buckets)
{
    for (int i = 0; buckets != NULL && i < LOCKS; i++) {
        pthread_mutex_destroy(&buckets->locks[i]);
    }
    free(buckets);
}

/* The finalizer of MurmurHash3: https://github.com/aappleby/smhasher */
static uint64_t mix(uint64_t x)
{
    x = (x ^ x >> 33) * 0xff51afd7ed558ccdull;
    x = (x ^ x >> 33) * 0xc4ceb9fe1a85ec53ull;
    return x ^ x >> 33;
}

static size_t set_of(const struct rate_buckets *buckets, enum rate_rule rule, const struct rate_key *key)
{
    uint64_t halves[2];
    memcpy(halves, key->bytes, sizeof halves);
    return mix(mix(mix(buckets->seed ^ (uint64_t)rule) ^ halves[0]) ^ halves[1]) % SETS;
}

/* The bucket of this key, or a place for it: a free one, else that of the bucket which is full soonest. */
static struct bucket *find(struct rate_buckets *buckets, size_t set, enum rate_rule rule, const struct rate_key *key)
{
    struct bucket *bucket = buckets->sets[set], *place = bucket;
    for (int way = 0; way < WAYS; way++) {
        if (bucket[way].rule == rule && memcmp(&bucket[way].key, key, sizeof *key) == 0) {
            return &bucket[way];
        }
        if (bucket[way].full_at_us < place->full_at_us) {
            place = &bucket[way];
        }
    }
    *place = (struct bucket){*key, 0, rule};
    return place;
}

static int32_t seconds(int64_t us)
{
    return (int32_t)((us + 999999) / 1000000);
}

int64_t rate_buckets_period_us(const struct rate_buckets *buckets, enum rate_rule rule)
{
    return (int64_t)buckets->limits[rule].period_s * 1000000;
}

int64_t rate_buckets_token_us(const struct rate_buckets *buckets, enum rate_rule rule)
{
    int64_t tokens = buckets->limits[rule].tokens;
    return tokens > 0 ? rate_buckets_period_us(buckets, rule) / tokens : 0;
}

static bool is_limited(const struct rate_buckets *buckets, enum rate_rule rule)
{
    return buckets != NULL && buckets->limits[rule].tokens > 0;
}

struct rate_verdict rate_buckets_take(struct rate_buckets *buckets, enum rate_rule rule, const struct rate_key *key,
                                      int64_t now_us)
{
    if (!is_limited(buckets, rule)) {
        return (struct rate_verdict){.is_allowed = true};
    }
    size_t set = set_of(buckets, rule, key);
    int64_t token_us = rate_buckets_token_us(buckets, rule), period_us = rate_buckets_period_us(buckets, rule);
    struct rate_verdict verdict = {.limit = buckets->limits[rule].tokens};

    pthread_mutex_lock(&buckets->locks[set % LOCKS]);
    struct bucket *bucket = find(buckets, set, rule, key);
    int64_t owed_us = bucket->full_at_us > now_us ? bucket->full_at_us - now_us : 0;
    verdict.is_allowed = owed_us + token_us <= period_us;
    if (verdict.is_allowed) {
        owed_us += token_us;
        bucket->full_at_us = now_us + owed_us;
    }
    pthread_mutex_unlock(&buckets->locks[set % LOCKS]);

    verdict.remaining = (int32_t)((period_us - owed_us) / token_us);
    verdict.reset_s = seconds(owed_us);
    verdict.retry_s = verdict.is_allowed ? 0 : seconds(owed_us + token_us - period_us);
    return verdict;
}

void rate_buckets_learn(struct rate_buckets *buckets, enum rate_rule rule, const struct rate_key *key, int64_t owed_us,
                        int64_t now_us)
{
    if (!is_limited(buckets, rule)) {
        return;
    }
    size_t set = set_of(buckets, rule, key);
    int64_t period_us = rate_buckets_period_us(buckets, rule);
    int64_t full_at_us = now_us + (owed_us < period_us ? owed_us : period_us);
    pthread_mutex_lock(&buckets->locks[set % LOCKS]);
    struct bucket *bucket = find(buckets, set, rule, key);
    bucket->full_at_us = bucket->full_at_us > full_at_us ? bucket->full_at_us : full_at_us;
    pthread_mutex_unlock(&buckets->locks[set % LOCKS]);
}

/* --- with who else counts --- */

struct rate_verdict rate_limiter_take(const struct rate_limiter *limiter, enum rate_rule rule,
                                      const struct rate_key *key)
{
    if (limiter->buckets == NULL) {
        return (struct rate_verdict){.is_allowed = true};
    }
    struct rate_verdict verdict = rate_buckets_take(limiter->buckets, rule, key, clock_now_us());
    if (!verdict.is_allowed) {
        metrics_add(metric_of_rate_rule(rule), 1);
    } else if (verdict.limit > 0 && limiter->share != NULL) {
        limiter->share(limiter->context, rule, key);
    }
    return verdict;
}
