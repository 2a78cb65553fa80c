#include "request.h"

#include <assert.h>
#include <stdlib.h>

#include "connection.h"
#include "headers.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/metrics.h"
#include "util/uuid.h"

/* libh2o frees its request when the client leaves or all was sent; a block in the request's pool tells us. Ours lives
 * on for as long as somebody holds a reference. */

struct tether {
    struct http_request *request;
};

static const char OTHER_ROUTE[] = "other", RETRY_AFTER_S[] = "2";

static void log_request(const struct http_request *request, int http_status, int64_t duration_us)
{
    const h2o_req_t *raw = request->raw;
    char user[UUID_TEXT_LENGTH];
    uuid_format(request->user_id, user);
    struct slice path = {raw->path_normalized.base, raw->path_normalized.len};
    /* a field without a name is behind the last one */
    bool is_traced = request->log.trace_id[0] != '\0';
    log_write(LOG_INFO, "request", LOG_SLICE("method", ((struct slice){raw->method.base, raw->method.len})),
              LOG_SLICE("path", path), LOG_INT("status", http_status), LOG_INT("bytes", (int64_t)raw->bytes_sent),
              LOG_REAL("ms", (double)duration_us / 1e3), LOG_STR("address", request->client.text),
              LOG_SLICE("user", ((struct slice){user, request->has_user ? sizeof user : 0})),
              LOG_STR(is_traced ? "spanId" : NULL, request->trace.span_id),
              LOG_STR("parentId", request->trace.parent_id));
}

/* libh2o's request is gone. */
static void forget(struct http_request *request)
{
    struct http_connection *connection = http_connection_of(request->raw);
    loop_timer_stop(request->worker->loop, &request->watch_timer);
    if (request->streaming != NULL) {
        http_request_hold(request, 0); /* not all of it has left */
    }
    http_request_forget_sending(request);
    if (connection != NULL && connection->request == request) {
        connection->request = NULL;
    }
    if (connection != NULL && request->raw->version >= 0x200 && !request->is_replied) {
        http_connection_count_reset(connection, loop_now_ms(request->worker->loop));
    }
    request->raw = NULL;
}

static void on_dispose(void *block)
{
    struct http_request *request = ((struct tether *)block)->request;
    const struct log_context *before = log_enter(&request->log);
    int http_status = request->is_replied ? request->raw->res.status : HTTP_CLIENT_LEFT;
    int64_t duration_us = clock_now_us() - request->started_us;
    metrics_count_answer(METRICS_REQUEST, request->route_method, request->route_name, http_status, duration_us);
    if (log_enabled(LOG_INFO)) {
        log_request(request, http_status, duration_us);
    }
    forget(request);
    if (request->streaming != NULL) {
        http_streaming_forget(request->streaming);
    }
    if (!request->is_replied && request->on_leave != NULL) {
        void (*on_leave)(void *) = request->on_leave;
        request->on_leave = NULL;
        on_leave(request->on_leave_data);
    }
    log_leave(before);
    http_request_unref(request);
}

static void choose_id(struct http_request *request)
{
    struct slice sent = http_request_header(request, "x-request-id");
    char *id = request->log.request_id;
    if (headers_is_request_id(sent, LOG_REQUEST_ID_MAX_LENGTH)) {
        memcpy(id, sent.data, sent.length);
        id[sent.length] = '\0';
    } else {
        uuid_format(uuid_generate(), id);
        id[UUID_TEXT_LENGTH] = '\0';
    }
    http_request_add_header(request, "x-request-id", slice_of(id));
}

/* Somebody before us may be tracing. */
static void find_trace(struct http_request *request)
{
    if (trace_context_read(http_request_header(request, "traceparent"), &request->trace)) {
        memcpy(request->log.trace_id, request->trace.trace_id, sizeof request->log.trace_id);
    }
}

/* What the trusted proxies say, from the last header to the first. */
static void ask_proxies(const struct http_request *request, struct ip_address *address)
{
    const h2o_headers_t *headers = &request->raw->headers;
    const struct ip_networks *trusted = &request->worker->site->trust_proxy;
    for (size_t i = headers->size; i > 0 && trusted->count > 0; i--) {
        const h2o_header_t *header = &headers->entries[i - 1];
        struct slice value = {header->value.base, header->value.len};
        if (header->name == &H2O_TOKEN_X_FORWARDED_FOR->buf && !client_address_walk(trusted, value, address)) {
            return;
        }
    }
}

