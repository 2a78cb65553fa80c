#include "base64url.h"

#include <assert.h>
#include <openssl/evp.h>

enum { DECODED_MAX_BYTES = 192 };

void base64url_encode(const uint8_t *bytes, size_t length, char *out)
{
    assert(length % 3 == 0);
    EVP_EncodeBlock((unsigned char *)out, bytes, (int)length);
    for (char *c = out; *c != '\0'; c++) {
        *c = *c == '+' ? '-' : *c == '/' ? '_' : *c;
    }
}

bool base64url_decode(struct slice text, uint8_t *out, size_t length)
{
    char base64[BASE64URL_LENGTH(DECODED_MAX_BYTES)];
    assert(length % 3 == 0 && length <= DECODED_MAX_BYTES);
    if (text.length != BASE64URL_LENGTH(length)) {
        return false;
    }
    for (size_t i = 0; i < text.length; i++) {
        char c = text.data[i];
        if (c == '+' || c == '/' || c == '=') {
            return false;
        }
        base64[i] = (char)(c == '-' ? '+' : c == '_' ? '/' : c);
    }
    bool is_good = EVP_DecodeBlock(out, (unsigned char *)base64, (int)text.length) == (int)length;
    explicit_bzero(base64, sizeof base64);
    return is_good;
}
