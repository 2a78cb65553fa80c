#include "auth/seal.h"

#include <ctype.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

#include "util/digits.h"

/* What is in the base64: the key's number, a nonce, the cipher text, the tag. */
enum {
    KEYS_MAX = 16,
    NONCE_BYTES = 12,
    TAG_BYTES = 16,
    HEAD_BYTES = 1 + NONCE_BYTES,
    SEALED_MAX_BYTES = HEAD_BYTES + SEAL_PLAIN_MAX_BYTES + TAG_BYTES,
    TEXT_MAX_BYTES = (SEALED_MAX_BYTES + 2) / 3 * 4
};

struct seal_key {
    unsigned char number; /* 0: none */
    unsigned char bytes[SEAL_KEY_BYTES];
};

struct seal_keys {
    struct seal_key rows[KEYS_MAX + 1]; /* ends with one whose number is 0 */
};

/* --- base64 --- */

/* OpenSSL would skip blanks at the beginning. */
static bool has_digits_only(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (!isalnum((unsigned char)text[i]) && text[i] != '+' && text[i] != '/') {
            return false;
        }
    }
    return true;
}

/* Strict: whole groups of digits, padding only at the end. The number of bytes, or -1. */
static int decode(struct slice text, unsigned char *out, size_t room)
{
    if (text.length == 0 || text.length % 4 != 0 || text.length / 4 * 3 > room) {
        return -1;
    }
    int padding = (text.data[text.length - 1] == '=') + (text.data[text.length - 2] == '=');
    if (!has_digits_only(text.data, text.length - (size_t)padding)) {
        return -1;
    }
    int length = EVP_DecodeBlock(out, (const unsigned char *)text.data, (int)text.length);
    if (length < 0) {
        return -1;
    }
    unsigned char last[5]; /* its unused bits must be 0: one text for one value */
    EVP_EncodeBlock(last, out + length - 3, 3 - padding);
    return memcmp(last, text.data + text.length - 4, 4) == 0 ? length - padding : -1;
}

/* --- keys --- */

static const struct seal_key *find_key(const struct seal_keys *keys, unsigned char number)
{
    for (const struct seal_key *key = keys->rows; key->number != 0; key++) {
        if (key->number == number) {
            return key;
        }
    }
    return NULL;
}

/* "2:BASE64" */
static bool read_key(struct slice text, struct seal_key *ret_key)
{
    unsigned char bytes[SEAL_KEY_BYTES + 4];
    int64_t number;
    if (!digits_take(&text, 3, &number) || text.length == 0 || text.data[0] != ':' || number < 1 || number > 255) {
        return false;
    }
    struct slice encoded = {text.data + 1, text.length - 1};
    bool good = decode(encoded, bytes, sizeof bytes) == SEAL_KEY_BYTES;
    if (good) {
        ret_key->number = (unsigned char)number;
        memcpy(ret_key->bytes, bytes, SEAL_KEY_BYTES);
    }
    OPENSSL_cleanse(bytes, sizeof bytes);
    return good;
}

static bool read_keys(struct slice text, struct seal_keys *keys)
{
    int count = 0;
    while (text.length > 0) {
        const char *comma = memchr(text.data, ',', text.length);
        size_t length = comma != NULL ? (size_t)(comma - text.data) : text.length;
        struct seal_key key = {0};
        bool good =
            count < KEYS_MAX && read_key((struct slice){text.data, length}, &key) && find_key(keys, key.number) == NULL;
        if (good) {
            keys->rows[count++] = key;
        }
        OPENSSL_cleanse(&key, sizeof key);
        if (!good || length + 1 == text.length) {
            return false;
        }
        text = comma != NULL ? (struct slice){comma + 1, text.length - length - 1} : (struct slice){NULL, 0};
    }
    return count > 0;
}

struct seal_keys *seal_keys_create(struct slice text)
{
    struct seal_keys *keys = calloc(1, sizeof *keys);
    if (keys != NULL && !read_keys(text, keys)) {
        seal_keys_destroy(keys);
        return NULL;
    }
    return keys;
}

