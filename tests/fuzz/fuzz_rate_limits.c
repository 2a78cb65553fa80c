/* Any text as rules of RATE_LIMITS: what is taken changes the rule that it names and no other, within the bounds, and
 * means the same when it is written anew; what is refused changes nothing. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "util/rate_limits.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_rule(enum rate_rule rule, const struct rate_limit *limit, struct slice text)
{
    char written[64];
    struct rate_limit again[RATE_RULE_COUNT] = {{0}};
    const char *name = rate_rule_name(rule);
    assert(text.length > strlen(name) && memcmp(text.data, name, strlen(name)) == 0);
    assert(limit->tokens >= 0 && limit->tokens <= RATE_TOKENS_MAX);
    assert(limit->period_s >= 1 && limit->period_s <= RATE_PERIOD_MAX_S);
    if (limit->tokens == 0) {
        snprintf(written, sizeof written, "%s=off", name);
    } else {
        snprintf(written, sizeof written, "%s=%d/%ds", name, limit->tokens, limit->period_s);
    }
    assert(rate_limits_parse(slice_of(written), again));
    assert(again[rule].tokens == limit->tokens && again[rule].period_s == limit->period_s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = {(const char *)data, size};
    struct rate_limit limits[RATE_RULE_COUNT];
    memset(limits, 0xff, sizeof limits); /* what no rule could say */
    bool is_good = rate_limits_parse(text, limits);
    int changed = 0;
    for (int rule = 0; rule < RATE_RULE_COUNT; rule++) {
        if (limits[rule].tokens != -1 || limits[rule].period_s != -1) {
            check_rule((enum rate_rule)rule, &limits[rule], text);
            changed++;
        }
    }
    assert(changed == is_good);
    return 0;
}
