/* UTF-8 as Unicode defines it: no overlong forms, no surrogates, nothing past U+10FFFF. */
#ifndef STONECHAT_UTIL_UTF8_H
#define STONECHAT_UTIL_UTF8_H

#include <stdbool.h>
#include <stddef.h>

#include "util/slice.h"

/* The bytes (1 to 4) of the well-formed character that `text` begins with; 0 when it begins with none. */
size_t utf8_character(struct slice text);

/* True when all of `text` is well-formed. */
bool utf8_is_valid(struct slice text);

/* The code points in well-formed `text`. */
size_t utf8_count(struct slice text);

/* The longest beginning of well-formed `text` that has at most `max_bytes` bytes and ends between characters. */
struct slice utf8_cut(struct slice text, size_t max_bytes);

#endif
