/* Tokens by libjwt. It is asked as little as possible: what is not three segments of base64url never reaches it, and
 * afterwards the algorithm and each claim are checked here, whatever it let pass. */
#include "auth/token.h"

#include <assert.h>
#include <jwt.h>
#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>

enum { CACHED_TOKEN_MAX_BYTES = 512 };

struct token_key {
    size_t length;
    unsigned char secret[];
};

struct token_key *token_key_create(struct slice secret)
{
    assert(secret.length >= TOKEN_KEY_MIN_BYTES && secret.length <= INT_MAX);
    struct token_key *key = malloc(sizeof *key + secret.length);
    if (key != NULL) {
        key->length = secret.length;
        memcpy(key->secret, secret.data, secret.length);
    }
    return key;
}

void token_key_destroy(struct token_key *key)
{
    if (key != NULL) {
        explicit_bzero(key->secret, key->length);
        free(key);
    }
}

void token_key_mac(const struct token_key *key, struct slice purpose, struct slice data, uint8_t out[TOKEN_MAC_BYTES])
{
    unsigned char subkey[TOKEN_MAC_BYTES];
    unsigned length = TOKEN_MAC_BYTES;
    HMAC(EVP_sha256(), key->secret, (int)key->length, (const unsigned char *)purpose.data, purpose.length, subkey,
         &length);
    HMAC(EVP_sha256(), subkey, sizeof subkey, (const unsigned char *)data.data, data.length, out, &length);
    explicit_bzero(subkey, sizeof subkey);
}

static int add_id(jwt_t *jwt, const char *claim, struct uuid id)
{
    char text[UUID_TEXT_LENGTH + 1];
    uuid_format(id, text);
    text[UUID_TEXT_LENGTH] = '\0';
    return jwt_add_grant(jwt, claim, text);
}

enum status token_sign(const struct token_key *key, const struct token_claims *claims, int64_t now_s,
                       int64_t lifetime_s, struct buffer *out)
{
    enum status status = STATUS_UNAVAILABLE;
    char *token = NULL;
    jwt_t *jwt = NULL;
    if (jwt_new(&jwt) != 0) {
        return status;
    }
    if (add_id(jwt, "id", claims->user_id) == 0 && jwt_add_grant(jwt, "username", claims->username) == 0 &&
        add_id(jwt, "sid", claims->login_id) == 0 && jwt_add_grant_int(jwt, "iat", now_s) == 0 &&
        jwt_add_grant_int(jwt, "exp", now_s + lifetime_s) == 0 &&
        jwt_set_alg(jwt, JWT_ALG_HS256, key->secret, (int)key->length) == 0) {
        token = jwt_encode_str(jwt);
    }
    if (token != NULL) {
        buffer_append_text(out, token);
        status = out->failed ? STATUS_UNAVAILABLE : STATUS_OK;
    }
    free(token);
    jwt_free(jwt);
    return status;
}

/* Three segments of base64url, none of them empty. */
static bool has_shape(struct slice token)
{
    size_t dots = 0, segment_bytes = 0;
    for (size_t i = 0; i < token.length; i++) {
        char c = token.data[i];
        if (c == '.') {
            if (segment_bytes == 0) {
                return false;
            }
            dots++;
            segment_bytes = 0;
        } else if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_') {
            segment_bytes++;
        } else {
            return false;
        }
    }
    return dots == 2 && segment_bytes > 0;
}

static bool get_id(jwt_t *jwt, const char *claim, struct uuid *ret_id)
{
    const char *text = jwt_get_grant(jwt, claim);
    return text != NULL && uuid_parse(slice_of(text), ret_id);
}

static bool get_time(jwt_t *jwt, const char *claim, int64_t *ret_time_s)
{
    /* 0 is what libjwt says for a claim that is missing or is no whole number, and does not always set errno */
    long time_s = jwt_get_grant_int(jwt, claim);
    if (time_s <= 0) {
        return false;
    }
    *ret_time_s = time_s;
    return true;
}

static bool read_claims(jwt_t *jwt, struct token_claims *ret_claims)
{
    struct token_claims claims = {0};
    const char *username = jwt_get_grant(jwt, "username");
    if (username == NULL || username[0] == '\0' || strlen(username) > USERNAME_MAX_LENGTH) {
        return false;
    }
    memcpy(claims.username, username, strlen(username));
    if (!get_id(jwt, "id", &claims.user_id) || !get_id(jwt, "sid", &claims.login_id) ||
        !get_time(jwt, "iat", &claims.issued_at) || !get_time(jwt, "exp", &claims.expires_at)) {
        return false;
    }
    *ret_claims = claims;
    return true;
}

static bool is_pinned(jwt_t *jwt)
{
    const char *algorithm = jwt_get_header(jwt, "alg");
    return jwt_get_alg(jwt) == JWT_ALG_HS256 && algorithm != NULL && strcmp(algorithm, "HS256") == 0;
}

/* One from the future is good too: we have signed it, and then the clock was put back. */
static bool is_alive(const struct token_claims *claims, int64_t now_s)
{
    return claims->expires_at > now_s;
}