static void find_client(struct http_request *request)
{
    struct http_client *client = &request->client;
    struct sockaddr_storage peer;
    socklen_t length = request->raw->conn->callbacks->get_peername(request->raw->conn, (struct sockaddr *)&peer);
    if (length > 0 && ip_address_of_socket((struct sockaddr *)&peer, &client->address)) {
        ask_proxies(request, &client->address);
        client->key = ip_address_limit_key(&client->address);
        ip_address_format(&client->address, client->text);
    }
}

struct http_request *http_request_create(h2o_req_t *raw, struct http_worker *worker)
{
    struct http_request *request = h2o_mem_alloc(sizeof *request);
    memset(request, 0, sizeof *request);
    request->references = 2; /* the caller's and the tether's */
    request->raw = raw;
    request->worker = worker;
    request->started_us = clock_now_us();
    request->route_method = request->route_name = OTHER_ROUTE;
    struct tether *tether = h2o_mem_alloc_shared(&raw->pool, sizeof *tether, on_dispose);
    tether->request = request;
    struct http_connection *connection = http_connection_of(raw);
    if (connection != NULL) {
        http_guard_claim(connection, raw);
        connection->request = connection->is_http2 ? NULL : request;
    }
    find_client(request);
    choose_id(request);
    find_trace(request);
    return request;
}

struct http_request *http_request_ref(struct http_request *request)
{
    request->references++;
    return request;
}

void http_request_unref(struct http_request *request)
{
    if (request != NULL && --request->references == 0) {
        free(request);
    }
}

struct loop *http_request_loop(const struct http_request *request)
{
    return request->worker->loop;
}

struct slice http_request_method(const struct http_request *request)
{
    return (struct slice){request->raw->method.base, request->raw->method.len};
}

struct slice http_request_path(const struct http_request *request)
{
    return (struct slice){request->raw->path_normalized.base, request->raw->path_normalized.len};
}

struct slice http_request_query(const struct http_request *request)
{
    const h2o_req_t *raw = request->raw;
    if (raw->query_at == SIZE_MAX) {
        return (struct slice){NULL, 0};
    }
    return (struct slice){raw->path.base + raw->query_at + 1, raw->path.len - raw->query_at - 1};
}

struct slice http_request_body(const struct http_request *request)
{
    return (struct slice){request->raw->entity.base, request->raw->entity.len};
}

struct slice http_request_header(const struct http_request *request, const char *name)
{
    if (request->raw == NULL) {
        return (struct slice){NULL, 0};
    }
    const h2o_headers_t *headers = &request->raw->headers;
    size_t length = strlen(name);
    const h2o_token_t *token = h2o_lookup_token(name, length);
    ssize_t at = token != NULL ? h2o_find_header(headers, token, SIZE_MAX)
                               : h2o_find_header_by_str(headers, name, length, SIZE_MAX);
    if (at < 0) {
        return (struct slice){NULL, 0};
    }
    return (struct slice){headers->entries[at].value.base, headers->entries[at].value.len};
}

struct slice http_request_host(const struct http_request *request)
{
    if (request->raw == NULL) {
        return (struct slice){NULL, 0};
    }
    return (struct slice){request->raw->authority.base, request->raw->authority.len};
}

const char *http_request_address(const struct http_request *request)
{
    return request->client.text;
}

const struct http_client *http_request_client(const struct http_request *request)
{
    return &request->client;
}

const char *http_request_id(const struct http_request *request)
{
    return request->log.request_id;
}

bool http_request_query_parameter(const struct http_request *request, const char *name, char *out, size_t size)
{
    return headers_query_parameter(http_request_query(request), name, out, size);
}

void http_request_add_header(struct http_request *request, const char *name, struct slice value)
{
    h2o_req_t *raw = request->raw;
    if (raw == NULL || request->is_replied) {
        return;
    }
    h2o_iovec_t copy = h2o_strdup(&raw->pool, value.data, value.length);
    h2o_add_header_by_str(&raw->pool, &raw->res.headers, name, strlen(name), 1, NULL, copy.base, copy.len);
}

void http_request_set_header(struct http_request *request, const char *name, struct slice value)
{
    h2o_req_t *raw = request->raw;
    if (raw == NULL || request->is_replied) {
        return;
    }
    h2o_iovec_t copy = h2o_strdup(&raw->pool, value.data, value.length);
    h2o_set_header_by_str(&raw->pool, &raw->res.headers, name, strlen(name), 1, copy.base, copy.len, 1);
}

bool http_request_is_done(const struct http_request *request)
{
    return request->raw == NULL || request->is_replied;
}

