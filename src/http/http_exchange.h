/* An exchange that came as an HTTP request. */
#ifndef STONECHAT_HTTP_HTTP_EXCHANGE_H
#define STONECHAT_HTTP_HTTP_EXCHANGE_H

#include "request.h"

/* Checks the token, reads the input, and calls the route's handler, or answers what is wrong. */
void http_exchange_run(struct http_request *request, const struct operation *operation);

/* A failure before there is an exchange (no such route, and the like). */
void http_exchange_refuse(struct http_request *request, enum status status, const char *message);

#endif
