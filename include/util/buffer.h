/* A growing run of bytes with a cap from birth. Appending past the cap, or without memory, sets `failed` and appends
 * nothing more, so that a writer checks once, at the end. */
#ifndef STONECHAT_UTIL_BUFFER_H
#define STONECHAT_UTIL_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "util/slice.h"

struct buffer {
    char *data; /* owned; not terminated */
    size_t length, capacity, max_bytes;
    bool failed;
};

/* An empty buffer that allocates on first use. */
static inline struct buffer buffer_init(size_t max_bytes)
{
    return (struct buffer){.max_bytes = max_bytes};
}

/* Frees the bytes; the buffer is empty again and usable. */
void buffer_dispose(struct buffer *buffer);

/* Room for `length` more bytes at the end, or NULL (then `failed` is set). The caller writes and adds to `length`. */
char *buffer_reserve(struct buffer *buffer, size_t length);

/* These stand here so that what is known at compile time (a literal's length) costs nothing at run time. */
static inline void buffer_append(struct buffer *buffer, const void *data, size_t length)
{
    if (length == 0) {
        return;
    }
    bool has_room = !buffer->failed && length <= buffer->capacity - buffer->length;
    char *end = has_room ? buffer->data + buffer->length : buffer_reserve(buffer, length);
    if (end != NULL) {
        memcpy(end, data, length);
        buffer->length += length;
    }
}

static inline void buffer_append_slice(struct buffer *buffer, struct slice slice)
{
    buffer_append(buffer, slice.data, slice.length);
}

static inline void buffer_append_char(struct buffer *buffer, char c)
{
    buffer_append(buffer, &c, 1);
}

static inline void buffer_append_text(struct buffer *buffer, const char *text)
{
    buffer_append(buffer, text, strlen(text));
}

void buffer_printf(struct buffer *buffer, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Removes `length` bytes from the front. */
void buffer_consume(struct buffer *buffer, size_t length);

static inline struct slice buffer_slice(const struct buffer *buffer)
{
    return (struct slice){buffer->data, buffer->length};
}

#endif
