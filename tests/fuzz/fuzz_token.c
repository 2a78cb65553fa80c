/* Any bytes as a bearer token, and any bytes as the header and the claims of a token that is truly signed: no crash,
 * the unsigned never passes, and what passes has sound claims. */
#include <assert.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stddef.h>
#include <stdint.h>

#include "auth/token.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct slice secret = {"0123456789abcdef0123456789abcdef", 32};

static void append_base64url(struct buffer *out, const uint8_t *data, size_t size)
{
    char *at = buffer_reserve(out, size / 3 * 4 + 5);
    if (at == NULL) {
        return;
    }
    int length = EVP_EncodeBlock((unsigned char *)at, data, (int)size);
    for (int i = 0; i < length && at[i] != '='; i++) {
        at[i] = at[i] == '+' ? '-' : at[i] == '/' ? '_' : at[i];
        out->length++;
    }
}

/* The first byte says where the header ends. */
static void verify_signed(const struct token_key *key, const uint8_t *data, size_t size)
{
    size_t header_size = data[0] < size - 1 ? data[0] : size - 1;
    struct buffer token = buffer_init(1 << 16);
    append_base64url(&token, data + 1, header_size);
    buffer_append_char(&token, '.');
    append_base64url(&token, data + 1 + header_size, size - 1 - header_size);
    unsigned char mac[EVP_MAX_MD_SIZE];
    unsigned mac_size = 0;
    HMAC(EVP_sha256(), secret.data, (int)secret.length, (const unsigned char *)token.data, token.length, mac,
         &mac_size);
    buffer_append_char(&token, '.');
    append_base64url(&token, mac, mac_size);
    struct token_claims claims;
    if (token_verify(key, buffer_slice(&token), 1500, &claims)) {
        assert(claims.expires_at > 1500 && claims.issued_at > 0 && claims.username[0] != '\0');
        assert(memchr(claims.username, '\0', sizeof claims.username) != NULL);
    }
    buffer_dispose(&token);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct token_key *key;
    static struct token_cache *cache;
    if (key == NULL) {
        key = token_key_create(secret);
        cache = token_cache_create(key, NULL, 4);
    }
    struct token_claims claims;
    assert(!token_verify(key, (struct slice){(const char *)data, size}, 1500, &claims));
    assert(token_cache_verify(cache, (struct slice){(const char *)data, size}, 1500, &claims) == STATUS_UNAUTHORIZED);
    if (size > 1) {
        verify_signed(key, data, size);
    }
    return 0;
}
