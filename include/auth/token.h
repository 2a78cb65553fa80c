/* Bearer tokens: JSON Web Tokens with HS256 and nothing else, that say who a request speaks for. */
#ifndef STONECHAT_AUTH_TOKEN_H
#define STONECHAT_AUTH_TOKEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "auth/revocations.h"
#include "util/buffer.h"
#include "util/slice.h"
#include "util/status.h"
#include "util/uuid.h"

enum { TOKEN_MAX_BYTES = 4096, TOKEN_KEY_MIN_BYTES = 32, USERNAME_MAX_LENGTH = 64 };

/* Who a token speaks for. */
struct token_claims {
    struct uuid user_id;  /* the claim `id` */
    struct uuid login_id; /* the claim `sid` */
    char username[USERNAME_MAX_LENGTH + 1];
    int64_t issued_at;  /* `iat`, seconds since 1970 */
    int64_t expires_at; /* `exp`, seconds since 1970; the token is dead from this second on */
};

/* The secret. It does not change once created: all threads may use it at once. */
struct token_key;

/* Copies `secret`, of at least TOKEN_KEY_MIN_BYTES. NULL without memory. */
struct token_key *token_key_create(struct slice secret);
/* Wipes the secret. No thread may use the key any more. */
void token_key_destroy(struct token_key *key);

enum { TOKEN_MAC_BYTES = 32 };

/* HMAC-SHA256 (RFC 2104) of `purpose` and `data` under the secret, for what else of ours clients hold. What one purpose
 * seals is no good for another, nor for a token. Any thread. */
void token_key_mac(const struct token_key *key, struct slice purpose, struct slice data, uint8_t out[TOKEN_MAC_BYTES]);

/* Appends a token for `claims`, issued at `now_s` for `lifetime_s` seconds (the times in `claims` are not looked at).
 * STATUS_OK, or STATUS_UNAVAILABLE without memory. Any thread. */
enum status token_sign(const struct token_key *key, const struct token_claims *claims, int64_t now_s,
                       int64_t lifetime_s, struct buffer *out);

/* True when the token is well-formed, signed with this key by HS256, has every claim, and is alive at `now_s`. Whether
 * the login was revoked is not known here. Any thread. */
bool token_verify(const struct token_key *key, struct slice token, int64_t now_s, struct token_claims *ret_claims);

/* The token of a header `Authorization: Bearer …`, or empty. */
struct slice token_of_authorization(struct slice header);

/* Remembers tokens that were verified, so that the next request with the same one is cheap. Of constant size; belongs
 * to one thread. */
struct token_cache;

/* `slots` is rounded up to a power of two; a slot takes 648 bytes. A new token takes the place of an old one. No token
 * of a login in `revocations` is good; NULL: none was ever revoked. NULL without memory. The key and the revocations
 * must outlive the cache. */
struct token_cache *token_cache_create(const struct token_key *key, struct revocations *revocations, size_t slots);
void token_cache_destroy(struct token_cache *cache);

/* STATUS_OK where token_verify would be true and the login was not revoked, STATUS_UNAUTHORIZED where not.
 * STATUS_UNAVAILABLE: it is good, but it is not known yet which logins were revoked. */
enum status token_cache_verify(struct token_cache *cache, struct slice token, int64_t now_s,
                               struct token_claims *ret_claims);

/* Was the login revoked since its token was verified? */
bool token_cache_has_ended(const struct token_cache *cache, struct uuid login_id);

#endif
