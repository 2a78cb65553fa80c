#include "request.h"

#include <assert.h>
#include <h2o/http1.h>
#include <netinet/tcp.h>
#include <openssl/sha.h>
#include <stdlib.h>

#include "connection.h"
#include "headers.h"
#include "loop/h2o_loop.h"
#include "util/log.h"
#include "util/metrics.h"
#include "util/uuid.h"

/* libh2o frees its request when the client leaves or all was sent; a block in the request's pool tells us. Ours lives
 * on for as long as somebody holds a reference. */

struct tether {
    struct http_request *request;
};

enum { STATUS_CLIENT_LEFT = 499 };
static const char OTHER_ROUTE[] = "other";

static void log_request(const struct http_request *request, int http_status, int64_t duration_us)
{
    const h2o_req_t *raw = request->raw;
    char user[UUID_TEXT_LENGTH];
    uuid_format(request->user_id, user);
    struct slice path = {raw->path_normalized.base, raw->path_normalized.len};
    log_write(LOG_INFO, "request", LOG_STR("requestId", request->id),
              LOG_SLICE("method", ((struct slice){raw->method.base, raw->method.len})), LOG_SLICE("path", path),
              LOG_INT("status", http_status), LOG_INT("bytes", (int64_t)raw->bytes_sent),
              LOG_REAL("ms", (double)duration_us / 1e3), LOG_STR("address", request->client.text),
              LOG_SLICE("user", ((struct slice){user, request->has_user ? sizeof user : 0})));
}

/* libh2o's request is gone. */
static void forget(struct http_request *request)
{
    struct http_connection *connection = http_connection_of(request->raw);
    loop_timer_stop(request->worker->loop, &request->watch_timer);
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
    int http_status = request->is_replied ? request->raw->res.status : STATUS_CLIENT_LEFT;
    int64_t duration_us = metrics_now_us() - request->started_us;
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
    http_request_unref(request);
}

