/* Any text as TOTP_KEYS, and as what those sealed. Keys that are taken open what they seal, and nothing of it that was
 * changed, not even in how it is written.
 *
 * The input: keys, then a newline; then pairs of a place and a byte to put there, or, behind a second newline, a text
 * to open. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "auth/seal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char KEYS[] =
    "2:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=,1:HxwdHhsaGRgXFhUUExIREA8ODQwLCgkIBwYFBAMCAQA=";

static bool opens(const struct seal_keys *keys, struct slice owner, struct slice text, struct slice *ret_plain)
{
    static unsigned char plain[SEAL_PLAIN_MAX_BYTES];
    size_t length;
    bool is_old;
    if (!seal_open(keys, owner, text, plain, &length, &is_old)) {
        return false;
    }
    assert(length <= sizeof plain);
    *ret_plain = (struct slice){(const char *)plain, length};
    return true;
}

/* What is sealed opens for its owner alone, and not when it was changed. */
static void check_keys(const struct seal_keys *keys, struct slice changes)
{
    struct slice secret = {changes.data, changes.length < SEAL_PLAIN_MAX_BYTES ? changes.length : SEAL_PLAIN_MAX_BYTES};
    struct slice opened;
    struct buffer sealed = buffer_init(1 << 14);
    assert(seal_close(keys, SLICE("alice"), secret, &sealed));
    assert(opens(keys, SLICE("alice"), buffer_slice(&sealed), &opened) && slice_equals(opened, secret));
    assert(!opens(keys, SLICE("bob"), buffer_slice(&sealed), &opened));
    struct buffer before = buffer_init(1 << 14);
    buffer_append_slice(&before, buffer_slice(&sealed));
    for (size_t i = 0; i + 1 < changes.length; i += 2) {
        sealed.data[(unsigned char)changes.data[i] % sealed.length] = changes.data[i + 1];
    }
    bool is_same = slice_equals(buffer_slice(&sealed), buffer_slice(&before));
    assert(opens(keys, SLICE("alice"), buffer_slice(&sealed), &opened) == is_same);
    buffer_dispose(&before);
    buffer_append(&sealed, "    ", 4);
    assert(!opens(keys, SLICE("alice"), buffer_slice(&sealed), &opened));
    memmove(sealed.data + 4, sealed.data, sealed.length - 4);
    memset(sealed.data, ' ', 4);
    assert(!opens(keys, SLICE("alice"), buffer_slice(&sealed), &opened));
    buffer_dispose(&sealed);
}

/* Takes what stands before the newline. */
static struct slice take_line(struct slice *text)
{
    const char *end = text->length > 0 ? memchr(text->data, '\n', text->length) : NULL;
    struct slice line = {text->data, end != NULL ? (size_t)(end - text->data) : text->length};
    size_t used = line.length + (end != NULL);
    *text = (struct slice){text->data + used, text->length - used};
    return line;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = {(const char *)data, size}, opened;
    struct seal_keys *known = seal_keys_create(SLICE(KEYS)), *keys = seal_keys_create(take_line(&text));
    struct slice changes = take_line(&text);
    check_keys(known, changes);
    if (keys != NULL) {
        check_keys(keys, changes);
        opens(keys, SLICE("alice"), text, &opened); /* libFuzzer learns sealed texts from comparisons */
    }
    opens(known, SLICE("alice"), text, &opened);
    seal_keys_destroy(known);
    seal_keys_destroy(keys);
    return 0;
}
