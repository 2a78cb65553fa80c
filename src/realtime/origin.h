/* From which pages browsers may open sockets: nothing else keeps another site's page from it. Pure. */
#ifndef STONECHAT_REALTIME_ORIGIN_H
#define STONECHAT_REALTIME_ORIGIN_H

#include <stdbool.h>

#include "util/slice.h"

/* Is the Origin of a request (RFC 6454, section 7) that of a page of the very host that it is for? Without one it is no
 * browser, and that is fine too. */
bool origin_is_own(struct slice origin, struct slice host);

#endif
