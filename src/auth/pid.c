#include "auth/pid.h"

#include <endian.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <string.h>

/* base64url (RFC 4648 section 5) of: the session's id, the seq (big endian), and the first bytes of a MAC over both and
 * the user's id. 42 bytes, so that there is no padding. */

enum { BODY_BYTES = 16 + 8, SEAL_BYTES = 18, SEALED_BYTES = BODY_BYTES + SEAL_BYTES };
_Static_assert(SEALED_BYTES * 4 / 3 == PID_LENGTH, "without padding");

static void seal(const struct token_key *key, struct uuid user_id, const uint8_t body[BODY_BYTES],
                 uint8_t out[TOKEN_MAC_BYTES])
{
    char text[16 + BODY_BYTES];
    memcpy(text, user_id.bytes, 16);
    memcpy(text + 16, body, BODY_BYTES);
    token_key_mac(key, SLICE("stonechat pid"), (struct slice){text, sizeof text}, out);
}

void pid_make(const struct token_key *key, struct uuid user_id, struct uuid session_id, int64_t start_seq,
              char out[PID_LENGTH + 1])
{
    uint8_t bytes[SEALED_BYTES], mac[TOKEN_MAC_BYTES];
    uint64_t seq = htobe64((uint64_t)start_seq);
    memcpy(bytes, session_id.bytes, 16);
    memcpy(bytes + 16, &seq, sizeof seq);
    seal(key, user_id, bytes, mac);
    memcpy(bytes + BODY_BYTES, mac, SEAL_BYTES);
    EVP_EncodeBlock((unsigned char *)out, bytes, SEALED_BYTES);
    for (char *c = out; *c != '\0'; c++) {
        *c = *c == '+' ? '-' : *c == '/' ? '_' : *c;
    }
}

static bool decode(struct slice text, uint8_t out[SEALED_BYTES])
{
    char base64[PID_LENGTH];
    if (text.length != PID_LENGTH) {
        return false;
    }
    for (size_t i = 0; i < sizeof base64; i++) {
        char c = text.data[i];
        if (c == '+' || c == '/' || c == '=') {
            return false;
        }
        base64[i] = (char)(c == '-' ? '+' : c == '_' ? '/' : c);
    }
    return EVP_DecodeBlock(out, (unsigned char *)base64, sizeof base64) == SEALED_BYTES;
}

bool pid_parse(const struct token_key *key, struct uuid user_id, struct slice text, struct uuid *ret_session_id,
               int64_t *ret_start_seq)
{
    uint8_t bytes[SEALED_BYTES], mac[TOKEN_MAC_BYTES];
    uint64_t seq;
    if (!decode(text, bytes)) {
        return false;
    }
    seal(key, user_id, bytes, mac);
    if (CRYPTO_memcmp(mac, bytes + BODY_BYTES, SEAL_BYTES) != 0) {
        return false;
    }
    memcpy(ret_session_id->bytes, bytes, 16);
    memcpy(&seq, bytes + 16, sizeof seq);
    *ret_start_seq = (int64_t)be64toh(seq);
    return true;
}
