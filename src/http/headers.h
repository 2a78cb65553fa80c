/* What stands in the head of a request, taken apart: pure functions over bytes that anybody may have sent. Private to
 * http. */
#ifndef STONECHAT_HTTP_HEADERS_H
#define STONECHAT_HTTP_HEADERS_H

#include <stdbool.h>

#include "util/slice.h"

/* Does the comma-separated list hold the word, in any case? Parameters behind a ';' don't count. */
bool headers_list_holds(struct slice list, const char *word);

/* application/json, with parameters or without. */
bool headers_is_json(struct slice content_type);

/* Is this X-Request-Id fit for the log and for the reply: at most `max_length` letters, digits and -_.:+/= ? */
bool headers_is_request_id(struct slice id, size_t max_length);

/* Percent-decodes the first parameter `name` of the query into `out` (terminated; '+' is a space). False when it is
 * missing, too long for `size`, or broken: a bad escape, or a NUL. Then nothing is to be read in `out`. */
bool headers_query_parameter(struct slice query, const char *name, char *out, size_t size);

/* Does the head of an HTTP/1 request, from its first line on, leave no doubt where the request ends and whom it is for:
 * at most one Content-Length or Transfer-Encoding, and one Host, which HTTP/1.0 may leave out? Others may read a head
 * that does differently, and take the rest for another request. */
bool headers_are_unambiguous(struct slice head, bool needs_host);

#endif
