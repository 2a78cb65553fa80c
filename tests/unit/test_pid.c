/* Pids: what a client comes back with is believed only as it was made. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "auth/pid.h"

static const struct uuid ALICE = {{1, 2, 3}}, BOB = {{4, 5, 6}}, SESSION = {{7, 8, 9, 255, 254, 253}};

static struct token_key *key, *other_key;

static int set_up(void **state)
{
    (void)state;
    key = token_key_create(SLICE("0123456789abcdef0123456789abcdef"));
    other_key = token_key_create(SLICE("0123456789abcdef0123456789abcdeg"));
    return key == NULL || other_key == NULL;
}

static int tear_down(void **state)
{
    (void)state;
    token_key_destroy(key);
    token_key_destroy(other_key);
    return 0;
}

static void test_round_trip(void **state)
{
    (void)state;
    const int64_t seqs[] = {0, 1, 255, 65536, INT64_MAX};
    for (size_t i = 0; i < sizeof seqs / sizeof seqs[0]; i++) {
        char pid[PID_LENGTH + 1];
        struct uuid session;
        int64_t seq;
        pid_make(key, ALICE, SESSION, seqs[i], pid);
        assert_int_equal(strlen(pid), PID_LENGTH);
        assert_int_equal(strspn(pid, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"), PID_LENGTH);
        assert_true(pid_parse(key, ALICE, slice_of(pid), &session, &seq));
        assert_true(uuid_equals(session, SESSION));
        assert_int_equal(seq, seqs[i]);
    }
}

static void test_of_somebody_else(void **state)
{
    (void)state;
    char pid[PID_LENGTH + 1];
    struct uuid session;
    int64_t seq;
    pid_make(key, ALICE, SESSION, 7, pid);
    assert_false(pid_parse(key, BOB, slice_of(pid), &session, &seq));
    assert_false(pid_parse(other_key, ALICE, slice_of(pid), &session, &seq));
}

/* Each character counts, wherever it is. */
static void test_forged(void **state)
{
    (void)state;
    char pid[PID_LENGTH + 1];
    struct uuid session;
    int64_t seq;
    pid_make(key, ALICE, SESSION, 7, pid);
    for (int i = 0; i < PID_LENGTH; i++) {
        char kept = pid[i];
        pid[i] = kept == 'A' ? 'B' : 'A';
        assert_false(pid_parse(key, ALICE, slice_of(pid), &session, &seq));
        pid[i] = '+';
        assert_false(pid_parse(key, ALICE, slice_of(pid), &session, &seq));
        pid[i] = kept;
    }
    assert_true(pid_parse(key, ALICE, slice_of(pid), &session, &seq));
}

static void test_of_another_length(void **state)
{
    (void)state;
    char pid[PID_LENGTH + 5] = "";
    struct uuid session;
    int64_t seq;
    pid_make(key, ALICE, SESSION, 7, pid);
    memcpy(pid + PID_LENGTH, "AAAA", 5);
    for (size_t length = 0; length < sizeof pid - 1; length++) {
        bool is_good = pid_parse(key, ALICE, (struct slice){pid, length}, &session, &seq);
        assert_int_equal(is_good, length == PID_LENGTH);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_of_somebody_else),
        cmocka_unit_test(test_forged),
        cmocka_unit_test(test_of_another_length),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
