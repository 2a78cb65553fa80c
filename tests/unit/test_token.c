/* Tokens: ours are good everywhere, and every known forgery is refused. The forgeries are made here by hand, so that
 * they carry what a library would not write. */
#include "auth/token.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECRET "a secret of more than thirty-two bytes"
#define ID "0123abcd-4567-7def-8011-aabbccddeeff"
#define SID "1123abcd-4567-7def-8011-aabbccddeeff"
#define HEADER "{\"alg\":\"HS256\",\"typ\":\"JWT\"}"
#define CLAIMS "{\"id\":\"" ID "\",\"username\":\"alice\",\"sid\":\"" SID "\",\"iat\":1000,\"exp\":2000}"

static struct token_key *key;

static int create_key(void **state)
{
    (void)state;
    key = token_key_create(SLICE(SECRET));
    return key == NULL;
}

static int destroy_key(void **state)
{
    (void)state;
    token_key_destroy(key);
    token_key_destroy(NULL);
    return 0;
}

static void base64url(struct slice bytes, char *out)
{
    int length = EVP_EncodeBlock((unsigned char *)out, (const unsigned char *)bytes.data, (int)bytes.length);
    while (length > 0 && out[length - 1] == '=') {
        length--;
    }
    out[length] = '\0';
    for (char *c = out; *c != '\0'; c++) {
        *c = *c == '+' ? '-' : *c == '/' ? '_' : *c;
    }
}

/* Writes header.claims.signature, truly signed with `secret` by `digest` (NULL: an empty signature). */
static void forge(const char *header, struct slice claims, const char *secret, const EVP_MD *digest, char out[8192])
{
    base64url(slice_of(header), out);
    strcat(out, ".");
    base64url(claims, out + strlen(out));
    unsigned char mac[EVP_MAX_MD_SIZE];
    unsigned mac_length = 0;
    if (digest != NULL) {
        HMAC(digest, secret, (int)strlen(secret), (const unsigned char *)out, strlen(out), mac, &mac_length);
    }
    strcat(out, ".");
    base64url((struct slice){(const char *)mac, mac_length}, out + strlen(out));
}

static bool verify(const char *token, int64_t now_s, struct token_claims *ret_claims)
{
    /* exactly its size, for a sanitizer to see what is read past it */
    size_t length = strlen(token);
    char *copy = malloc(length > 0 ? length : 1);
    memcpy(copy, token, length);
    bool is_good = token_verify(key, (struct slice){copy, length}, now_s, ret_claims);
    struct token_cache *cache = token_cache_create(key, NULL, 4);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(token_cache_verify(cache, (struct slice){copy, length}, now_s, ret_claims),
                         is_good ? STATUS_OK : STATUS_UNAUTHORIZED);
    }
    token_cache_destroy(cache);
    free(copy);
    return is_good;
}

static void assert_refused(const char *token)
{
    struct token_claims claims;
    memset(&claims, 42, sizeof claims);
    struct token_claims before = claims;
    assert_false(verify(token, 1500, &claims));
    assert_memory_equal(&claims, &before, sizeof claims);
}

static void test_signed_by_us(void **state)
{
    (void)state;
    struct token_claims claims = {.user_id = uuid_generate(), .login_id = uuid_generate(), .username = "al.ice@x-y_+"};
    struct token_claims read;
    struct buffer token = buffer_init(TOKEN_MAX_BYTES);
    assert_int_equal(token_sign(key, &claims, 1700000000, 604800, &token), STATUS_OK);
    assert_true(token_verify(key, buffer_slice(&token), 1700000000, &read));
    assert_true(uuid_equals(read.user_id, claims.user_id));
    assert_true(uuid_equals(read.login_id, claims.login_id));
    assert_string_equal(read.username, claims.username);
    assert_int_equal(read.issued_at, 1700000000);
    assert_int_equal(read.expires_at, 1700604800);
    struct token_key *other = token_key_create(SLICE("another secret of more than 32 bytes"));
    assert_false(token_verify(other, buffer_slice(&token), 1700000000, &read));
    token_key_destroy(other);
    buffer_dispose(&token);
}

static void test_no_room_for_the_token(void **state)
{
    (void)state;
    struct token_claims claims = {.username = "alice"};
    struct buffer small = buffer_init(100);
    assert_int_equal(token_sign(key, &claims, 1, 1, &small), STATUS_UNAVAILABLE);
    buffer_dispose(&small);
}

