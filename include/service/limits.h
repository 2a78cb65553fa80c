/* Rate limits that all nodes count together, as far as Redis is there. */
#ifndef STONECHAT_SERVICE_LIMITS_H
#define STONECHAT_SERVICE_LIMITS_H

#include "service/services.h"
#include "util/rate_limits.h"

/* A rate_limiter's `share`; the context is the worker's services. Nobody waits for it: what other nodes have counted is
 * known a moment later, so at the most each node lets through what comes in that moment. */
void limits_share(void *context, enum rate_rule rule, const struct rate_key *key);

#endif
