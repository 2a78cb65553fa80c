#include "api/health.h"

#include <time.h>

#include "service/services.h"
#include "util/json.h"
#include "util/metrics.h"

enum { HEALTH_MAX_BYTES = 4096, METRICS_MAX_BYTES = 4 << 20 };

static void reply(struct http_request *request, int http_status, const char *content_type, struct buffer *body)
{
    http_request_add_header(request, "cache-control", SLICE("no-store"));
    if (body->failed) {
        http_request_refuse(request, STATUS_UNAVAILABLE, status_message(STATUS_UNAVAILABLE));
    } else {
        http_request_reply(request, http_status, content_type, buffer_slice(body));
    }
    buffer_dispose(body);
}

static const char JSON[] = "application/json; charset=utf-8";

/* What existing front ends ask for. */
static void handle_health(struct http_request *request, struct http_worker *worker)
{
    (void)worker;
    if (!http_request_allow(request, "GET, HEAD")) {
        return;
    }
    struct buffer body = buffer_init(HEALTH_MAX_BYTES);
    buffer_append_text(&body, "{\"status\":\"ok\",\"date\":");
    json_time(&body, (int64_t)time(NULL) * 1000000);
    buffer_append_char(&body, '}');
    reply(request, 200, JSON, &body);
}

/* The process works: a restart would not help. */
static void handle_live(struct http_request *request, struct http_worker *worker)
{
    (void)worker;
    if (http_request_allow(request, "GET, HEAD")) {
        struct buffer body = buffer_init(HEALTH_MAX_BYTES);
        buffer_append_text(&body, "{\"status\":\"ok\"}");
        reply(request, 200, JSON, &body);
    }
}

/* Requests can be served: each thing that this takes has a name. */
static void handle_ready(struct http_request *request, struct http_worker *worker)
{
    if (!http_request_allow(request, "GET, HEAD")) {
        return;
    }
    struct readiness found = services_readiness(worker->context);
    const struct {
        const char *name, *trouble;
        bool is_good;
    } checks[] = {
        {"database", "unavailable", found.has_database},
        {"schema", "outdated", found.has_schema},
        {"bus", "unavailable", found.has_bus},
        {"logins", "unavailable", found.has_logins},
    };
    bool is_ready = !worker->is_draining;
    struct buffer list = buffer_init(HEALTH_MAX_BYTES), body = buffer_init(HEALTH_MAX_BYTES);
    for (size_t i = 0; i < sizeof checks / sizeof checks[0]; i++) {
        is_ready = is_ready && checks[i].is_good;
        buffer_printf(&list, "\"%s\":\"%s\",", checks[i].name, checks[i].is_good ? "ok" : checks[i].trouble);
    }
    buffer_printf(&body, "{\"status\":\"%s\",\"checks\":{%.*s\"draining\":%s}}", is_ready ? "ok" : "unavailable",
                  (int)list.length, list.data, worker->is_draining ? "true" : "false");
    buffer_dispose(&list);
    reply(request, is_ready ? 200 : 503, JSON, &body);
}

static void handle_metrics(struct http_request *request, struct http_worker *worker)
{
    (void)worker;
    if (http_request_allow(request, "GET, HEAD")) {
        struct buffer body = buffer_init(METRICS_MAX_BYTES);
        metrics_write(&body);
        reply(request, 200, "text/plain; version=0.0.4; charset=utf-8", &body);
    }
}

static enum rate_rule not_limited(const struct http_request *request)
{
    (void)request;
    return RATE_NONE;
}

const struct http_mount health_mounts[] = {
    {"/health", handle_health, not_limited},
    {"/health/live", handle_live, not_limited},
    {"/health/ready", handle_ready, not_limited},
    {0},
};

const struct http_mount metrics_mounts[] = {
    {"/metrics", handle_metrics, not_limited},
    {0},
};
