/* The password pool with real threads and a real loop: right and wrong passwords, one completion each, a bounded queue,
 * and an orderly end. The parameters are the smallest that argon2 takes, but where a job must keep a thread busy. */
#include "auth/password.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "loop/loop.h"

static const struct password_options quick = {
    .memory_kib = 8, .iterations = 1, .parallelism = 1, .threads = 2, .queue_max = 100};
static const struct password_options slow = {
    .memory_kib = 65536, .iterations = 3, .parallelism = 1, .threads = 1, .queue_max = 3};

/* What came back, and how often; the loop stops when as many came as were expected. */
struct outcome {
    struct loop *loop; /* one for each run: a loop that was stopped stays so */
    int completions, expected;
    enum status status;
    bool needs_rehash;
    char encoded[200];
    int counts[STATUS_COUNT];
};

static void count(struct outcome *outcome, enum status status)
{
    assert_true(loop_is_current(outcome->loop));
    outcome->status = status;
    outcome->counts[status]++;
    if (++outcome->completions == outcome->expected) {
        loop_stop(outcome->loop);
    }
}

static void on_hashed(void *data, enum status status, const char *encoded)
{
    struct outcome *outcome = data;
    assert_int_equal(encoded != NULL, status == STATUS_OK);
    snprintf(outcome->encoded, sizeof outcome->encoded, "%s", encoded != NULL ? encoded : "");
    count(outcome, status);
}

static void on_verified(void *data, enum status status, bool needs_rehash)
{
    struct outcome *outcome = data;
    outcome->needs_rehash = needs_rehash;
    count(outcome, status);
}

static struct outcome hash(struct password_pool *pool, const char *password)
{
    struct loop *loop = loop_create();
    struct outcome outcome = {.loop = loop, .expected = 1};
    char copy[100];
    snprintf(copy, sizeof copy, "%s", password);
    assert_int_equal(password_hash(pool, loop, slice_of(copy), on_hashed, &outcome), STATUS_OK);
    memset(copy, '#', sizeof copy); /* the pool has its own */
    loop_run(loop);
    assert_int_equal(outcome.completions, 1);
    loop_destroy(loop);
    return outcome;
}

static struct outcome verify(struct password_pool *pool, struct slice password, const char *encoded)
{
    struct loop *loop = loop_create();
    struct outcome outcome = {.loop = loop, .expected = 1};
    assert_int_equal(password_verify(pool, loop, password, encoded, on_verified, &outcome), STATUS_OK);
    loop_run(loop);
    assert_int_equal(outcome.completions, 1);
    loop_destroy(loop);
    return outcome;
}

static void test_right_and_wrong(void **state)
{
    (void)state;
    struct password_pool *pool = password_pool_create(&quick);
    struct outcome hashed = hash(pool, "correct horse");
    assert_int_equal(hashed.status, STATUS_OK);
    assert_memory_equal(hashed.encoded, "$argon2id$v=19$m=8,t=1,p=1$", 27);
    assert_string_not_equal(hashed.encoded, hash(pool, "correct horse").encoded);

    assert_int_equal(verify(pool, SLICE("correct horse"), hashed.encoded).status, STATUS_OK);
    static const struct slice wrong[] = {{"correct hors", 12},    {"correct horse ", 14},
                                         {"Correct horse", 13},   {"", 0},
                                         {"correct horse\0", 14}, {NULL, 0}};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_int_equal(verify(pool, wrong[i], hashed.encoded).status, STATUS_INVALID_CREDENTIALS);
    }
    password_pool_destroy(pool);
}

static void test_a_user_who_does_not_exist(void **state)
{
    (void)state;
    struct password_pool *pool = password_pool_create(&quick);
    assert_int_equal(verify(pool, SLICE("anything"), NULL).status, STATUS_INVALID_CREDENTIALS);
    assert_int_equal(verify(pool, SLICE(""), NULL).status, STATUS_INVALID_CREDENTIALS);
    password_pool_destroy(pool);
}

