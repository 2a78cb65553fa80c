/* Checking and counting UTF-8. Most text is ASCII, so that eight bytes at a time are looked at while it is. */
#include "util/utf8.h"

#include <stdint.h>
#include <string.h>

static inline bool is_continuation(unsigned char byte)
{
    return (byte & 0xc0) == 0x80;
}

size_t utf8_character(struct slice text)
{
    if (text.length == 0) {
        return 0;
    }
    const unsigned char *s = (const unsigned char *)text.data;
    if (s[0] < 0x80) {
        return 1;
    }
    /* the second byte's range is what keeps out overlong forms, surrogates and what lies past U+10FFFF */
    unsigned char low = 0x80, high = 0xbf;
    size_t length;
    if (s[0] >= 0xc2 && s[0] <= 0xdf) {
        length = 2;
    } else if ((s[0] & 0xf0) == 0xe0) {
        length = 3;
        low = s[0] == 0xe0 ? 0xa0 : low;
        high = s[0] == 0xed ? 0x9f : high;
    } else if (s[0] >= 0xf0 && s[0] <= 0xf4) {
        length = 4;
        low = s[0] == 0xf0 ? 0x90 : low;
        high = s[0] == 0xf4 ? 0x8f : high;
    } else {
        return 0;
    }
    if (text.length < length || s[1] < low || s[1] > high) {
        return 0;
    }
    for (size_t i = 2; i < length; i++) {
        if (!is_continuation(s[i])) {
            return 0;
        }
    }
    return length;
}

bool utf8_is_valid(struct slice text)
{
    size_t at = 0;
    while (at < text.length) {
        uint64_t word;
        if (text.length - at >= sizeof word) {
            memcpy(&word, text.data + at, sizeof word);
            if ((word & 0x8080808080808080ull) == 0) {
                at += sizeof word;
                continue;
            }
        }
        size_t length = utf8_character((struct slice){text.data + at, text.length - at});
        if (length == 0) {
            return false;
        }
        at += length;
    }
    return true;
}

size_t utf8_count(struct slice text)
{
    size_t count = 0;
    for (size_t i = 0; i < text.length; i++) {
        count += !is_continuation((unsigned char)text.data[i]);
    }
    return count;
}

struct slice utf8_cut(struct slice text, size_t max_bytes)
{
    if (text.length <= max_bytes) {
        return text;
    }
    size_t length = max_bytes;
    while (length > 0 && is_continuation((unsigned char)text.data[length])) {
        length--;
    }
    return (struct slice){text.data, length};
}