bool token_verify(const struct token_key *key, struct slice token, int64_t now_s, struct token_claims *ret_claims)
{
    if (token.length > TOKEN_MAX_BYTES || !has_shape(token)) {
        return false;
    }
    char text[TOKEN_MAX_BYTES + 1];
    memcpy(text, token.data, token.length);
    text[token.length] = '\0';
    jwt_t *jwt = NULL;
    if (jwt_decode(&jwt, text, key->secret, (int)key->length) != 0) {
        return false;
    }
    struct token_claims claims;
    bool is_good = is_pinned(jwt) && read_claims(jwt, &claims) && is_alive(&claims, now_s);
    jwt_free(jwt);
    if (is_good) {
        *ret_claims = claims;
    }
    return is_good;
}

struct slice token_of_authorization(struct slice header)
{
    static const char SCHEME[] = "Bearer ";
    size_t length = sizeof SCHEME - 1;
    if (header.length < length || strncasecmp(header.data, SCHEME, length) != 0) {
        return (struct slice){NULL, 0};
    }
    return slice_trim((struct slice){header.data + length, header.length - length});
}

/* --- the cache --- */

struct token_slot {
    size_t length;    /* 0 for a slot never used */
    uint64_t version; /* of the revocations, among which its login was not by then; 0: not looked up yet */
    char token[CACHED_TOKEN_MAX_BYTES];
    struct token_claims claims;
};

struct token_cache {
    const struct token_key *key;
    struct revocations *revocations;
    size_t mask;
    struct token_slot slots[];
};

struct token_cache *token_cache_create(const struct token_key *key, struct revocations *revocations, size_t slots)
{
    size_t count = 2;
    while (count < slots) {
        count *= 2;
    }
    struct token_cache *cache = calloc(1, sizeof *cache + count * sizeof cache->slots[0]);
    if (cache != NULL) {
        cache->key = key;
        cache->revocations = revocations;
        cache->mask = count - 1;
    }
    return cache;
}

void token_cache_destroy(struct token_cache *cache)
{
    if (cache != NULL) {
        explicit_bzero(cache->slots, (cache->mask + 1) * sizeof cache->slots[0]);
        free(cache);
    }
}

/* The end of a token is the end of its signature, which nobody without the key can choose: as good a hash as any. A
 * token lies in one of two neighbouring slots: in the first when it was the last to come. */
static struct token_slot *slot_of(struct token_cache *cache, struct slice token, size_t way)
{
    uint64_t tail;
    assert(token.length > sizeof tail);
    memcpy(&tail, token.data + token.length - sizeof tail, sizeof tail);
    tail *= 0x9e3779b97f4a7c15ull;
    return &cache->slots[((tail >> 32) & cache->mask) ^ way];
}

static struct token_slot *find(struct token_cache *cache, struct slice token)
{
    for (size_t way = 0; way < 2; way++) {
        struct token_slot *slot = slot_of(cache, token, way);
        if (slot->length == token.length && CRYPTO_memcmp(slot->token, token.data, token.length) == 0) {
            return slot;
        }
    }
    return NULL;
}

/* NULL when it is not good. */
static struct token_slot *insert(struct token_cache *cache, struct slice token, int64_t now_s)
{
    struct token_claims claims;
    if (!token_verify(cache->key, token, now_s, &claims)) {
        return NULL;
    }
    struct token_slot *slot = slot_of(cache, token, 0);
    *slot_of(cache, token, 1) = *slot;
    slot->length = token.length;
    slot->version = 0;
    memcpy(slot->token, token.data, token.length);
    slot->claims = claims;
    return slot;
}

bool token_cache_has_ended(const struct token_cache *cache, struct uuid login_id)
{
    return cache->revocations != NULL && revocations_hold(cache->revocations, login_id);
}

/* `version` is what the login was last looked up in. */
static enum status check_login(const struct token_cache *cache, struct uuid login_id, uint64_t *version)
{
    struct revocations *revocations = cache->revocations;
    if (revocations == NULL) {
        return STATUS_OK;
    }
    uint64_t now = revocations_version(revocations);
    if (*version != now) {
        if (revocations_hold(revocations, login_id)) {
            return STATUS_UNAUTHORIZED;
        }
        *version = now;
    }
    return revocations_are_whole(revocations) ? STATUS_OK : STATUS_UNAVAILABLE;
}

enum status token_cache_verify(struct token_cache *cache, struct slice token, int64_t now_s,
                               struct token_claims *ret_claims)
{
    struct token_claims claims;
    uint64_t version = 0;
    enum status status;
    if (token.length <= sizeof(uint64_t) || token.length > CACHED_TOKEN_MAX_BYTES) {
        status = token_verify(cache->key, token, now_s, &claims) ? check_login(cache, claims.login_id, &version)
                                                                 : STATUS_UNAUTHORIZED;
    } else {
        struct token_slot *slot = find(cache, token);
        slot = slot != NULL ? slot : insert(cache, token, now_s);
        if (slot == NULL || !is_alive(&slot->claims, now_s)) {
            return STATUS_UNAUTHORIZED;
        }
        claims = slot->claims;
        status = check_login(cache, claims.login_id, &slot->version);
    }
    if (status == STATUS_OK) {
        *ret_claims = claims;
    }
    return status;
}
