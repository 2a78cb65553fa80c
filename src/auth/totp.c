#include "auth/totp.h"

#include <ctype.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <qrencode.h>
#include <stdlib.h>
#include <string.h>

#include <liboath/oath.h>

#include "util/hex.h"

enum { STEP_S = 30, QUIET_ZONE = 4, RECOVERY_LETTERS = 10 };

/* --- codes --- */

static void fill_random(unsigned char *bytes, int length)
{
    if (RAND_bytes(bytes, length) != 1) {
        abort(); /* without randomness nothing is safe */
    }
}

void totp_secret_make(struct totp_secret *ret_secret)
{
    fill_random(ret_secret->bytes, sizeof ret_secret->bytes);
}

/* RFC 4648, section 6; 20 bytes need no padding. */
void totp_secret_format(const struct totp_secret *secret, char out[TOTP_BASE32_LENGTH + 1])
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    for (int i = 0; i < TOTP_BASE32_LENGTH; i++) {
        int bit = i * 5, byte = bit / 8;
        unsigned pair =
            (unsigned)secret->bytes[byte] << 8 | (byte + 1 < TOTP_SECRET_BYTES ? secret->bytes[byte + 1] : 0);
        out[i] = alphabet[pair >> (11 - bit % 8) & 31];
    }
    out[TOTP_BASE32_LENGTH] = '\0';
}

bool totp_check(const struct totp_secret *secret, struct slice code, int64_t now_s, int64_t *ret_step)
{
    bool is_right = false;
    char given[TOTP_DIGITS + 1] = "", expected[TOTP_DIGITS + 1];
    if (code.length == TOTP_DIGITS) {
        memcpy(given, code.data, TOTP_DIGITS);
    }
    for (int64_t step = now_s / STEP_S - 1; step <= now_s / STEP_S + 1; step++) {
        bool is_made =
            step >= 0 && oath_hotp_generate((const char *)secret->bytes, sizeof secret->bytes, (uint64_t)step,
                                            TOTP_DIGITS, false, OATH_HOTP_DYNAMIC_TRUNCATION, expected) == OATH_OK;
        if (is_made && CRYPTO_memcmp(given, expected, TOTP_DIGITS) == 0) {
            is_right = true;
            *ret_step = step;
        }
    }
    OPENSSL_cleanse(expected, sizeof expected);
    OPENSSL_cleanse(given, sizeof given);
    return is_right;
}

/* --- for the app --- */

/* RFC 3986, section 2.3: all but the unreserved characters. */
static void append_encoded(struct buffer *out, struct slice text)
{
    for (size_t i = 0; i < text.length; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if (isalnum(c) || memchr("-._~", c, 4) != NULL) {
            buffer_append_char(out, (char)c);
        } else {
            buffer_printf(out, "%%%02X", c);
        }
    }
}

void totp_write_uri(struct buffer *out, const struct totp_secret *secret, const char *issuer, struct slice name)
{
    char text[TOTP_BASE32_LENGTH + 1];
    totp_secret_format(secret, text);
    buffer_append_text(out, "otpauth://totp/");
    append_encoded(out, slice_of(issuer));
    buffer_append_char(out, ':');
    append_encoded(out, name);
    buffer_printf(out, "?secret=%s&issuer=", text);
    append_encoded(out, slice_of(issuer));
    buffer_printf(out, "&algorithm=SHA1&digits=%d&period=%d", TOTP_DIGITS, STEP_S);
    OPENSSL_cleanse(text, sizeof text);
}

/* One path, a box for each run of dark modules in a row. */
static void write_modules(struct buffer *out, const QRcode *code)
{
    for (int y = 0; y < code->width; y++) {
        const unsigned char *row = code->data + y * code->width;
        for (int x = 0, run; x<code->width; x += run> 0 ? run : 1) {
            for (run = 0; x + run < code->width && (row[x + run] & 1) != 0; run++) {
            }
            if (run > 0) {
                buffer_printf(out, "M%d %dh%dv1h-%dz", x + QUIET_ZONE, y + QUIET_ZONE, run, run);
            }
        }
    }
}

bool totp_write_qr_svg(struct buffer *out, const char *text)
{
    QRcode *code = QRcode_encodeString8bit(text, 0, QR_ECLEVEL_M);
    if (code == NULL) {
        return false;
    }
    int side = code->width + 2 * QUIET_ZONE;
    buffer_printf(out,
                  "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" shape-rendering=\"crispEdges\">"
                  "<path fill=\"#fff\" d=\"M0 0h%dv%dH0z\"/><path d=\"",
                  side, side, side, side);
    write_modules(out, code);
    buffer_append_text(out, "\"/></svg>");
    OPENSSL_cleanse(code->data, (size_t)code->width * (size_t)code->width);
    QRcode_free(code);
    return !out->failed;
}

/* --- recovery codes --- */

static const char RECOVERY_ALPHABET[] = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789";

void recovery_code_make(char out[RECOVERY_CODE_LENGTH + 1])
{
    unsigned char bytes[RECOVERY_LETTERS];
    fill_random(bytes, sizeof bytes);
    for (int i = 0; i < RECOVERY_LETTERS; i++) {
        out[i + (i >= RECOVERY_LETTERS / 2)] = RECOVERY_ALPHABET[bytes[i] & 31];
    }
    out[RECOVERY_LETTERS / 2] = '-';
    out[RECOVERY_CODE_LENGTH] = '\0';
    OPENSSL_cleanse(bytes, sizeof bytes);
}

/* The letters alone. */
static bool normalize(struct slice code, char out[RECOVERY_LETTERS])
{
    int count = 0;
    for (size_t i = 0; i < code.length; i++) {
        char letter = (char)toupper((unsigned char)code.data[i]);
        if (letter == '-') {
            continue;
        }
        if (count == RECOVERY_LETTERS || letter == '\0' || strchr(RECOVERY_ALPHABET, letter) == NULL) {
            return false;
        }
        out[count++] = letter;
    }
    return count == RECOVERY_LETTERS;
}

/* 50 random bits that are good once, for one account that locks itself: a slow hash would add nothing. */
bool recovery_code_hash(struct slice owner, struct slice code, char out[RECOVERY_HASH_LENGTH + 1])
{
    char letters[RECOVERY_LETTERS];
    unsigned char digest[RECOVERY_HASH_LENGTH / 2];
    if (!normalize(code, letters)) {
        return false;
    }
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool good = context != NULL && EVP_DigestInit_ex(context, EVP_sha256(), NULL) == 1 &&
                EVP_DigestUpdate(context, owner.data, owner.length) == 1 &&
                EVP_DigestUpdate(context, letters, sizeof letters) == 1 &&
                EVP_DigestFinal_ex(context, digest, NULL) == 1;
    EVP_MD_CTX_free(context);
    OPENSSL_cleanse(letters, sizeof letters);
    if (good) {
        hex_write(digest, sizeof digest, out);
    }
    out[good ? RECOVERY_HASH_LENGTH : 0] = '\0';
    return good;
}
