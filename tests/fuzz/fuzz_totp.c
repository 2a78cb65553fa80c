/* Any bytes as codes: a TOTP code is right exactly when RFC 6238 makes it now, a step before or a step after; a
 * recovery code counts by its letters alone; and what the app is told is an address of plain characters that a QR code
 * can hold.
 *
 * The input: 20 bytes of secret, 2 of time, then the text. */
#include <assert.h>
#include <ctype.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/totp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { HEAD_BYTES = TOTP_SECRET_BYTES + 2, STEP_S = 30, NAME_MAX_BYTES = 64 };

/* RFC 4226, section 5.3. */
static void make_code(const struct totp_secret *secret, int64_t step, char out[TOTP_DIGITS + 1])
{
    uint8_t counter[8], mac[EVP_MAX_MD_SIZE];
    unsigned length = 0;
    for (int i = 0; i < 8; i++) {
        counter[i] = (uint8_t)((uint64_t)step >> (56 - 8 * i));
    }
    HMAC(EVP_sha1(), secret->bytes, sizeof secret->bytes, counter, sizeof counter, mac, &length);
    const uint8_t *at = mac + (mac[length - 1] & 15);
    uint32_t number = ((uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3]) & 0x7fffffff;
    snprintf(out, TOTP_DIGITS + 1, "%06u", number % 1000000);
}

static void check_code(const struct totp_secret *secret, struct slice code, int64_t now_s)
{
    char right[TOTP_DIGITS + 1];
    int64_t step = -1, expected = -1;
    for (int64_t near = now_s / STEP_S - 1; near <= now_s / STEP_S + 1; near++) {
        make_code(secret, near, right);
        expected = near >= 0 && slice_equals(code, slice_of(right)) ? near : expected;
    }
    assert(totp_check(secret, code, now_s, &step) == (expected >= 0));
    assert(step == expected);
}

static void check_recovery_code(struct slice code)
{
    char hash[RECOVERY_HASH_LENGTH + 1], same[RECOVERY_HASH_LENGTH + 1], letters[RECOVERY_CODE_LENGTH - 1];
    size_t count = 0;
    char lower[RECOVERY_CODE_LENGTH - 1];
    if (!recovery_code_hash(SLICE("alice"), code, hash)) {
        return;
    }
    assert(strlen(hash) == RECOVERY_HASH_LENGTH);
    for (size_t i = 0; i < code.length; i++) {
        if (code.data[i] != '-') {
            assert(count < sizeof letters && isalnum((unsigned char)code.data[i]));
            lower[count] = (char)tolower((unsigned char)code.data[i]);
            letters[count++] = (char)toupper((unsigned char)code.data[i]);
        }
    }
    assert(recovery_code_hash(SLICE("alice"), (struct slice){letters, count}, same) && strcmp(hash, same) == 0);
    assert(recovery_code_hash(SLICE("alice"), (struct slice){lower, count}, same) && strcmp(hash, same) == 0);
    assert(recovery_code_hash(SLICE("bob"), (struct slice){letters, count}, same) && strcmp(hash, same) != 0);
}

static void check_uri(const struct totp_secret *secret, struct slice name)
{
    static const char START[] = "otpauth://totp/Stone%20chat:";
    struct buffer uri = buffer_init(1 << 12), svg = buffer_init(1 << 20);
    totp_write_uri(&uri, secret, "Stone chat", name);
    buffer_append_char(&uri, '\0');
    assert(!uri.failed && strlen(uri.data) + 1 == uri.length && strncmp(uri.data, START, sizeof START - 1) == 0);
    const char *at = uri.data + sizeof START - 1;
    for (size_t i = 0; i < name.length; i++, at++) { /* the name comes out again */
        unsigned c = (unsigned char)*at;
        assert(isalnum((int)c) || strchr("-._~%", (int)c) != NULL);
        if (c == '%') {
            assert(sscanf(at + 1, "%2X", &c) == 1);
            at += 2;
        }
        assert(c == (unsigned char)name.data[i]);
    }
    assert(*at == '?');
    if (name.length % 8 == 0) { /* takes a while */
        assert(totp_write_qr_svg(&svg, uri.data));
        assert(svg.length > 6 && memcmp(svg.data + svg.length - 6, "</svg>", 6) == 0);
    }
    buffer_dispose(&uri);
    buffer_dispose(&svg);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct totp_secret secret;
    char right[TOTP_DIGITS + 1];
    if (size < HEAD_BYTES) {
        return 0;
    }
    memcpy(secret.bytes, data, sizeof secret.bytes);
    int64_t now_s = data[TOTP_SECRET_BYTES] << 8 | data[TOTP_SECRET_BYTES + 1];
    struct slice text = {(const char *)data + HEAD_BYTES, size - HEAD_BYTES};
    check_code(&secret, text, now_s);
    make_code(&secret, now_s / STEP_S + (text.length > 0 ? text.data[0] % 4 : 0), right);
    check_code(&secret, slice_of(right), now_s);
    check_recovery_code(text);
    if (text.length <= NAME_MAX_BYTES) {
        check_uri(&secret, text);
    }
    return 0;
}
