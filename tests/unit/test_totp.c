/* One-time passwords by the vectors of RFC 6238, the seal of their secrets, and recovery codes. */
#include "auth/totp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "auth/seal.h"

static struct totp_secret rfc_secret(void)
{
    struct totp_secret secret;
    memcpy(secret.bytes, "12345678901234567890", TOTP_SECRET_BYTES);
    return secret;
}

/* RFC 6238, appendix B: the last six of its eight digits. */
static void test_vectors(void **state)
{
    (void)state;
    static const struct {
        int64_t now_s;
        const char *code;
    } vectors[] = {{59, "287082"},         {1111111109, "081804"}, {1111111111, "050471"},
                   {1234567890, "005924"}, {2000000000, "279037"}, {20000000000, "353130"}};
    struct totp_secret secret = rfc_secret();
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        int64_t step = -1, now_s = vectors[i].now_s;
        struct slice code = slice_of(vectors[i].code);
        assert_true(totp_check(&secret, code, now_s, &step));
        assert_int_equal(step, now_s / 30);
        assert_true(totp_check(&secret, code, now_s + 30, &step));
        assert_int_equal(step, now_s / 30);
        assert_true(totp_check(&secret, code, now_s >= 30 ? now_s - 30 : now_s, &step));
        assert_false(totp_check(&secret, code, now_s + 90, &step));
        assert_false(totp_check(&secret, code, now_s >= 90 ? now_s - 90 : now_s + 120, &step));
    }
}

static void test_what_is_no_code(void **state)
{
    (void)state;
    static const char *const wrong[] = {"", "28708", "2870820", "28708\n", "      ", "287O82", "94287082"};
    struct totp_secret secret = rfc_secret();
    int64_t step;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_false(totp_check(&secret, slice_of(wrong[i]), 59, &step));
    }
    assert_false(totp_check(&secret, (struct slice){"\0\0\0\0\0\0", 6}, 59, &step));
}

