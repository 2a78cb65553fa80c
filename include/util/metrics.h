/* Counters and gauges of the process, from one table, as Prometheus reads them.
 * https://prometheus.io/docs/instrumenting/exposition_formats/ */
#ifndef STONECHAT_UTIL_METRICS_H
#define STONECHAT_UTIL_METRICS_H

#include <stdint.h>

#include "util/buffer.h"

/* X(name, metric, labels, type, help): rows of one metric stand together, and only its first one has the help. */
#define METRIC_MAP(X)                                                                                                  \
    X(REQUESTS_1XX, "stonechat_http_requests_total", "{status=\"1xx\"}", "counter",                                    \
      "HTTP requests that were answered")                                                                              \
    X(REQUESTS_2XX, "stonechat_http_requests_total", "{status=\"2xx\"}", "counter", NULL)                              \
    X(REQUESTS_3XX, "stonechat_http_requests_total", "{status=\"3xx\"}", "counter", NULL)                              \
    X(REQUESTS_4XX, "stonechat_http_requests_total", "{status=\"4xx\"}", "counter", NULL)                              \
    X(REQUESTS_5XX, "stonechat_http_requests_total", "{status=\"5xx\"}", "counter", NULL)                              \
    X(SESSIONS, "stonechat_sessions", "", "gauge", "Devices that are connected")                                       \
    X(EVENTS_RECEIVED, "stonechat_events_received_total", "", "counter", "Socket events that clients sent")            \
    X(RATE_LIMITED, "stonechat_rate_limited_total", "", "counter", "Requests and events that came too often")          \
    X(EVENTS_PUBLISHED, "stonechat_events_published_total", "", "counter", "Events that left for somebody's devices")  \
    X(DB_CALLS, "stonechat_db_calls_total", "", "counter", "Calls of statements that the database has answered")       \
    X(DB_GROUPS, "stonechat_db_groups_total", "", "counter", "Groups in which they went to the database")

enum metric {
#define X(name, metric, labels, type, help) METRIC_##name,
    METRIC_MAP(X)
#undef X
        METRIC_COUNT
};

/* Adds to a metric; `amount` is negative only for gauges. Any thread. */
void metrics_add(enum metric metric, int64_t amount);

/* Appends all of them as text. Any thread. */
void metrics_write(struct buffer *out);

#endif
