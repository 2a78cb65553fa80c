#include "http_exchange.h"

#include <assert.h>
#include <stdlib.h>
#include <time.h>

#include "headers.h"
#include "util/json.h"
#include "util/log.h"

/* The envelope of replies by HTTP: {"success":true,"data":…} and {"success":false,"message":…,"code":…,"requestId":…}.
 */

enum { REPLY_MAX_BYTES = 64 << 20, IDEMPOTENCY_KEY_MAX_BYTES = 1024 };

struct http_exchange {
    struct exchange exchange;
    struct http_request *request;
    char idempotency_key[IDEMPOTENCY_KEY_MAX_BYTES + 1];
};

static void add_number(struct http_request *request, const char *name, int64_t number)
{
    char text[24];
    snprintf(text, sizeof text, "%lld", (long long)number);
    http_request_add_header(request, name, slice_of(text));
}

/* https://datatracker.ietf.org/doc/html/draft-ietf-httpapi-ratelimit-headers-06 */
static void add_rate_headers(struct http_request *request)
{
    const struct rate_verdict *rate = &request->rate;
    if (rate->limit == 0) {
        return;
    }
    add_number(request, "ratelimit-limit", rate->limit);
    add_number(request, "ratelimit-remaining", rate->remaining);
    add_number(request, "ratelimit-reset", rate->reset_s);
}

/* Takes no memory. An id has nothing to escape. */
static void send_last_resort(struct http_request *request)
{
    char text[128 + LOG_REQUEST_ID_MAX_LENGTH];
    int length =
        snprintf(text, sizeof text, "{\"success\":false,\"message\":\"%s\",\"code\":\"%s\",\"requestId\":\"%s\"}",
                 status_message(STATUS_INTERNAL), status_code(STATUS_INTERNAL), http_request_id(request));
    assert(length > 0 && (size_t)length < sizeof text);
    http_request_reply(request, status_http(STATUS_INTERNAL), HTTP_EXCHANGE_TYPE, (struct slice){text, (size_t)length});
}

static void send_json(struct http_request *request, int http_status, struct buffer *body)
{
    if (body->failed) { /* too long, or no memory */
        send_last_resort(request);
    } else {
        http_request_reply(request, http_status, HTTP_EXCHANGE_TYPE, buffer_slice(body));
    }
    buffer_dispose(body);
}

static void on_reply(struct exchange *exchange, enum status status, const char *name, struct slice json,
                     struct slice pagination)
{
    (void)name;
    bool is_page = pagination.length > 0;
    add_rate_headers(exchange->peer);
    const struct slice parts[] = {SLICE("{\"success\":true,\"data\":"), json,
                                  is_page ? SLICE(",\"pagination\":") : SLICE(""), pagination, SLICE("}")};
    http_request_reply_parts(exchange->peer, status_http(status), HTTP_EXCHANGE_TYPE, parts,
                             sizeof parts / sizeof parts[0]);
}

struct buffer http_exchange_failure(const struct http_request *request, enum status status, const char *message,
                                    struct slice errors)
{
    struct buffer body = buffer_init(REPLY_MAX_BYTES);
    buffer_append_text(&body, "{\"success\":false,\"message\":");
    json_string(&body, slice_of(message));
    buffer_printf(&body, ",\"code\":\"%s\",\"requestId\":", status_code(status));
    json_string(&body, slice_of(http_request_id(request)));
    if (status == STATUS_VALIDATION_ERROR) {
        buffer_append_text(&body, ",\"errors\":[");
        buffer_append_slice(&body, errors);
        buffer_append_char(&body, ']');
    }
    buffer_append_char(&body, '}');
    return body;
}

static void send_failure(struct http_request *request, enum status status, const char *message, struct slice errors)
{
    struct buffer body = http_exchange_failure(request, status, message, errors);
    if (status == STATUS_RATE_LIMITED) {
        add_number(request, "retry-after", request->rate.retry_s);
    }
    add_rate_headers(request);
    send_json(request, status_http(status), &body);
}

static void on_fail(struct exchange *exchange, enum status status, const char *message, struct slice errors)
{
    send_failure(exchange->peer, status, message, errors);
}

static void on_release(struct exchange *exchange)
{
    struct http_exchange *self = (struct http_exchange *)exchange;
    assert(exchange->is_answered);
    http_request_unref(self->request);
    free(self);
}

static const struct exchange_transport HTTP_TRANSPORT = {on_reply, on_fail, on_release};

void http_request_refuse(struct http_request *request, enum status status, const char *message)
{
    send_failure(request, status, message, (struct slice){NULL, 0});
}

