/* An exchange that came as an HTTP request. */
#ifndef STONECHAT_HTTP_HTTP_EXCHANGE_H
#define STONECHAT_HTTP_HTTP_EXCHANGE_H

#include "request.h"

/* Checks the token, reads the input, and calls the route's handler, or answers what is wrong. */
void http_exchange_run(struct http_request *request, const struct operation *operation);

#endif