static void test_other_parameters_need_a_rehash(void **state)
{
    (void)state;
    struct password_options more = quick;
    more.iterations = 2;
    struct password_pool *old = password_pool_create(&quick), *new = password_pool_create(&more);
    struct outcome hashed = hash(old, "password");
    assert_false(verify(old, SLICE("password"), hashed.encoded).needs_rehash);
    struct outcome verified = verify(new, SLICE("password"), hashed.encoded);
    assert_int_equal(verified.status, STATUS_OK);
    assert_true(verified.needs_rehash);
    assert_false(verify(new, SLICE("wrong"), hashed.encoded).needs_rehash);
    password_pool_destroy(new);
    password_pool_destroy(old);
    password_pool_destroy(NULL);
}

static void test_hashes_that_cannot_be_read(void **state)
{
    (void)state;
    struct password_pool *pool = password_pool_create(&quick);
    static const char *const rows[] = {"", "plain", "$2b$10$abcdefghijklmnopqrstuv", "$argon2id$",
                                       "$argon2id$v=19$m=8,t=1,p=1$"};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(verify(pool, SLICE("password"), rows[i]).status, STATUS_INTERNAL);
    }
    char endless[1000] = "$argon2id$v=19$m=8,t=1,p=1$";
    memset(endless + strlen(endless), 'A', sizeof endless - strlen(endless) - 1);
    assert_int_not_equal(verify(pool, SLICE("password"), endless).status, STATUS_OK);
    password_pool_destroy(pool);
}

static void test_many_jobs_at_once(void **state)
{
    (void)state;
    struct loop *loop = loop_create();
    struct password_pool *pool = password_pool_create(&quick);
    struct outcome hashed = hash(pool, "password");
    struct outcome outcome = {.loop = loop, .expected = 90};
    for (int i = 0; i < 90; i++) {
        struct slice password = i % 3 == 0 ? SLICE("password") : SLICE("wrong");
        const char *encoded = i % 3 == 1 ? NULL : hashed.encoded;
        assert_int_equal(password_verify(pool, loop, password, encoded, on_verified, &outcome), STATUS_OK);
    }
    loop_run(loop);
    assert_int_equal(outcome.completions, 90);
    assert_int_equal(outcome.counts[STATUS_OK], 30);
    assert_int_equal(outcome.counts[STATUS_INVALID_CREDENTIALS], 60);
    password_pool_destroy(pool);
    loop_destroy(loop);
}

/* One thread is busy for long with the first job, and the queue takes as many as it may and no more. Stopping the pool
 * then lets the first finish and completes each of the others, once. */
static void test_a_full_queue_and_the_end(void **state)
{
    (void)state;
    struct loop *loop = loop_create();
    struct password_pool *pool = password_pool_create(&slow);
    int expected = (int)slow.queue_max + 1, accepted = 0, refused = 0;
    struct outcome outcome = {.loop = loop, .expected = expected};
    while (accepted < expected || refused == 0) { /* the last is taken when the thread has taken the first */
        assert_true(accepted <= expected);
        enum status status = password_hash(pool, loop, SLICE("password"), on_hashed, &outcome);
        assert_true(status == STATUS_OK || status == STATUS_UNAVAILABLE);
        accepted += status == STATUS_OK;
        refused += status == STATUS_UNAVAILABLE;
        sched_yield();
    }
    assert_int_equal(outcome.completions, 0); /* only the loop completes */
    password_pool_stop(pool);
    assert_int_equal(password_hash(pool, loop, SLICE("password"), on_hashed, &outcome), STATUS_UNAVAILABLE);
    password_pool_destroy(pool);
    loop_run(loop);
    loop_destroy(loop);
    assert_int_equal(outcome.completions, accepted);
    assert_true(outcome.counts[STATUS_OK] >= 1);
    assert_true(outcome.counts[STATUS_UNAVAILABLE] >= 1);
    assert_int_equal(outcome.counts[STATUS_OK] + outcome.counts[STATUS_UNAVAILABLE], accepted);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_right_and_wrong),
        cmocka_unit_test(test_a_user_who_does_not_exist),
        cmocka_unit_test(test_other_parameters_need_a_rehash),
        cmocka_unit_test(test_hashes_that_cannot_be_read),
        cmocka_unit_test(test_many_jobs_at_once),
        cmocka_unit_test(test_a_full_queue_and_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
