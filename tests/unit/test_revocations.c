/* Revoked logins: what is added stays until its tokens have expired, whoever asks; tokens in a cache are not trusted
 * beyond that. */
#include "auth/revocations.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>

#include "auth/token.h"

enum { LOGINS = 500 };

static struct uuid login(int number)
{
    struct uuid id = {{0}};
    id.bytes[3] = (uint8_t)(number >> 8);
    id.bytes[15] = (uint8_t)number;
    return id;
}

static void test_adding(void **state)
{
    (void)state;
    struct revocations *revocations = revocations_create();
    assert_false(revocations_hold(revocations, login(1)));
    uint64_t version = revocations_version(revocations);
    assert_int_not_equal(version, 0);
    assert_int_equal(revocations_add(revocations, login(1), 100), REVOCATIONS_NEW);
    assert_int_not_equal(revocations_version(revocations), version);
    version = revocations_version(revocations);
    assert_int_equal(revocations_add(revocations, login(1), 100), REVOCATIONS_OLD);
    assert_int_equal(revocations_version(revocations), version);
    assert_true(revocations_hold(revocations, login(1)));
    assert_false(revocations_hold(revocations, login(2)));
    revocations_destroy(revocations);
    revocations_destroy(NULL);
}

static void test_sweeping(void **state)
{
    (void)state;
    struct revocations *revocations = revocations_create();
    for (int i = 0; i < LOGINS; i++) {
        revocations_add(revocations, login(i), i);
    }
    for (int now = -1; now < LOGINS; now += 50) {
        for (int i = 0; i < 100; i++) {
            revocations_sweep(revocations, now, 100);
        }
        for (int i = 0; i < LOGINS; i++) {
            assert_int_equal(revocations_hold(revocations, login(i)), (i > 0 ? i : 1) > now);
        }
    }
    revocations_sweep(revocations, LOGINS, SIZE_MAX);
    revocations_sweep(revocations, LOGINS, SIZE_MAX); /* what was moved behind the sweep */
    assert_int_equal(revocations_count(revocations), 0);
    revocations_destroy(revocations);
}

static void *add_some(void *data)
{
    for (int i = 0; i < LOGINS; i++) {
        revocations_add(data, login(i), 1000 + i);
        revocations_sweep(data, 500, 8);
        if (!revocations_hold(data, login(i))) {
            return data;
        }
    }
    return NULL;
}

static void test_many_threads(void **state)
{
    (void)state;
    struct revocations *revocations = revocations_create();
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, add_some, revocations), 0);
    }
    for (int i = 0; i < 4; i++) {
        void *failed;
        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
    assert_int_equal(revocations_count(revocations), LOGINS);
    revocations_destroy(revocations);
}

/* Verifies a token of the login. */
static enum status verify(struct token_key *key, struct token_cache *cache, struct uuid login_id)
{
    struct token_claims claims = {.user_id = login(7), .login_id = login_id, .username = "alice"}, read;
    struct buffer token = buffer_init(TOKEN_MAX_BYTES);
    assert_int_equal(token_sign(key, &claims, 1000, 1000, &token), STATUS_OK);
    enum status status = token_cache_verify(cache, buffer_slice(&token), 1500, &read);
    buffer_dispose(&token);
    return status;
}

static void test_tokens(void **state)
{
    (void)state;
    struct token_key *key = token_key_create(SLICE("0123456789abcdef0123456789abcdef"));
    struct revocations *revocations = revocations_create();
    struct token_cache *cache = token_cache_create(key, revocations, 8);
    assert_int_equal(verify(key, cache, login(1)), STATUS_UNAVAILABLE); /* nobody knows yet */
    revocations_set_whole(revocations);
    assert_int_equal(verify(key, cache, login(1)), STATUS_OK);
    assert_int_equal(verify(key, cache, login(1)), STATUS_OK);
    assert_int_equal(verify(key, cache, login(2)), STATUS_OK);
    revocations_add(revocations, login(1), 2000);
    assert_true(token_cache_has_ended(cache, login(1)));
    assert_false(token_cache_has_ended(cache, login(2)));
    for (int i = 0; i < 2; i++) {
        assert_int_equal(verify(key, cache, login(1)), STATUS_UNAUTHORIZED);
        assert_int_equal(verify(key, cache, login(2)), STATUS_OK);
    }
    token_cache_destroy(cache);
    revocations_destroy(revocations);
    token_key_destroy(key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_adding),
        cmocka_unit_test(test_sweeping),
        cmocka_unit_test(test_many_threads),
        cmocka_unit_test(test_tokens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
