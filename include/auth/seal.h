/* Secrets that are stored: sealed with AES-256-GCM (NIST SP 800-38D) under keys from the environment, each with a
 * number, so that a new key can come while the old ones still open what they sealed. Any thread. */
#ifndef STONECHAT_AUTH_SEAL_H
#define STONECHAT_AUTH_SEAL_H

#include <stdbool.h>
#include <stddef.h>

#include "util/buffer.h"
#include "util/slice.h"

enum { SEAL_KEY_BYTES = 32, SEAL_PLAIN_MAX_BYTES = 1024 };

struct seal_keys;

/* Reads "2:BASE64,1:BASE64": a number of 1 to 255 and 32 bytes each. The first seals, all open. NULL when the text is
 * not like that, or without memory. */
struct seal_keys *seal_keys_create(struct slice text);
/* Wipes them. NULL is fine. */
void seal_keys_destroy(struct seal_keys *keys);

/* Appends the sealed text, in base64. `owner` is what it belongs to: only with the same one it can be opened. False
 * without memory, or when `plain` is too long. */
bool seal_close(const struct seal_keys *keys, struct slice owner, struct slice plain, struct buffer *out);

/* Opens what seal_close made; the length goes to `ret_length`. False when it is not ours, not this owner's, or its key
 * is not there any more. `out` has room for SEAL_PLAIN_MAX_BYTES; the caller wipes it. `ret_is_old` (or NULL): sealed
 * by another key than the first. */
bool seal_open(const struct seal_keys *keys, struct slice owner, struct slice sealed, unsigned char *out,
               size_t *ret_length, bool *ret_is_old);

#endif