static const struct {
    int http_status;
    const char *reason;
} REASONS[] = {
    {200, "OK"},
    {201, "Created"},
    {204, "No Content"},
    {304, "Not Modified"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {409, "Conflict"},
    {413, "Payload Too Large"},
    {414, "URI Too Long"},
    {415, "Unsupported Media Type"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {503, "Service Unavailable"},
};

static const char *reason_of(int http_status)
{
    for (size_t i = 0; i < sizeof REASONS / sizeof REASONS[0]; i++) {
        if (REASONS[i].http_status == http_status) {
            return REASONS[i].reason;
        }
    }
    return http_status < 500 ? "Error" : "Internal Server Error";
}

void http_request_forget_sending(struct http_request *request)
{
    if (request->sending_link == NULL) {
        return;
    }
    *request->sending_link = request->next_sending;
    if (request->next_sending != NULL) {
        request->next_sending->sending_link = request->sending_link;
    } else {
        http_connection_of(request->raw)->connections->sending_tail = request->sending_link;
    }
    request->sending_link = NULL;
    http_guard_count_sending(http_connection_of(request->raw), -(ptrdiff_t)request->sending_bytes);
}

void http_request_remember_sending(struct http_request *request, size_t bytes)
{
    struct http_connection *connection = http_connection_of(request->raw);
    if (connection == NULL) {
        return;
    }
    request->replied_at_ms = loop_now_ms(request->worker->loop);
    request->next_sending = NULL;
    request->sending_link = connection->connections->sending_tail;
    *request->sending_link = request;
    connection->connections->sending_tail = &request->next_sending;
    request->sending_bytes = bytes;
    http_guard_count_sending(connection, (ptrdiff_t)bytes);
}

/* The parts in one piece of the request's memory. */
static h2o_iovec_t join(h2o_req_t *raw, const struct slice *parts, int count)
{
    h2o_iovec_t joined = {NULL, 0};
    for (int i = 0; i < count; i++) {
        joined.len += parts[i].length;
    }
    joined.base = joined.len > 0 ? h2o_mem_alloc_pool(&raw->pool, joined.len) : NULL;
    char *at = joined.base;
    for (int i = 0; i < count; i++) {
        if (parts[i].length > 0) {
            memcpy(at, parts[i].data, parts[i].length);
            at += parts[i].length;
        }
    }
    return joined;
}

void http_request_reply_parts(struct http_request *request, int http_status, const char *content_type,
                              const struct slice *parts, int count)
{
    static h2o_generator_t generator;
    h2o_req_t *raw = request->raw;
    assert(!request->is_replied || request->is_over);
    if (raw == NULL || request->is_over) {
        return;
    }
    http_request_stop_watching(request);
    if (http_status == 503) {
        http_request_add_header(request, "retry-after", slice_of(RETRY_AFTER_S));
    }
    bool has_body = http_status != 204 && http_status != 304;
    h2o_iovec_t body = has_body ? join(raw, parts, count) : h2o_iovec_init(NULL, 0);
    http_request_remember_sending(request, body.len);
    request->is_replied = true;
    raw->res.status = http_status;
    raw->res.reason = reason_of(http_status);
    raw->res.content_length = has_body ? body.len : SIZE_MAX;
    if (content_type != NULL) {
        h2o_add_header(&raw->pool, &raw->res.headers, H2O_TOKEN_CONTENT_TYPE, NULL, content_type, strlen(content_type));
    }
    bool is_head = raw->method.len == 4 && memcmp(raw->method.base, "HEAD", 4) == 0;
    h2o_start_response(raw, &generator);
    h2o_send(raw, &body, body.len > 0 && !is_head ? 1 : 0, H2O_SEND_STATE_FINAL);
}

void http_request_reply(struct http_request *request, int http_status, const char *content_type, struct slice body)
{
    http_request_reply_parts(request, http_status, content_type, &body, 1);
}

bool http_request_take(struct http_request *request, enum rate_rule rule, const struct rate_key *key)
{
    struct rate_verdict verdict = rate_limiter_take(&request->worker->limiter, rule, key);
    bool is_tighter = request->rate.limit == 0 || verdict.remaining < request->rate.remaining || !verdict.is_allowed;
    if (verdict.limit > 0 && is_tighter) {
        request->rate = verdict;
    }
    return verdict.is_allowed;
}

void http_request_cut(struct http_request *request)
{
    if (!request->is_replied) {
        request->raw->http1_is_persistent = 0;
        http_request_refuse(request, STATUS_UNAVAILABLE, status_message(STATUS_UNAVAILABLE));
        request->is_over = true;
    }
}