static void test_secrets_and_addresses(void **state)
{
    (void)state;
    struct totp_secret secret = rfc_secret(), one, other;
    char text[TOTP_BASE32_LENGTH + 1];
    totp_secret_format(&secret, text);
    assert_string_equal(text, "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
    totp_secret_make(&one);
    totp_secret_make(&other);
    assert_memory_not_equal(&one, &other, sizeof one);

    struct buffer uri = buffer_init(1024), svg = buffer_init(1 << 20);
    totp_write_uri(&uri, &secret, "My Chat", SLICE("al+ice@example"));
    buffer_append_char(&uri, '\0');
    assert_string_equal(uri.data, "otpauth://totp/My%20Chat:al%2Bice%40example?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
                                  "&issuer=My%20Chat&algorithm=SHA1&digits=6&period=30");
    struct buffer odd = buffer_init(1024);
    totp_write_uri(&odd, &secret, "Chat", (struct slice){"a\0b", 3});
    assert_memory_equal(odd.data, "otpauth://totp/Chat:a%00b?", 26);
    buffer_dispose(&odd);
    assert_true(totp_write_qr_svg(&svg, uri.data));
    buffer_append_char(&svg, '\0');
    assert_ptr_equal(strstr(svg.data, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 "), svg.data);
    assert_non_null(strstr(svg.data, "<path d=\"M4 4h7v1h-7z")); /* the corner of every QR code */
    char endless[8000];
    memset(endless, 'x', sizeof endless - 1);
    endless[sizeof endless - 1] = '\0';
    assert_false(totp_write_qr_svg(&svg, endless));
    buffer_dispose(&uri);
    buffer_dispose(&svg);
}

static void test_recovery_codes(void **state)
{
    (void)state;
    char one[RECOVERY_CODE_LENGTH + 1], other[RECOVERY_CODE_LENGTH + 1], lower[RECOVERY_CODE_LENGTH + 1];
    char hash[RECOVERY_HASH_LENGTH + 1], again[RECOVERY_HASH_LENGTH + 1];
    recovery_code_make(one);
    recovery_code_make(other);
    assert_string_not_equal(one, other);
    assert_int_equal(strlen(one), RECOVERY_CODE_LENGTH);
    assert_int_equal(one[5], '-');
    assert_true(recovery_code_hash(SLICE("alice"), slice_of(one), hash));
    assert_int_equal(strlen(hash), RECOVERY_HASH_LENGTH);
    for (int i = 0; i <= RECOVERY_CODE_LENGTH; i++) {
        lower[i] = one[i] >= 'A' ? (char)(one[i] + 32) : one[i];
    }
    assert_true(recovery_code_hash(SLICE("alice"), slice_of(lower), again));
    assert_string_equal(hash, again);
    memmove(lower + 5, lower + 6, 6); /* without the dash */
    assert_true(recovery_code_hash(SLICE("alice"), slice_of(lower), again));
    assert_string_equal(hash, again);
    assert_true(recovery_code_hash(SLICE("bob"), slice_of(one), again));
    assert_string_not_equal(hash, again);
    static const char *const wrong[] = {"",          "-", "ABCDE-FGHJ", "ABCDE-FGHJKL", "ABCDE-FGH1K", "ABCDE FGHJK",
                                        "ABCDEIFGHJ"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_false(recovery_code_hash(SLICE("alice"), slice_of(wrong[i]), again));
    }
    assert_false(recovery_code_hash(SLICE("alice"), (struct slice){"ABCDE\0GHJK", 10}, again));
}

/* --- the seal --- */

#define KEY_A "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
#define KEY_B "ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8="

static struct slice close_secret(const struct seal_keys *keys, struct buffer *out)
{
    out->length = 0;
    assert_true(seal_close(keys, SLICE("alice"), SLICE("a secret"), out));
    return buffer_slice(out);
}

static void test_seal(void **state)
{
    (void)state;
    struct seal_keys *old = seal_keys_create(SLICE("1:" KEY_A)), *new = seal_keys_create(SLICE("2:" KEY_B ",1:" KEY_A)),
                     *other = seal_keys_create(SLICE("1:" KEY_B));
    struct buffer out = buffer_init(4096), second = buffer_init(4096);
    unsigned char plain[SEAL_PLAIN_MAX_BYTES];
    size_t length;
    bool is_old;
    struct slice sealed = close_secret(old, &out);
    assert_true(seal_open(old, SLICE("alice"), sealed, plain, &length, &is_old));
    assert_int_equal(length, 8);
    assert_memory_equal(plain, "a secret", 8);
    assert_false(is_old);
    assert_true(seal_open(new, SLICE("alice"), sealed, plain, &length, &is_old));
    assert_true(is_old);
    assert_false(seal_open(old, SLICE("bob"), sealed, plain, &length, NULL));
    assert_false(seal_open(other, SLICE("alice"), sealed, plain, &length, NULL));
    assert_true(seal_open(new, SLICE("alice"), close_secret(new, &second), plain, &length, &is_old));
    assert_false(is_old);
    assert_false(seal_open(old, SLICE("alice"), buffer_slice(&second), plain, &length, NULL));
    for (size_t i = 0; i < sealed.length; i++) { /* whatever is changed shows */
        char kept = out.data[i];
        out.data[i] = kept == 'A' ? 'B' : 'A';
        assert_false(seal_open(old, SLICE("alice"), sealed, plain, &length, NULL));
        assert_false(seal_open(old, SLICE("alice"), (struct slice){sealed.data, i}, plain, &length, NULL));
        out.data[i] = kept;
    }
    second.length = 0; /* blanks too, although they mean nothing in base64 */
    buffer_append_text(&second, "    ");
    buffer_append_slice(&second, sealed);
    assert_false(seal_open(old, SLICE("alice"), buffer_slice(&second), plain, &length, NULL));
    static char large[SEAL_PLAIN_MAX_BYTES + 1];
    second.length = 0;
    assert_false(seal_close(old, SLICE(""), (struct slice){large, sizeof large}, &second));
    assert_true(seal_close(old, SLICE(""), (struct slice){large, sizeof large - 1}, &second));
    assert_true(seal_open(old, SLICE(""), buffer_slice(&second), plain, &length, NULL));
    assert_int_equal(length, SEAL_PLAIN_MAX_BYTES);
    seal_keys_destroy(old);
    seal_keys_destroy(new);
    seal_keys_destroy(other);
    buffer_dispose(&out);
    buffer_dispose(&second);
}

static void test_keys_that_are_none(void **state)
{
    (void)state;
    static const char *const wrong[] = {"",
                                        "1",
                                        "1:",
                                        ":" KEY_A,
                                        "0:" KEY_A,
                                        "256:" KEY_A,
                                        "x:" KEY_A,
                                        "1:" KEY_A ",",
                                        ","
                                        "1:" KEY_A,
                                        "1:" KEY_A ",1:" KEY_B,
                                        "1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHg==",
                                        "1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",
                                        "1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gIA==",
                                        "1:    " KEY_A,
                                        "1:====AwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_null(seal_keys_create(slice_of(wrong[i])));
    }
    seal_keys_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_what_is_no_code),
        cmocka_unit_test(test_secrets_and_addresses),
        cmocka_unit_test(test_recovery_codes),
        cmocka_unit_test(test_seal),
        cmocka_unit_test(test_keys_that_are_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
