/* base64url (RFC 4648 section 5) of runs of bytes that need no padding. */
#ifndef STONECHAT_UTIL_BASE64URL_H
#define STONECHAT_UTIL_BASE64URL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/slice.h"

/* Characters for `bytes`, a multiple of 3. */
#define BASE64URL_LENGTH(bytes) ((bytes) / 3 * 4)

/* Writes BASE64URL_LENGTH(length) characters and a terminator. */
void base64url_encode(const uint8_t *bytes, size_t length, char *out);

/* False unless `text` is BASE64URL_LENGTH(length) characters of the alphabet. Then nothing is to be read in `out`. */
bool base64url_decode(struct slice text, uint8_t *out, size_t length);

#endif
