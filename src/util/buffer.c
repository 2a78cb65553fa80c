/* A growing run of bytes. It doubles, never past its cap, and a failure sticks: whatever is appended after it is
 * dropped, so that nobody sends half a text by mistake. */
#include "util/buffer.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MIN_CAPACITY = 64 };

void buffer_dispose(struct buffer *buffer)
{
    free(buffer->data);
    *buffer = buffer_init(buffer->max_bytes);
}

static bool grow(struct buffer *buffer, size_t needed)
{
    size_t capacity = buffer->capacity > MIN_CAPACITY ? buffer->capacity : MIN_CAPACITY;
    while (capacity < needed && capacity <= buffer->max_bytes / 2) {
        capacity *= 2;
    }
    if (capacity < needed || capacity > buffer->max_bytes) {
        capacity = buffer->max_bytes;
    }
    char *data = realloc(buffer->data, capacity);
    if (data == NULL) {
        return false;
    }
    buffer->data = data;
    buffer->capacity = capacity;
    return true;
}

char *buffer_reserve(struct buffer *buffer, size_t length)
{
    if (buffer->failed) {
        return NULL;
    }
    if (length > buffer->capacity - buffer->length || buffer->data == NULL) {
        if (length > buffer->max_bytes - buffer->length || buffer->max_bytes == 0 ||
            !grow(buffer, buffer->length + length)) {
            buffer->failed = true;
            return NULL;
        }
    }
    return buffer->data + buffer->length;
}

void buffer_printf(struct buffer *buffer, const char *format, ...)
{
    /* the terminator that vsnprintf writes needs no room of its own here: short texts go by way of the stack */
    char small[256];
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    int length = vsnprintf(small, sizeof small, format, arguments);
    va_end(arguments);
    if (length < 0) {
        buffer->failed = true;
    } else if ((size_t)length < sizeof small) {
        buffer_append(buffer, small, (size_t)length);
    } else {
        char *large = malloc((size_t)length + 1);
        if (large != NULL) {
            vsnprintf(large, (size_t)length + 1, format, again);
            buffer_append(buffer, large, (size_t)length);
            free(large);
        } else {
            buffer->failed = true;
        }
    }
    va_end(again);
}

void buffer_consume(struct buffer *buffer, size_t length)
{
    assert(length <= buffer->length);
    buffer->length -= length;
    if (length > 0 && buffer->length > 0) {
        memmove(buffer->data, buffer->data + length, buffer->length);
    }
}