/* The forger of these tests can make a good token: what the others are refused for is what they say. */
static void test_a_good_one_made_by_hand(void **state)
{
    (void)state;
    char token[8192];
    struct token_claims claims;
    forge(HEADER, SLICE(CLAIMS), SECRET, EVP_sha256(), token);
    assert_true(verify(token, 1500, &claims));
    assert_string_equal(claims.username, "alice");
    assert_int_equal(claims.expires_at, 2000);
    forge("{\"alg\":\"HS256\"}", SLICE(CLAIMS), SECRET, EVP_sha256(), token);
    assert_true(verify(token, 1500, &claims));
}

static void test_times(void **state)
{
    (void)state;
    char token[8192];
    struct token_claims claims;
    forge(HEADER, SLICE(CLAIMS), SECRET, EVP_sha256(), token);
    assert_true(verify(token, 1999, &claims));
    assert_false(verify(token, 2000, &claims));
    assert_false(verify(token, INT64_MAX - 100, &claims));
    assert_true(verify(token, 10, &claims)); /* the clock was put back */
}

static void test_algorithms(void **state)
{
    (void)state;
    static const struct {
        const char *header;
        const EVP_MD *(*digest)(void); /* NULL: an empty signature */
    } rows[] = {
        {"{\"alg\":\"none\"}", NULL},
        {"{\"alg\":\"none\",\"typ\":\"JWT\"}", EVP_sha256},
        {"{\"alg\":\"None\"}", NULL},
        {"{\"alg\":\"NONE\"}", EVP_sha256},
        {"{\"alg\":\"nOnE\"}", EVP_sha256},
        {"{\"alg\":\"HS384\"}", EVP_sha384},
        {"{\"alg\":\"HS512\"}", EVP_sha512},
        {"{\"alg\":\"HS384\"}", EVP_sha256},
        {"{\"alg\":\"HS512\"}", EVP_sha256},
        {"{\"alg\":\"RS256\"}", EVP_sha256},
        {"{\"alg\":\"RS384\"}", EVP_sha256},
        {"{\"alg\":\"ES256\"}", EVP_sha256},
        {"{\"alg\":\"PS256\"}", EVP_sha256},
        {"{\"alg\":\"hs256\"}", EVP_sha256},
        {"{\"alg\":\"HS256\\u0000\"}", EVP_sha256},
        {"{\"alg\":\" HS256\"}", EVP_sha256},
        {"{\"alg\":\"\"}", EVP_sha256},
        {"{\"alg\":null}", EVP_sha256},
        {"{\"alg\":256}", EVP_sha256},
        {"{\"alg\":[\"HS256\"]}", EVP_sha256},
        {"{\"typ\":\"JWT\"}", EVP_sha256},
        {"{}", EVP_sha256},
        {"[]", EVP_sha256},
        {"\"HS256\"", EVP_sha256},
        {"{\"alg\":\"HS256\"", EVP_sha256},
        {"HS256", EVP_sha256},
        {"{\"alg\":\"HS256\"}", NULL},
        {"{\"alg\":\"HS256\"}", EVP_sha1},
        {"{\"alg\":\"HS256\"}", EVP_sha512},
        {"{\"alg\":\"none\",\"alg\":\"HS256\"}", NULL},
        {"{\"alg\":\"HS256\",\"alg\":\"none\"}", NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char token[8192];
        forge(rows[i].header, SLICE(CLAIMS), SECRET, rows[i].digest != NULL ? rows[i].digest() : NULL, token);
        assert_refused(token);
    }
}

static void test_public_key_as_secret(void **state)
{
    (void)state;
    char token[8192];
    forge("{\"alg\":\"HS256\"}", SLICE(CLAIMS), "", EVP_sha256(), token);
    assert_refused(token);
    forge("{\"alg\":\"RS256\"}", SLICE(CLAIMS), SECRET, EVP_sha256(), token);
    assert_refused(token);
    forge("{\"alg\":\"HS256\",\"jwk\":{\"kty\":\"oct\",\"k\":\"YQ\"}}", SLICE(CLAIMS), "a", EVP_sha256(), token);
    assert_refused(token);
    forge("{\"alg\":\"HS256\",\"kid\":\"../../dev/null\"}", SLICE(CLAIMS), "", EVP_sha256(), token);
    assert_refused(token);
}

static void test_shapes(void **state)
{
    (void)state;
    char good[8192], changed[8400];
    forge(HEADER, SLICE(CLAIMS), SECRET, EVP_sha256(), good);
    static const char *const forms[] = {
        "%s.", "%s..", ".%s", "%s.x", "%s=", "%s==", "%sA", " %s", "%s ", "%s\n", "x.%s", "%s\xc3\xa4"};
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        const char *at = strstr(forms[i], "%s");
        snprintf(changed, sizeof changed, "%.*s%s%s", (int)(at - forms[i]), forms[i], good, at + 2);
        assert_refused(changed);
    }
    static const char *const rows[] = {"",      ".",    "..",   "...",  "a",    "a.b",
                                       "a.b.c", "a..c", ".b.c", "a.b.", "null", "AAAA.AAAA.AAAA"};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_refused(rows[i]);
    }
    strcpy(changed, good);
    *strrchr(changed, '.') = '\0';
    assert_refused(changed); /* two segments */
    strcat(changed, ".");
    assert_refused(changed); /* an empty signature */
    for (size_t length = 0; length < strlen(good); length++) {
        memcpy(changed, good, length);
        changed[length] = '\0';
        assert_refused(changed);
    }
}

