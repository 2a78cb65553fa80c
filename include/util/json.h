/* Writing JSON into a buffer. Reading is util/fields.h (objects against a field table) and yajl. */
#ifndef STONECHAT_UTIL_JSON_H
#define STONECHAT_UTIL_JSON_H

#include <stdbool.h>
#include <stdint.h>

#include "util/buffer.h"
#include "util/uuid.h"

/* libjansson, which libjwt brings into the process, exports `json_string` and `json_integer`, and would call ours in
 * their place: the externals here are therefore named otherwise. */
void json_append_string(struct buffer *out, struct slice text);
void json_append_integer(struct buffer *out, int64_t value);

/* A quoted, escaped string. `text` must be UTF-8. */
static inline void json_string(struct buffer *out, struct slice text)
{
    json_append_string(out, text);
}

/* A quoted UUID. */
void json_uuid(struct buffer *out, struct uuid uuid);

/* A quoted RFC 3339 UTC time with milliseconds, from microseconds since 1970. Years are held within 0000 to 9999. */
void json_time(struct buffer *out, int64_t unix_us);

/* The same time without the quotes: 24 characters and no terminator. */
enum { JSON_TIME_LENGTH = 24 };
void json_time_format(int64_t unix_us, char out[JSON_TIME_LENGTH]);

static inline void json_integer(struct buffer *out, int64_t value)
{
    json_append_integer(out, value);
}

void json_boolean(struct buffer *out, bool value);

#endif
