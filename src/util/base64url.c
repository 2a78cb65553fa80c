#include "util/base64url.h"

#include <assert.h>

static const char DIGITS[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

void base64url_encode(const uint8_t *bytes, size_t length, char *out)
{
    assert(length % 3 == 0);
    for (size_t i = 0; i < length; i += 3) {
        uint32_t group = (uint32_t)bytes[i] << 16 | (uint32_t)bytes[i + 1] << 8 | bytes[i + 2];
        for (int shift = 18; shift >= 0; shift -= 6) {
            *out++ = DIGITS[group >> shift & 63];
        }
    }
    *out = '\0';
}

bool base64url_decode(struct slice text, uint8_t *out, size_t length)
{
    assert(length % 3 == 0);
    if (text.length != BASE64URL_LENGTH(length)) {
        return false;
    }
    uint32_t group = 0;
    for (size_t i = 0; i < text.length; i++) {
        const char *digit = memchr(DIGITS, text.data[i], sizeof DIGITS - 1);
        if (digit == NULL) {
            return false;
        }
        group = group << 6 | (uint32_t)(digit - DIGITS);
        if (i % 4 == 3) {
            *out++ = (uint8_t)(group >> 16);
            *out++ = (uint8_t)(group >> 8);
            *out++ = (uint8_t)group;
        }
    }
    return true;
}
