/* Percent-encoding (RFC 3986, section 2.1), undone. */
#ifndef STONECHAT_UTIL_PERCENT_H
#define STONECHAT_UTIL_PERCENT_H

#include "util/slice.h"

/* Decodes into `out`, which has `size` bytes, one of them for a terminator; in a query, '+' stands for a blank. False
 * when it does not fit, for a bad escape, and for a NUL. */
bool percent_decode(struct slice text, bool is_query, char *out, size_t size, struct slice *ret_decoded);

#endif
