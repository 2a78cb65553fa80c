/* An exchange that came as an HTTP request. */
#ifndef STONECHAT_HTTP_HTTP_EXCHANGE_H
#define STONECHAT_HTTP_HTTP_EXCHANGE_H

#include "request.h"

/* Checks the token, reads the input, and calls the route's handler, or answers what is wrong. `part` is what stands in
 * the place of the path's ":name", if it has one. */
void http_exchange_run(struct http_request *request, const struct operation *operation, struct slice part);

/* The content type of JSON bodies. */
#define HTTP_EXCHANGE_TYPE "application/json; charset=utf-8"

/* A failure's body; `errors` are members of a JSON array. The caller disposes it; `failed` without memory. */
struct buffer http_exchange_failure(const struct http_request *request, enum status status, const char *message,
                                    struct slice errors);

#endif
