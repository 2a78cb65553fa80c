#include "service/limits.h"

#include <stdio.h>
#include <stdlib.h>

#include "cache/cache.h"
#include "util/clock.h"
#include "util/ip_address.h"

enum { NAME_MAX_LENGTH = 64 };

struct sharing {
    struct services *services;
    enum rate_rule rule;
    struct rate_key key;
};

static void on_owed(void *data, int64_t owed_us)
{
    struct sharing *sharing = data;
    if (owed_us >= 0) {
        rate_buckets_learn(sharing->services->rates, sharing->rule, &sharing->key, owed_us, clock_now_us());
    }
    free(sharing);
}

static struct slice name_bucket(enum rate_rule rule, const struct rate_key *key, char out[NAME_MAX_LENGTH])
{
    char who[IP_ADDRESS_TEXT_SIZE] = "";
    if (rate_rule_by(rule) == RATE_BY_USER) {
        struct uuid id;
        memcpy(id.bytes, key->bytes, sizeof id.bytes);
        uuid_format(id, who);
    } else {
        struct ip_address address;
        memcpy(address.bytes, key->bytes, sizeof address.bytes);
        ip_address_format(&address, who);
    }
    return (struct slice){out, (size_t)snprintf(out, NAME_MAX_LENGTH, "%s:%s", rate_rule_name(rule), who)};
}

void limits_share(void *context, enum rate_rule rule, const struct rate_key *key)
{
    struct services *services = context;
    char name[NAME_MAX_LENGTH];
    struct sharing *sharing = cache_is_there(services->cache) ? malloc(sizeof *sharing) : NULL;
    if (sharing == NULL) {
        return;
    }
    *sharing = (struct sharing){services, rule, *key};
    struct cache_token token = {.bucket = name_bucket(rule, key, name),
                                .token_us = rate_buckets_token_us(services->rates, rule),
                                .period_us = rate_buckets_period_us(services->rates, rule)};
    if (!cache_take_token(services->cache, &token, on_owed, sharing)) {
        free(sharing);
    }
}
