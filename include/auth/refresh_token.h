/* What a client gets new tokens for: the id of its login, a secret that only it has, and a seal. The database knows the
 * hash of the newest one. Since nobody else can seal, one with a good seal that is not the newest is an old one that
 * somebody has kept. */
#ifndef STONECHAT_AUTH_REFRESH_TOKEN_H
#define STONECHAT_AUTH_REFRESH_TOKEN_H

#include <stdbool.h>

#include "auth/token.h"
#include "util/slice.h"
#include "util/uuid.h"

enum { REFRESH_TOKEN_LENGTH = 88, REFRESH_HASH_LENGTH = 64 };

/* A new one, and a terminator. False when the system gives no random bytes. Whoever keeps it wipes it. */
bool refresh_token_make(const struct token_key *key, struct uuid login_id, char out[REFRESH_TOKEN_LENGTH + 1]);

/* False when it was not made with this key. */
bool refresh_token_parse(const struct token_key *key, struct slice text, struct uuid *ret_login_id);

/* SHA-256 in hexadecimal, and a terminator. */
void refresh_token_hash(struct slice text, char out[REFRESH_HASH_LENGTH + 1]);

#endif