static void choose_id(struct http_request *request)
{
    struct slice sent = http_request_header(request, "x-request-id");
    if (headers_is_request_id(sent, REQUEST_ID_MAX_LENGTH)) {
        memcpy(request->id, sent.data, sent.length);
        request->id[sent.length] = '\0';
    } else {
        uuid_format(uuid_generate(), request->id);
        request->id[UUID_TEXT_LENGTH] = '\0';
    }
    http_request_add_header(request, "x-request-id", slice_of(request->id));
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

static void on_watch_timer(struct timer *timer);

struct http_request *http_request_create(h2o_req_t *raw, struct http_worker *worker)
{
    struct http_request *request = h2o_mem_alloc(sizeof *request);
    memset(request, 0, sizeof *request);
    request->references = 2; /* the caller's and the tether's */
    request->raw = raw;
    request->worker = worker;
    request->watch_timer.on_fire = on_watch_timer;
    request->started_us = metrics_now_us();
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
    return request->id;
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

static h2o_socket_t *socket_of(const struct http_request *request)
{
    h2o_conn_t *connection = request->raw->conn;
    return connection->callbacks->get_socket(connection);
}

void http_request_stop_watching(struct http_request *request)
{
    if (request->is_watched) {
        request->is_watched = false;
        loop_timer_stop(request->worker->loop, &request->watch_timer);
        h2o_socket_t *socket = socket_of(request);
        h2o_socket_read_stop(socket);
        h2o_socket_dont_read(socket, 0);
    }
}

bool http_request_is_done(const struct http_request *request)
{
    return request->raw == NULL || request->is_replied;
}

static const char *reason_of(int http_status)
{
    switch (http_status) {
    case 200:
        return "OK";
    case 201:
        return "Created";
    case 204:
        return "No Content";
    case 304:
        return "Not Modified";
    case 400:
        return "Bad Request";
    case 401:
        return "Unauthorized";
    case 403:
        return "Forbidden";
    case 404:
        return "Not Found";
    case 405:
        return "Method Not Allowed";
    case 409:
        return "Conflict";
    case 413:
        return "Payload Too Large";
    case 414:
        return "URI Too Long";
    case 415:
        return "Unsupported Media Type";
    case 429:
        return "Too Many Requests";
    case 431:
        return "Request Header Fields Too Large";
    case 503:
        return "Service Unavailable";
    default:
        return http_status < 500 ? "Error" : "Internal Server Error";
    }
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

/* --- the client's leaving, by HTTP/1.1 ---
 * libh2o itself does not look at a connection while its request is worked on. Nothing is read here, since the request's
 * headers lie in the input buffer: once something has come (the next request, or TLS's farewell), the descriptor stays
 * readable, and is looked at by the clock. */

enum { WATCH_STEP_MS = 500 };

static bool is_open(h2o_socket_t *socket)
{
    struct tcp_info info;
    socklen_t length = sizeof info;
    return getsockopt(h2o_socket_get_fd(socket), IPPROTO_TCP, TCP_INFO, &info, &length) == 0 &&
           info.tcpi_state == TCP_ESTABLISHED;
}

static void look(struct http_request *request)
{
    h2o_socket_t *socket = socket_of(request);
    if (is_open(socket)) {
        h2o_socket_read_stop(socket);
        loop_timer_start(request->worker->loop, &request->watch_timer, WATCH_STEP_MS);
        return;
    }
    http_request_stop_watching(request);
    request->raw->http1_is_persistent = 0;
    if (request->streaming != NULL) {
        http_streaming_cut(request->streaming);
        return;
    }
    http_request_ref(request);
    void (*on_leave)(void *) = request->on_leave;
    request->on_leave = NULL;
    on_leave(request->on_leave_data);
    if (!request->is_replied) {
        http_request_reply(request, 499, NULL, (struct slice){NULL, 0}); /* to nobody; it ends the connection */
        request->is_over = true;
    }
    http_request_unref(request);
}

static void on_readable(h2o_socket_t *socket, const char *error)
{
    (void)error;
    look(((struct http_connection *)socket->on_close.data)->request);
}

static void on_watch_timer(struct timer *timer)
{
    look((struct http_request *)((char *)timer - offsetof(struct http_request, watch_timer)));
}

void http_request_start_watching(struct http_request *request)
{
    if (request->raw->version >= 0x200 || http_connection_of(request->raw) == NULL) {
        return;
    }
    h2o_socket_t *socket = socket_of(request);
    request->is_watched = true;
    h2o_socket_dont_read(socket, 1);
    h2o_socket_read_start(socket, on_readable);
}

void http_request_on_leave(struct http_request *request, void (*on_leave)(void *data), void *data)
{
    assert(request->on_leave == NULL);
    request->on_leave = on_leave;
    request->on_leave_data = data;
    if (request->raw != NULL) {
        http_request_start_watching(request);
    }
}

struct upgrade {
    struct http_request *request;
    void (*on_upgrade)(struct stream *stream, void *data);
    void *data;
};

static void release_place(void *place)
{
    place_give_back(place);
}

/* The record of the connection stays on this thread; its place goes wherever the stream does. */
static struct stream *make_stream(struct loop *loop, h2o_socket_t *socket)
{
    struct http_connection *connection = socket->on_close.data;
    struct place *place = NULL;
    if (connection != NULL) {
        http_connection_upgrade(connection);
        place = connection->place;
        connection->place = NULL;
    }
    struct stream *stream = stream_create(loop, socket);
    if (stream != NULL) {
        stream_keep(stream, place, release_place);
    } else {
        place_give_back(place);
    }
    return stream;
}

static void on_upgraded(void *data, h2o_socket_t *socket, size_t request_size)
{
    struct upgrade *upgrade = data;
    struct stream *stream = NULL;
    if (socket != NULL) {
        h2o_buffer_consume(&socket->input, request_size);
        stream = make_stream(upgrade->request->worker->loop, socket);
    }
    upgrade->on_upgrade(stream, upgrade->data);
    http_request_unref(upgrade->request);
    free(upgrade);
}

/* Sec-WebSocket-Accept: RFC 6455 section 4.2.2, item 5.4. */
static void make_accept_key(struct slice key, char out[29])
{
    static const char GUID[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    char joined[24 + sizeof GUID];
    unsigned char digest[SHA_DIGEST_LENGTH];
    memcpy(joined, key.data, 24);
    memcpy(joined + 24, GUID, sizeof GUID - 1);
    SHA1((const unsigned char *)joined, 24 + sizeof GUID - 1, digest);
    h2o_base64_encode(out, digest, sizeof digest, 0);
}

bool http_request_is_websocket_upgrade(const struct http_request *request)
{
    const h2o_req_t *raw = request->raw;
    struct slice upgrade = {raw->upgrade.base, raw->upgrade.len};
    return raw->version == 0x101 && slice_equals(http_request_method(request), SLICE("GET")) &&
           headers_list_holds(upgrade, "websocket") &&
           headers_list_holds(http_request_header(request, "connection"), "upgrade") &&
           http_request_header(request, "sec-websocket-key").length == 24 &&
           slice_equals(http_request_header(request, "sec-websocket-version"), SLICE("13"));
}

bool http_request_upgrade(struct http_request *request, const char *protocol,
                          void (*on_upgrade)(struct stream *stream, void *data), void *data)
{
    if (http_request_is_done(request) || !http_request_is_websocket_upgrade(request)) {
        return false;
    }
    h2o_req_t *raw = request->raw;
    struct upgrade *upgrade = h2o_mem_alloc(sizeof *upgrade);
    *upgrade = (struct upgrade){http_request_ref(request), on_upgrade, data};
    char accept_key[29];
    make_accept_key(http_request_header(request, "sec-websocket-key"), accept_key);
    http_request_stop_watching(request);
    http_request_add_header(request, "sec-websocket-accept", slice_of(accept_key));
    if (protocol != NULL) {
        http_request_add_header(request, "sec-websocket-protocol", slice_of(protocol));
    }
    request->is_replied = true;
    raw->res.status = 101;
    raw->res.reason = "Switching Protocols";
    h2o_add_header(&raw->pool, &raw->res.headers, H2O_TOKEN_UPGRADE, NULL, H2O_STRLIT("websocket"));
    h2o_http1_upgrade(raw, NULL, 0, on_upgraded, upgrade);
    return true;
}
