/* Numbers in decimal digits, without a sign. */
#ifndef STONECHAT_UTIL_DIGITS_H
#define STONECHAT_UTIL_DIGITS_H

#include <stdint.h>

#include "util/slice.h"

enum { DIGITS_MAX = 18 }; /* so many fit, whatever they are */

static inline bool digits_hold(char c)
{
    return c >= '0' && c <= '9';
}

/* Takes all digits off the front. False, and nothing is taken, when there are none, or more than `max_digits`. */
bool digits_take(struct slice *rest, size_t max_digits, int64_t *ret_number);

/* Reads what has nothing but digits, 1 to `max_digits`. */
bool digits_read(struct slice text, size_t max_digits, int64_t *ret_number);

#endif
