/* Rules are read, buckets empty and fill, and the room for them is bounded. */
#include "util/rate_limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

enum { SECOND_US = 1000000 };

static struct rate_limit limits[RATE_RULE_COUNT];
static struct rate_buckets *buckets;
static const struct rate_key ONE = {{1}}, OTHER = {{2}};

static int set_up(void **state)
{
    (void)state;
    rate_limits_default(limits);
    buckets = rate_buckets_create(limits);
    assert_non_null(buckets);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    rate_buckets_destroy(buckets);
    return 0;
}

static struct rate_verdict take(enum rate_rule rule, const struct rate_key *key, int64_t now_us)
{
    return rate_buckets_take(buckets, rule, key, now_us);
}

static void test_a_bucket_empties_and_fills(void **state)
{
    (void)state;
    int64_t now = 5 * SECOND_US;
    for (int i = 0; i < 30; i++) {
        struct rate_verdict verdict = take(RATE_MESSAGES, &ONE, now);
        assert_true(verdict.is_allowed);
        assert_int_equal(verdict.limit, 30);
        assert_int_equal(verdict.remaining, 29 - i);
        assert_int_equal(verdict.retry_s, 0);
    }
    struct rate_verdict refused = take(RATE_MESSAGES, &ONE, now);
    assert_false(refused.is_allowed);
    assert_int_equal(refused.remaining, 0);
    assert_int_equal(refused.retry_s, 1);
    assert_int_equal(refused.reset_s, 10);
    assert_false(take(RATE_MESSAGES, &ONE, now + 300000).is_allowed);
    assert_true(take(RATE_MESSAGES, &ONE, now + 340000).is_allowed);
    assert_false(take(RATE_MESSAGES, &ONE, now + 340000).is_allowed);
    assert_int_equal(take(RATE_MESSAGES, &ONE, now + 60 * SECOND_US).remaining, 29);
}

static void test_others_and_other_rules_have_their_own(void **state)
{
    (void)state;
    while (take(RATE_TYPING, &ONE, 1).is_allowed) {
    }
    assert_true(take(RATE_TYPING, &OTHER, 1).is_allowed);
    assert_true(take(RATE_MESSAGES, &ONE, 1).is_allowed);
    assert_false(take(RATE_TYPING, &ONE, 1).is_allowed);
}

static void test_what_is_off_is_free(void **state)
{
    (void)state;
    assert_true(rate_limits_parse(SLICE("typing=off"), limits));
    rate_buckets_destroy(buckets);
    buckets = rate_buckets_create(limits);
    for (int i = 0; i < 1000; i++) {
        struct rate_verdict verdict = take(RATE_TYPING, &ONE, 1);
        assert_true(verdict.is_allowed);
        assert_int_equal(verdict.limit, 0);
    }
    assert_true(rate_buckets_take(NULL, RATE_MESSAGES, &ONE, 1).is_allowed);
    assert_true(take(RATE_NONE, &ONE, 1).is_allowed);
}

static void test_what_is_learned_elsewhere_counts(void **state)
{
    (void)state;
    int64_t now = 5 * SECOND_US;
    assert_int_equal(rate_buckets_token_us(buckets, RATE_TYPING), SECOND_US);
    rate_buckets_learn(buckets, RATE_TYPING, &ONE, 9 * SECOND_US, now);
    assert_int_equal(take(RATE_TYPING, &ONE, now).remaining, 0);
    rate_buckets_learn(buckets, RATE_TYPING, &ONE, SECOND_US, now); /* older news */
    assert_false(take(RATE_TYPING, &ONE, now).is_allowed);
    rate_buckets_learn(buckets, RATE_TYPING, &ONE, INT64_MAX, now); /* nonsense is worth a period */
    assert_true(take(RATE_TYPING, &ONE, now + SECOND_US).is_allowed);
}

/* More keys than there is room for: those who do most are remembered longest. */
static void test_the_room_is_bounded(void **state)
{
    (void)state;
    while (take(RATE_LOGINS, &ONE, 1).is_allowed) {
    }
    for (uint32_t i = 0; i < 1000000; i++) {
        struct rate_key key = {{9}};
        memcpy(key.bytes + 4, &i, sizeof i);
        assert_true(take(RATE_TYPING, &key, 1).is_allowed);
    }
    assert_false(take(RATE_LOGINS, &ONE, 1).is_allowed);
}

static void test_reading(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum rate_rule rule;
        struct rate_limit limit;
    } good[] = {{"messages=60/10s", RATE_MESSAGES, {60, 10}},
                {"logins=5/1h", RATE_LOGINS, {5, 3600}},
                {"requests=1000000/7d", RATE_REQUESTS, {1000000, 604800}},
                {"events=1/2m", RATE_EVENTS, {1, 120}},
                {"calls=off", RATE_CALLS, {0, 1}}};
    static const char *const bad[] = {"",
                                      "messages",
                                      "messages=",
                                      "messages=0/10s",
                                      "messages=-1/10s",
                                      "messages=1",
                                      "messages=1/s",
                                      "messages=1/0s",
                                      "messages=1/10",
                                      "messages=1/10w",
                                      "=1/10s",
                                      "chats=1/10s",
                                      "messages=1/8d",
                                      "messages=1/10ss",
                                      "Messages=1/10s",
                                      "messages=1000001/10s",
                                      "messages=99999999999999999999/10s",
                                      "messages=1/99999999999999999999s",
                                      "messages= 1/10s",
                                      "messages=offf"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_true(rate_limits_parse(slice_of(good[i].text), limits));
        assert_memory_equal(&limits[good[i].rule], &good[i].limit, sizeof good[i].limit);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct rate_limit before[RATE_RULE_COUNT];
        memcpy(before, limits, sizeof before);
        assert_false(rate_limits_parse(slice_of(bad[i]), limits));
        assert_memory_equal(before, limits, sizeof before);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_bucket_empties_and_fills, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_others_and_other_rules_have_their_own, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_is_off_is_free, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_is_learned_elsewhere_counts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_the_room_is_bounded, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_reading, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
