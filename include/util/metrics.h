/* Counters, gauges and histograms of the process, from tables, as Prometheus reads them.
 * https://prometheus.io/docs/instrumenting/exposition_formats/ */
#ifndef STONECHAT_UTIL_METRICS_H
#define STONECHAT_UTIL_METRICS_H

#include <stdint.h>

#include "util/buffer.h"
#include "util/rate_limits.h"

/* The version that runs: a gauge that is always 1. */
#define METRIC_BUILD_INFO "stonechat_build_info"
#define METRIC_BUILD_INFO_HELP "The version that runs"

/* X(name, metric, labels, type, help): rows of one metric stand together, and have the same help. */
#define METRIC_MAP(X)                                                                                                  \
    X(CONNECTIONS, "stonechat_connections", "", "gauge", "Connections that are open")                                  \
    X(SESSIONS, "stonechat_sessions", "", "gauge", "Devices that are connected")                                       \
    X(SESSIONS_STARTED, "stonechat_sessions_started_total", "{how=\"new\"}", "counter",                                \
      "Sessions, and how they began")                                                                                  \
    X(SESSIONS_RESUMED, "stonechat_sessions_started_total", "{how=\"resumed\"}", "counter",                            \
      "Sessions, and how they began")                                                                                  \
    X(SESSIONS_RESET, "stonechat_sessions_started_total", "{how=\"reset\"}", "counter",                                \
      "Sessions, and how they began")                                                                                  \
    X(EVENTS_PUBLISHED, "stonechat_events_published_total", "", "counter", "Events that left for somebody's devices")  \
    X(SLOW_CONSUMERS, "stonechat_slow_consumers_total", "", "counter",                                                 \
      "Devices that were disconnected because they did not read")                                                      \
    X(EPHEMERAL_DROPPED, "stonechat_ephemeral_events_dropped_total", "", "counter",                                    \
      "Typing, presence and the like that were not sent to a device since it read slowly")                             \
    X(NODES_LOST, "stonechat_nodes_lost_total", "", "counter",                                                         \
      "Other nodes that have ended without being stopped, where this one has noticed it first")                        \
    X(DB_CONNECTIONS, "stonechat_db_connections", "", "gauge", "Connections to the database that work")                \
    X(DB_EXECUTING, "stonechat_db_executing", "", "gauge", "Groups of statements that are at the database")            \
    X(DB_WAITING, "stonechat_db_waiting", "", "gauge", "Calls of statements that wait for a connection")               \
    X(PASSWORDS_WAITING, "stonechat_passwords_waiting", "", "gauge", "Passwords that wait to be hashed")               \
    X(LOG_LINES_LOST, "stonechat_log_lines_lost_total", "", "counter", "Lines of the log that could not be written")   \
    X(TLS_EXPIRY, "stonechat_tls_certificate_expiry_timestamp_seconds", "", "gauge",                                   \
      "When the first certificate of TLS_CERT expires, in seconds since 1970")                                         \
    RATE_RULE_MAP(METRIC_OF_RATE_RULE)

/* A row for each rule, with the X of whoever uses the table. */
#define METRIC_OF_RATE_RULE(rule, name, by, tokens, period, what)                                                      \
    X(LIMITED_##rule, "stonechat_rate_limited_total", "{rule=\"" name "\"}", "counter",                                \
      "Requests and events that came too often")

enum metric {
#define X(name, metric, labels, type, help) METRIC_##name,
    METRIC_MAP(X)
#undef X
        METRIC_COUNT
};

/* Adds to a metric; `amount` is negative only for gauges. Any thread. */
void metrics_add(enum metric metric, int64_t amount);

/* Of a gauge. Any thread. */
void metrics_set(enum metric metric, int64_t value);

/* The metric that counts what the rule has refused. */
static inline enum metric metric_of_rate_rule(enum rate_rule rule)
{
    return (enum metric)(METRIC_LIMITED_REQUESTS + rule - RATE_REQUESTS);
}

/* X(name, metric, unit, help): what is counted in SECONDS is observed in microseconds. */
#define HISTOGRAM_MAP(X)                                                                                               \
    X(DB_CALL, "stonechat_db_call_duration_seconds", SECONDS, "From asking the database to its answer")                \
    X(DB_GROUP, "stonechat_db_group_size", PIECES, "Calls that went to the database together")                         \
    X(PASSWORD, "stonechat_password_duration_seconds", SECONDS, "From asking for a password's hash to having it")      \
    X(BUS_LAG, "stonechat_bus_lag_seconds", SECONDS, "From telling other nodes to hearing it back from PostgreSQL")

enum histogram {
#define X(name, metric, unit, help) HISTOGRAM_##name,
    HISTOGRAM_MAP(X)
#undef X
        HISTOGRAM_COUNT
};

/* Any thread. */
void metrics_observe(enum histogram histogram, int64_t value);

/* What clients ask for: by HTTP, or by an event of a socket. X(kind, labels beside the status, counter, its help,
 * histogram of durations, its help) */
#define ANSWER_MAP(X)                                                                                                  \
    X(METRICS_REQUEST, "`method`, `route`", "stonechat_http_requests_total", "HTTP requests that were answered",       \
      "stonechat_http_request_duration_seconds", "From a request's head to the end of its reply")                      \
    X(METRICS_EVENT, "`event`", "stonechat_socket_events_total",                                                       \
      "Socket events that clients sent, by what came of them", "stonechat_socket_event_duration_seconds",              \
      "From a socket event to its outcome")

enum metrics_kind {
#define X(kind, labels, total, total_help, duration, duration_help) kind,
    ANSWER_MAP(X)
#undef X
};

/* Counts an answer with the status of HTTP that it has, or would have. `method` and `name` must stay for ever: the same
 * pointers are the same series. Any thread. */
void metrics_count_answer(enum metrics_kind kind, const char *method, const char *name, int http_status,
                          int64_t duration_us);

/* Appends all of them as text. Any thread. */
void metrics_write(struct buffer *out);

#endif