/* Another letter anywhere, also one that base64 would decode to the same bytes, is another token. */
static void test_any_other_letter(void **state)
{
    (void)state;
    char token[8192];
    forge(HEADER, SLICE(CLAIMS), SECRET, EVP_sha256(), token);
    size_t length = strlen(token);
    for (size_t i = 0; i < length; i++) {
        static const char letters[] = "AQgw_-.bcdefhi01239";
        char was = token[i];
        for (size_t k = 0; k < sizeof letters - 1; k++) {
            if (letters[k] != was) {
                token[i] = letters[k];
                assert_refused(token);
            }
        }
        token[i] = was;
    }
}

static void test_claims(void **state)
{
    (void)state;
#define REST ",\"sid\":\"" SID "\",\"iat\":1000,\"exp\":2000}"
    static const char *const rows[] = {
        "{}",
        "[]",
        "null",
        "",
        "x",
        "{\"id\":\"" ID "\",\"username\":\"alice\",\"iat\":1000,\"exp\":2000}",
        "{\"id\":\"" ID "\",\"username\":\"alice\",\"sid\":\"" SID "\",\"exp\":2000}",
        "{\"id\":\"" ID "\",\"username\":\"alice\",\"sid\":\"" SID "\",\"iat\":1000}",
        "{\"id\":\"" ID "\",\"username\":\"alice\",\"sid\":\"" SID "\",\"iat\":1000,\"exp\":\"2000\"}",
        "{\"id\":\"" ID "\",\"username\":\"alice\",\"sid\":\"" SID "\",\"iat\":1000,\"exp\":2000.5}",
        "{\"id\":\"" ID "\",\"username\":\"alice\",\"sid\":\"" SID "\",\"iat\":1000,\"exp\":1e99}",
        "{\"id\":\"" ID "\",\"username\":\"alice\",\"sid\":\"" SID "\",\"iat\":1000,\"exp\":null}",
        "{\"id\":\"" ID "\",\"username\":\"alice\",\"sid\":\"" SID "\",\"iat\":1000,\"exp\":true}",
        "{\"id\":\"" ID "\",\"username\":\"alice\",\"sid\":\"" SID "\",\"iat\":1000,\"exp\":[2000]}",
        "{\"id\":\"" ID "\",\"username\":\"alice\",\"sid\":\"" SID "\",\"iat\":1000,\"exp\":-2000}",
        "{\"id\":\"" ID "\",\"username\":\"alice\",\"sid\":\"" SID "\",\"iat\":1000,\"exp\":99999999999999999999}",
        "{\"id\":\"" ID "\",\"username\":\"alice\",\"sid\":\"" SID "\",\"iat\":\"x\",\"exp\":2000}",
        "{\"username\":\"alice\"" REST,
        "{\"id\":\"42\",\"username\":\"alice\"" REST,
        "{\"id\":42,\"username\":\"alice\"" REST,
        "{\"id\":null,\"username\":\"alice\"" REST,
        "{\"id\":{\"id\":\"" ID "\"},\"username\":\"alice\"" REST,
        "{\"id\":\"" ID "\"" REST,
        "{\"id\":\"" ID "\",\"username\":\"\"" REST,
        "{\"id\":\"" ID "\",\"username\":7" REST,
        "{\"id\":\"" ID "\",\"username\":\"a\\u0000b\"" REST,
        "{\"id\":\"" ID "\",\"username\":\"\xff\"" REST,
        "{\"id\":\"" ID "\",\"username\":\"1234567890123456789012345678901234567890123456789012345678901234x\"" REST,
        CLAIMS "x",
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char token[8192];
        forge(HEADER, slice_of(rows[i]), SECRET, EVP_sha256(), token);
        assert_refused(token);
    }
}

