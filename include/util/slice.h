/* A run of bytes that somebody else owns: not terminated, may hold NUL. */
#ifndef STONECHAT_UTIL_SLICE_H
#define STONECHAT_UTIL_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct slice {
    const char *data;
    size_t length;
};

#define SLICE(literal) ((struct slice){(literal), sizeof(literal) - 1})

static inline struct slice slice_of(const char *text)
{
    return (struct slice){text, text != NULL ? strlen(text) : 0};
}

static inline bool slice_equals(struct slice a, struct slice b)
{
    return a.length == b.length && (a.length == 0 || memcmp(a.data, b.data, a.length) == 0);
}

/* Takes what stands before the next `separator` off the front, and the separator too; without one, all. */
struct slice slice_take_until(struct slice *rest, char separator);

/* Without the blanks and tabs at its ends. */
struct slice slice_trim(struct slice text);

#endif
