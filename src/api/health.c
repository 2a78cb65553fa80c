#include "api/health.h"

#include <time.h>

#include "service/services.h"
#include "util/json.h"
#include "util/metrics.h"
#include "util/version.h"

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

/* Requests can be served. */
static void handle_ready(struct http_request *request, struct http_worker *worker)
{
    const struct services *services = worker->context;
    if (!http_request_allow(request, "GET, HEAD")) {
        return;
    }
    bool is_ready = services_are_ready(services);
    const char *word = is_ready ? "ok" : "unavailable";
    struct buffer body = buffer_init(HEALTH_MAX_BYTES);
    buffer_printf(&body, "{\"status\":\"%s\",\"checks\":{\"database\":\"%s\"}}", word, word);
    reply(request, is_ready ? 200 : 503, JSON, &body);
}

static void handle_metrics(struct http_request *request, struct http_worker *worker)
{
    (void)worker;
    if (http_request_allow(request, "GET, HEAD")) {
        struct buffer body = buffer_init(METRICS_MAX_BYTES);
        buffer_append_text(&body,
                           "# HELP stonechat_build_info The version that runs\n# TYPE stonechat_build_info gauge\n"
                           "stonechat_build_info{version=\"" STONECHAT_VERSION "\"} 1\n");
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
    {"/metrics", handle_metrics, not_limited},
    {0},
};
