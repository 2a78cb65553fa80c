/* What every reply carries. Private to http. */
#ifndef STONECHAT_HTTP_HANDLER_H
#define STONECHAT_HTTP_HANDLER_H

#include "request.h"

/* Security headers, and CORS for origins that are allowed. */
void handler_add_headers(struct http_request *request);

#endif
