/* Walks over JSON without building anything: strict (RFC 8259), with a cap on nesting. The text must be UTF-8 already.
 */
#ifndef STONECHAT_REALTIME_JSON_SCAN_H
#define STONECHAT_REALTIME_JSON_SCAN_H

#include <stdbool.h>

#include "util/buffer.h"
#include "util/slice.h"

enum { JSON_DEPTH_MAX = 32, JSON_ANY_PLACEHOLDER = -1 };

struct json_scan {
    const char *at, *end;
    int placeholders; /* {"_placeholder":true,"num":n} must have n below this; JSON_ANY_PLACEHOLDER: it's plain data */
    int depth;        /* private */
};

static inline struct json_scan json_scan_init(struct slice text, int placeholders)
{
    return (struct json_scan){text.data, text.data + text.length, placeholders, 0};
}

/* Skips white space, then takes `c` if it is next. */
bool json_scan_take(struct json_scan *scan, char c);

/* Skips white space, then one value; gives its text. False when none is there. */
bool json_scan_value(struct json_scan *scan, struct slice *ret_value);

/* Only white space is left. */
bool json_scan_at_end(struct json_scan *scan);

/* The text is UTF-8 and one JSON value. */
bool json_scan_is_json(struct slice text);

/* The characters of a scanned string with quotes. Without escapes they are those of `text`, else they are put into
 * `out`. False for half a surrogate pair, or without memory. */
bool json_scan_decode_string(struct slice text, struct buffer *out, struct slice *ret_characters);

#endif
