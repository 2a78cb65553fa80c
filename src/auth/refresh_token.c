#include "auth/refresh_token.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <string.h>

#include "util/base64url.h"
#include "util/hex.h"

/* The login's id, 256 random bits, and the first bytes of a MAC over both. 66 bytes, so that there is no padding. */

enum { SECRET_BYTES = 32, BODY_BYTES = 16 + SECRET_BYTES, SEAL_BYTES = 18, SEALED_BYTES = BODY_BYTES + SEAL_BYTES };
_Static_assert(BASE64URL_LENGTH(SEALED_BYTES) == REFRESH_TOKEN_LENGTH, "without padding");
_Static_assert(2 * SHA256_DIGEST_LENGTH == REFRESH_HASH_LENGTH, "two digits a byte");

static void seal(const struct token_key *key, const uint8_t body[BODY_BYTES], uint8_t out[TOKEN_MAC_BYTES])
{
    token_key_mac(key, SLICE("stonechat refresh token"), (struct slice){(const char *)body, BODY_BYTES}, out);
}

bool refresh_token_make(const struct token_key *key, struct uuid login_id, char out[REFRESH_TOKEN_LENGTH + 1])
{
    uint8_t bytes[SEALED_BYTES], mac[TOKEN_MAC_BYTES];
    memcpy(bytes, login_id.bytes, 16);
    if (RAND_bytes(bytes + 16, SECRET_BYTES) != 1) {
        return false;
    }
    seal(key, bytes, mac);
    memcpy(bytes + BODY_BYTES, mac, SEAL_BYTES);
    base64url_encode(bytes, sizeof bytes, out);
    explicit_bzero(bytes, sizeof bytes);
    return true;
}

bool refresh_token_parse(const struct token_key *key, struct slice text, struct uuid *ret_login_id)
{
    uint8_t bytes[SEALED_BYTES], mac[TOKEN_MAC_BYTES];
    if (!base64url_decode(text, bytes, sizeof bytes)) {
        return false;
    }
    seal(key, bytes, mac);
    bool is_ours = CRYPTO_memcmp(mac, bytes + BODY_BYTES, SEAL_BYTES) == 0;
    if (is_ours) {
        memcpy(ret_login_id->bytes, bytes, 16);
    }
    explicit_bzero(bytes, sizeof bytes);
    explicit_bzero(mac, sizeof mac);
    return is_ours;
}

void refresh_token_hash(struct slice text, char out[REFRESH_HASH_LENGTH + 1])
{
    uint8_t digest[SHA256_DIGEST_LENGTH];
    SHA256((const unsigned char *)text.data, text.length, digest);
    hex_write(digest, sizeof digest, out);
    out[REFRESH_HASH_LENGTH] = '\0';
}
