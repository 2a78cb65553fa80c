/* Refresh tokens: each is another one, says whose login it is of, and is believed only as it was made. */
#include "auth/refresh_token.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "auth/pid.h"

static const struct uuid LOGIN = {{1, 2, 3, 255, 254, 253}};

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
    char first[REFRESH_TOKEN_LENGTH + 1], second[REFRESH_TOKEN_LENGTH + 1];
    assert_true(refresh_token_make(key, LOGIN, first) && refresh_token_make(key, LOGIN, second));
    assert_int_equal(strlen(first), REFRESH_TOKEN_LENGTH);
    assert_int_equal(strspn(first, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"),
                     REFRESH_TOKEN_LENGTH);
    assert_string_not_equal(first, second);
    struct uuid login_id;
    assert_true(refresh_token_parse(key, slice_of(first), &login_id));
    assert_true(uuid_equals(login_id, LOGIN));
    assert_false(refresh_token_parse(other_key, slice_of(first), &login_id));
}

static void test_any_change(void **state)
{
    (void)state;
    char token[REFRESH_TOKEN_LENGTH + 1];
    struct uuid login_id;
    assert_true(refresh_token_make(key, LOGIN, token));
    for (int i = 0; i < REFRESH_TOKEN_LENGTH; i++) {
        for (const char *other = "AZaz09-_+/=. "; *other != '\0'; other++) {
            char was = token[i];
            token[i] = *other;
            assert_int_equal(refresh_token_parse(key, slice_of(token), &login_id), *other == was);
            token[i] = was;
        }
        assert_false(refresh_token_parse(key, (struct slice){token, (size_t)i}, &login_id));
    }
}

/* A pid is sealed by the same key, and has another purpose. */
static void test_no_pid_will_do(void **state)
{
    (void)state;
    char pid[PID_LENGTH + 1], padded[REFRESH_TOKEN_LENGTH + 1];
    struct uuid login_id;
    pid_make(key, LOGIN, LOGIN, 1, pid);
    memset(padded, 'A', sizeof padded - 1);
    padded[REFRESH_TOKEN_LENGTH] = '\0';
    memcpy(padded, pid, PID_LENGTH);
    assert_false(refresh_token_parse(key, slice_of(padded), &login_id));
    assert_false(refresh_token_parse(key, slice_of(pid), &login_id));
}

static void test_hash(void **state)
{
    (void)state;
    char hash[REFRESH_HASH_LENGTH + 1];
    refresh_token_hash(SLICE("abc"), hash); /* FIPS 180-4's example */
    assert_string_equal(hash, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_any_change),
        cmocka_unit_test(test_no_pid_will_do),
        cmocka_unit_test(test_hash),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