void seal_keys_destroy(struct seal_keys *keys)
{
    if (keys != NULL) {
        OPENSSL_cleanse(keys, sizeof *keys);
        free(keys);
    }
}

/* --- sealing --- */

static bool encrypt(EVP_CIPHER_CTX *cipher, const struct seal_key *key, struct slice owner, struct slice plain,
                    unsigned char *sealed)
{
    int length;
    unsigned char *nonce = sealed + 1, *text = sealed + HEAD_BYTES, *tag = text + plain.length;
    sealed[0] = key->number;
    return RAND_bytes(nonce, NONCE_BYTES) == 1 &&
           EVP_EncryptInit_ex(cipher, EVP_aes_256_gcm(), NULL, key->bytes, nonce) == 1 &&
           EVP_EncryptUpdate(cipher, NULL, &length, (const unsigned char *)owner.data, (int)owner.length) == 1 &&
           EVP_EncryptUpdate(cipher, text, &length, (const unsigned char *)plain.data, (int)plain.length) == 1 &&
           EVP_EncryptFinal_ex(cipher, tag, &length) == 1 &&
           EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_GCM_GET_TAG, TAG_BYTES, tag) == 1;
}

bool seal_close(const struct seal_keys *keys, struct slice owner, struct slice plain, struct buffer *out)
{
    unsigned char sealed[SEALED_MAX_BYTES], text[TEXT_MAX_BYTES + 1];
    if (plain.length > SEAL_PLAIN_MAX_BYTES) {
        return false;
    }
    EVP_CIPHER_CTX *cipher = EVP_CIPHER_CTX_new();
    bool good = cipher != NULL && encrypt(cipher, &keys->rows[0], owner, plain, sealed);
    EVP_CIPHER_CTX_free(cipher);
    if (good) {
        int length = EVP_EncodeBlock(text, sealed, (int)(HEAD_BYTES + plain.length + TAG_BYTES));
        buffer_append(out, text, (size_t)length);
    }
    return good && !out->failed;
}

static bool decrypt(EVP_CIPHER_CTX *cipher, const struct seal_key *key, struct slice owner, unsigned char *sealed,
                    int text_length, unsigned char *out)
{
    int length;
    unsigned char *nonce = sealed + 1, *text = sealed + HEAD_BYTES, *tag = text + text_length;
    return EVP_DecryptInit_ex(cipher, EVP_aes_256_gcm(), NULL, key->bytes, nonce) == 1 &&
           EVP_DecryptUpdate(cipher, NULL, &length, (const unsigned char *)owner.data, (int)owner.length) == 1 &&
           EVP_DecryptUpdate(cipher, out, &length, text, text_length) == 1 &&
           EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_GCM_SET_TAG, TAG_BYTES, tag) == 1 &&
           EVP_DecryptFinal_ex(cipher, out + text_length, &length) == 1;
}

bool seal_open(const struct seal_keys *keys, struct slice owner, struct slice text, unsigned char *out,
               size_t *ret_length, bool *ret_is_old)
{
    unsigned char sealed[SEALED_MAX_BYTES + 4];
    int length = decode(text, sealed, sizeof sealed) - HEAD_BYTES - TAG_BYTES;
    if (length < 0 || length > SEAL_PLAIN_MAX_BYTES) {
        return false;
    }
    const struct seal_key *key = find_key(keys, sealed[0]);
    EVP_CIPHER_CTX *cipher = key != NULL && sealed[0] != 0 ? EVP_CIPHER_CTX_new() : NULL;
    bool good = cipher != NULL && decrypt(cipher, key, owner, sealed, length, out);
    EVP_CIPHER_CTX_free(cipher);
    if (!good) {
        OPENSSL_cleanse(out, (size_t)length);
        return false;
    }
    *ret_length = (size_t)length;
    if (ret_is_old != NULL) {
        *ret_is_old = key != &keys->rows[0];
    }
    return true;
}