static void test_too_long(void **state)
{
    (void)state;
    static const char start[] =
        "{\"id\":\"" ID "\",\"username\":\"alice\",\"sid\":\"" SID "\",\"iat\":1000,\"exp\":2000,\"x\":\"";
    bool was_good = false, was_bad = false;
    for (size_t padding = 2700; padding < 2900; padding += 10) {
        char claims[4096], token[8192];
        snprintf(claims, sizeof claims, "%s%0*d\"}", start, (int)padding, 0);
        forge(HEADER, slice_of(claims), SECRET, EVP_sha256(), token);
        struct token_claims read;
        bool is_good = verify(token, 1500, &read);
        assert_int_equal(is_good, strlen(token) <= TOKEN_MAX_BYTES);
        was_good |= is_good;
        was_bad |= !is_good;
    }
    assert_true(was_good && was_bad);
}

static void test_the_cache_forgets_nothing_and_invents_nothing(void **state)
{
    (void)state;
    enum { TOKENS = 50 };
    struct token_cache *cache = token_cache_create(key, NULL, 8); /* many tokens a slot */
    struct buffer tokens[TOKENS];
    for (int i = 0; i < TOKENS; i++) {
        struct token_claims claims = {.user_id = uuid_generate()};
        snprintf(claims.username, sizeof claims.username, "user%d", i);
        tokens[i] = buffer_init(TOKEN_MAX_BYTES);
        assert_int_equal(token_sign(key, &claims, 1000, 1000 + i, &tokens[i]), STATUS_OK);
    }
    for (int i = 0; i < 20 * TOKENS; i++) {
        int which = i * 7 % TOKENS;
        char username[32];
        snprintf(username, sizeof username, "user%d", which);
        struct token_claims claims;
        assert_int_equal(token_cache_verify(cache, buffer_slice(&tokens[which]), 1500, &claims), STATUS_OK);
        assert_string_equal(claims.username, username);
        assert_int_equal(token_cache_verify(cache, buffer_slice(&tokens[which]), claims.expires_at, &claims),
                         STATUS_UNAUTHORIZED);
        tokens[which].data[20] ^= 1;
        assert_int_equal(token_cache_verify(cache, buffer_slice(&tokens[which]), 1500, &claims), STATUS_UNAUTHORIZED);
        tokens[which].data[20] ^= 1;
    }
    for (int i = 0; i < TOKENS; i++) {
        buffer_dispose(&tokens[i]);
    }
    token_cache_destroy(cache);
    token_cache_destroy(NULL);
}

static void *use_key(void *context)
{
    size_t *good = context;
    for (int i = 0; i < 300; i++) {
        struct token_claims claims = {.user_id = uuid_generate(), .username = "bob"}, read;
        struct buffer token = buffer_init(TOKEN_MAX_BYTES);
        token_sign(key, &claims, 1000, 1000, &token);
        *good += token_verify(key, buffer_slice(&token), 1500, &read) && uuid_equals(read.user_id, claims.user_id);
        buffer_dispose(&token);
    }
    return NULL;
}

static void test_many_threads(void **state)
{
    (void)state;
    pthread_t threads[4];
    size_t good[4] = {0};
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, use_key, &good[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(good[i], 300);
    }
}

static void test_authorization(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"Bearer abc", "abc"},
        {"bearer abc", "abc"},
        {"Bearer  abc ", "abc"},
        {"Bearer ", ""},
        {"Bearer", ""},
        {"Basic abc", ""},
        {"abc", ""},
        {"", ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_true(slice_equals(token_of_authorization(slice_of(rows[i][0])), slice_of(rows[i][1])));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_signed_by_us),
        cmocka_unit_test(test_no_room_for_the_token),
        cmocka_unit_test(test_a_good_one_made_by_hand),
        cmocka_unit_test(test_times),
        cmocka_unit_test(test_algorithms),
        cmocka_unit_test(test_public_key_as_secret),
        cmocka_unit_test(test_shapes),
        cmocka_unit_test(test_any_other_letter),
        cmocka_unit_test(test_claims),
        cmocka_unit_test(test_too_long),
        cmocka_unit_test(test_authorization),
        cmocka_unit_test(test_the_cache_forgets_nothing_and_invents_nothing),
        cmocka_unit_test(test_many_threads),
    };
    return cmocka_run_group_tests(tests, create_key, destroy_key);
}
