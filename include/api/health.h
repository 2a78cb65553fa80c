/* How the server is, for orchestrators and for Prometheus. */
#ifndef STONECHAT_API_HEALTH_H
#define STONECHAT_API_HEALTH_H

#include "http/site.h"

/* /health, /health/live and /health/ready; ends with a row whose path is NULL. */
extern const struct http_mount health_mounts[];

/* /metrics, the same way. */
extern const struct http_mount metrics_mounts[];

#endif