void http_request_refuse_input(struct http_request *request, const struct field_values *input)
{
    enum status status = fields_status(input);
    send_failure(request, status, status_message(status), buffer_slice(&input->errors));
}

static bool authenticate(struct exchange *exchange, struct http_request *request)
{
    struct slice token = token_of_authorization(http_request_header(request, "authorization"));
    if (token.length == 0) {
        exchange_fail_because(exchange, STATUS_UNAUTHORIZED, "No token provided");
        return false;
    }
    enum status status = token_cache_verify(request->worker->tokens, token, time(NULL), &exchange->actor);
    if (status != STATUS_OK) {
        exchange_fail(exchange, status);
        return false;
    }
    request->has_user = true;
    request->user_id = exchange->actor.user_id;
    return true;
}

/* Who does too much is told so before his body is looked at. */
static bool is_within_limits(struct exchange *exchange, struct http_request *request)
{
    enum rate_rule rule = exchange->operation->rate;
    bool is_by_user = rate_rule_by(rule) == RATE_BY_USER;
    struct rate_key key = rate_key_of(is_by_user ? exchange->actor.user_id.bytes : request->client.key.bytes);
    if (http_request_take(request, rule, &key)) {
        return true;
    }
    exchange_fail(exchange, STATUS_RATE_LIMITED);
    return false;
}

/* The name of the part of the path that stands for many, empty for none. */
static struct slice part_name(const struct operation *operation)
{
    const char *colon = strchr(operation->name, ':');
    return colon != NULL ? (struct slice){colon + 1, strcspn(colon + 1, "/")} : (struct slice){NULL, 0};
}

static bool read_input(struct exchange *exchange, struct http_request *request, struct slice part)
{
    const struct operation *operation = exchange->operation;
    struct slice body = http_request_body(request);
    if (body.length > request->worker->site->max_body_bytes) {
        exchange_fail(exchange, STATUS_PAYLOAD_TOO_LARGE);
        return false;
    }
    bool is_query = strcmp(operation->method, "GET") == 0;
    if (!is_query && body.length > 0 && !headers_is_json(http_request_header(request, "content-type"))) {
        exchange_fail(exchange, STATUS_UNSUPPORTED_MEDIA_TYPE);
        return false;
    }
    if (operation->fields == NULL) {
        return true;
    }
    if (is_query) {
        fields_read_query(operation->fields, http_request_query(request), &exchange->input);
    } else {
        fields_read_json(operation->fields, body.length > 0 ? body : SLICE("{}"), &exchange->input);
    }
    if (part.length > 0) {
        fields_read_path(operation->fields, part_name(operation), part, &exchange->input);
    }
    return exchange_check_input(exchange);
}

static void read_idempotency_key(struct http_exchange *self)
{
    struct slice key = http_request_header(self->request, "idempotency-key");
    if (key.length > 0) {
        size_t kept = key.length < IDEMPOTENCY_KEY_MAX_BYTES ? key.length : IDEMPOTENCY_KEY_MAX_BYTES;
        memcpy(self->idempotency_key, key.data, kept);
        self->exchange.idempotency_key = self->idempotency_key;
    }
}

static void on_leave(void *data)
{
    ((struct exchange *)data)->peer = NULL;
}

/* Watching is cheaper than not watching: libh2o stops reading while it waits for a reply, and each stop and start is a
 * call of epoll_ctl. */
static void watch(struct exchange *exchange, struct http_request *request)
{
    if (!exchange->is_answered) {
        http_request_on_leave(request, on_leave, exchange);
    }
}

void http_exchange_run(struct http_request *request, const struct operation *operation, struct slice part)
{
    struct http_exchange *self = calloc(1, sizeof *self);
    if (self == NULL) {
        http_request_refuse(request, STATUS_UNAVAILABLE, status_message(STATUS_UNAVAILABLE));
        return;
    }
    struct exchange *exchange = &self->exchange;
    exchange->references = 1;
    exchange->operation = operation;
    exchange->transport = &HTTP_TRANSPORT;
    exchange->peer = self->request = http_request_ref(request);
    exchange->context = request->worker->context;
    exchange->address = http_request_address(request);
    exchange->user_agent = http_request_header(request, "user-agent");
    fields_init(&exchange->input);
    read_idempotency_key(self);
    if ((operation->is_public || authenticate(exchange, request)) && is_within_limits(exchange, request) &&
        read_input(exchange, request, part)) {
        operation->handle(exchange);
        watch(exchange, request);
    }
    exchange_unref(exchange);
}
