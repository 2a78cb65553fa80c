#include "auth/pid.h"

#include <endian.h>
#include <openssl/crypto.h>
#include <string.h>

#include "util/base64url.h"

/* The session's id, the seq (big endian), and the first bytes of a MAC over both and
 * the user's id. 42 bytes, so that there is no padding. */

enum { BODY_BYTES = 16 + 8, SEAL_BYTES = 18, SEALED_BYTES = BODY_BYTES + SEAL_BYTES };
_Static_assert(BASE64URL_LENGTH(SEALED_BYTES) == PID_LENGTH, "without padding");

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
    base64url_encode(bytes, sizeof bytes, out);
}

bool pid_parse(const struct token_key *key, struct uuid user_id, struct slice text, struct uuid *ret_session_id,
               int64_t *ret_start_seq)
{
    uint8_t bytes[SEALED_BYTES], mac[TOKEN_MAC_BYTES];
    uint64_t seq;
    if (!base64url_decode(text, bytes, sizeof bytes)) {
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
