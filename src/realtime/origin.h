/* From which pages browsers may open sockets: nothing else keeps another site's page from it. */
#ifndef STONECHAT_REALTIME_ORIGIN_H
#define STONECHAT_REALTIME_ORIGIN_H

#include <stdbool.h>

#include "http/request.h"

/* Is it a page of this very host? Without an Origin header it is no browser, and that is fine too. */
bool origin_is_own(const struct http_request *request);

#endif
