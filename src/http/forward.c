#include <h2o/http1client.h>
#include <stdlib.h>

#include "connection.h"
#include "http/proxy_header.h"
#include "loop/h2o_loop.h"
#include "loop/splice.h"
#include "request.h"
#include "util/buffer.h"
#include "util/log.h"

/* A request goes to another server of ours by libh2o's client, on a connection of its own; its reply is gathered, then
 * given as ours. A WebSocket upgrade is asked for there first; when it is granted, it is granted here too, and the two
 * streams are spliced: both sides speak with the same key and without extensions, so that no frame is looked at. */

enum { CONNECT_TIMEOUT_MS = 3000, TYPE_MAX_LENGTH = 127, HEAD_MAX_BYTES = 64 << 10 };

/* What the other server needs to know. The rest stays here: what is for one connection alone, and what asks for a form
 * of the reply, since that is decided here. */
static const char *const PASSED_HEADERS[] = {"authorization", "content-type", "cookie",
                                             "origin",        "user-agent",   "x-forwarded-proto"};
static const char *const UPGRADE_HEADERS[] = {"sec-websocket-key", "sec-websocket-version", "sec-websocket-protocol"};

struct forward {
    struct forward *previous, *next; /* of the worker's */
    struct http_worker *worker;
    struct http_request *request;
    struct buffer sent;
    h2o_iovec_t vectors[2];    /* the same for libh2o, behind the header that a proxy would send */
    h2o_http1client_t *client; /* NULL when it has ended: libh2o frees it */
    struct stream *peer;       /* upgraded, until the client's stream is there too */
    struct splice *splice;
    struct timer deadline;
    uint64_t timeout_ms;
    size_t max_reply_bytes;
    void (*on_failure)(struct http_request *request);
    bool is_upgrade, is_upgrading;
    int http_status;
    char content_type[TYPE_MAX_LENGTH + 1];
};

static void destroy(struct forward *forward)
{
    if (forward->previous != NULL) {
        forward->previous->next = forward->next;
    } else {
        forward->worker->forwards = forward->next;
    }
    if (forward->next != NULL) {
        forward->next->previous = forward->previous;
    }
    loop_timer_stop(forward->worker->loop, &forward->deadline);
    if (forward->client != NULL) {
        h2o_http1client_cancel(forward->client);
    }
    stream_close(forward->peer);
    splice_stop(forward->splice);
    buffer_dispose(&forward->sent);
    http_request_unref(forward->request);
    free(forward);
}

static void fail(struct forward *forward, const char *reason)
{
    log_write(LOG_INFO, "a request could not be forwarded", LOG_STR("requestId", http_request_id(forward->request)),
              LOG_STR("reason", reason));
    if (!http_request_is_done(forward->request)) {
        forward->on_failure(forward->request);
    }
    destroy(forward);
}

static void on_deadline(struct timer *timer)
{
    fail((struct forward *)((char *)timer - offsetof(struct forward, deadline)), "time is up");
}

static void on_leave(void *data)
{
    destroy(data);
}

/* --- the request that is sent --- */

/* By HTTP/2 anything may have come: bytes that could end a line, or a word of the first line, don't go on. */
static bool has_only(struct slice text, unsigned char least)
{
    for (size_t i = 0; i < text.length; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if (c < least || c == 0x7f) {
            return false;
        }
    }
    return true;
}

static bool is_word(struct slice text)
{
    return has_only(text, ' ' + 1);
}

static void put_header(struct buffer *out, const char *name, struct slice value)
{
    if (value.length > 0 && has_only(value, ' ')) {
        buffer_append_text(out, name);
        buffer_append_text(out, ": ");
        buffer_append_slice(out, value);
        buffer_append_text(out, "\r\n");
    }
}

static void put_headers(struct buffer *out, const struct http_request *request, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        put_header(out, names[i], http_request_header(request, names[i]));
    }
}

static void put_client_address(struct buffer *out, const struct http_request *request)
{
    struct slice before = http_request_header(request, "x-forwarded-for");
    buffer_append_text(out, "x-forwarded-for: ");
    if (before.length > 0 && has_only(before, ' ')) {
        buffer_append_slice(out, before);
        buffer_append_text(out, ", ");
    }
    buffer_append_text(out, request->client.text);
    buffer_append_text(out, "\r\n");
}

static void put_trace(struct buffer *out, const struct http_request *request)
{
    char traceparent[TRACEPARENT_LENGTH + 1];
    if (request->log.trace_id[0] != '\0') {
        trace_context_write(&request->trace, traceparent);
        put_header(out, "traceparent", slice_of(traceparent));
        put_header(out, "tracestate", http_request_header(request, "tracestate"));
    }
}

static bool has_clean_target(const struct http_request *request)
{
    const h2o_req_t *raw = request->raw;
    return is_word(http_request_method(request)) && is_word((struct slice){raw->path.base, raw->path.len}) &&
           is_word(http_request_host(request));
}

static void write_request(struct forward *forward, const struct http_forward_options *options)
{
    const struct http_request *request = forward->request;
    struct buffer *out = &forward->sent;
    struct slice body = http_request_body(request), host = http_request_host(request);
    *out = buffer_init(body.length + HEAD_MAX_BYTES);
    buffer_append_slice(out, http_request_method(request));
    buffer_append_char(out, ' ');
    buffer_append(out, request->raw->path.base, request->raw->path.len);
    buffer_append_text(out, " HTTP/1.1\r\n");
    put_header(out, "host", host.length > 0 ? host : SLICE("stonechat"));
    put_header(out, "x-request-id", slice_of(request->log.request_id));
    put_trace(out, request);
    put_header(out, options->header_name, slice_of(options->header_value));
    put_client_address(out, request);
    put_headers(out, request, PASSED_HEADERS, sizeof PASSED_HEADERS / sizeof PASSED_HEADERS[0]);
    if (forward->is_upgrade) {
        put_headers(out, request, UPGRADE_HEADERS, sizeof UPGRADE_HEADERS / sizeof UPGRADE_HEADERS[0]);
        buffer_append_text(out, "connection: upgrade\r\nupgrade: websocket\r\n\r\n");
        return;
    }
    if (slice_equals(http_request_method(request), SLICE("POST"))) {
        buffer_printf(out, "content-length: %zu\r\n", body.length);
    }
    buffer_append_text(out, "connection: close\r\n\r\n");
    buffer_append_slice(out, body);
}

/* --- the tunnel --- */

static void on_tunnel_end(void *data)
{
    struct forward *forward = data;
    forward->splice = NULL;
    destroy(forward);
}

static void on_upgraded(struct stream *stream, void *data)
{
    struct forward *forward = data;
    struct stream *peer = forward->peer;
    forward->is_upgrading = false;
    forward->peer = NULL;
    if (stream == NULL || peer == NULL) {
        stream_close(stream);
        stream_close(peer);
        destroy(forward);
        return;
    }
    forward->splice = splice_start(stream, peer, on_tunnel_end, forward);
    if (forward->splice == NULL) {
        destroy(forward);
    }
}

static void start_tunnel(struct forward *forward, h2o_http1client_t *client, int head_length)
{
    h2o_socket_t *socket = h2o_http1client_steal_socket(client);
    h2o_buffer_consume(&socket->input, (size_t)head_length);
    loop_timer_stop(forward->worker->loop, &forward->deadline);
    forward->peer = stream_create(forward->worker->loop, socket);
    forward->is_upgrading = true; /* from now on it is freed by on_upgraded at the earliest */
    if (forward->peer == NULL || !http_request_upgrade(forward->request, NULL, on_upgraded, forward)) {
        forward->is_upgrading = false;
        fail(forward, "no upgrade");
    }
}

/* --- the reply --- */

static void answer(struct forward *forward, struct slice body)
{
    if (!http_request_is_done(forward->request)) {
        const char *type = forward->content_type[0] != '\0' ? forward->content_type : NULL;
        http_request_add_header(forward->request, "cache-control", SLICE("no-store"));
        http_request_reply(forward->request, forward->http_status, type, body);
    }
    destroy(forward);
}

static int on_body(h2o_http1client_t *client, const char *error)
{
    struct forward *forward = client->data;
    struct slice body = {client->sock->input->bytes, client->sock->input->size};
    bool is_whole = error == h2o_http1client_error_is_eos;
    if (error == NULL && body.length <= forward->max_reply_bytes) {
        return 0;
    }
    forward->client = NULL;
    if (is_whole && body.length <= forward->max_reply_bytes) {
        answer(forward, body);
    } else {
        fail(forward, error != NULL && !is_whole ? error : "the reply is too large");
    }
    return -1;
}

static void take_head(struct forward *forward, int http_status, const h2o_header_t *headers, size_t count)
{
    ssize_t at = h2o_find_header(&(h2o_headers_t){.entries = (h2o_header_t *)headers, .size = count, .capacity = count},
                                 H2O_TOKEN_CONTENT_TYPE, SIZE_MAX);
    forward->http_status = http_status;
    if (at >= 0 && headers[at].value.len <= TYPE_MAX_LENGTH) {
        memcpy(forward->content_type, headers[at].value.base, headers[at].value.len);
    }
}

static h2o_http1client_body_cb on_head(h2o_http1client_t *client, const char *error, int minor_version, int http_status,
                                       h2o_iovec_t message, h2o_header_t *headers, size_t count, int head_length)
{
    (void)minor_version, (void)message;
    struct forward *forward = client->data;
    bool is_whole = error == h2o_http1client_error_is_eos;
    if (error == NULL && http_status >= 200 && http_status < 600) {
        take_head(forward, http_status, headers, count);
        return on_body;
    }
    forward->client = NULL;
    if (is_whole && http_status == 101 && forward->is_upgrade) {
        start_tunnel(forward, client, head_length);
    } else if (is_whole && http_status == 204) {
        take_head(forward, http_status, headers, count);
        answer(forward, (struct slice){NULL, 0});
    } else {
        fail(forward, error != NULL && !is_whole ? error : "no such reply was expected");
    }
    return NULL;
}

static h2o_http1client_head_cb on_connect(h2o_http1client_t *client, const char *error, h2o_iovec_t **ret_vectors,
                                          size_t *ret_count, int *ret_is_head)
{
    struct forward *forward = client->data;
    if (error != NULL) {
        forward->client = NULL;
        fail(forward, error);
        return NULL;
    }
    loop_timer_start(forward->worker->loop, &forward->deadline, forward->timeout_ms);
    bool has_header = forward->vectors[0].len > 0;
    *ret_vectors = has_header ? forward->vectors : &forward->vectors[1];
    *ret_count = has_header ? 2 : 1;
    *ret_is_head = 0;
    return on_head;
}

/* --- life --- */

static struct forward *create(struct http_request *request, const struct http_forward_options *options)
{
    struct http_worker *worker = request->worker;
    struct forward *forward = calloc(1, sizeof *forward);
    if (forward == NULL) {
        return NULL;
    }
    forward->worker = worker;
    forward->request = http_request_ref(request);
    forward->timeout_ms = options->timeout_ms;
    forward->max_reply_bytes = options->max_reply_bytes;
    forward->on_failure = options->on_failure;
    forward->deadline.on_fire = on_deadline;
    forward->is_upgrade = http_request_is_websocket_upgrade(request);
    forward->next = worker->forwards;
    if (forward->next != NULL) {
        forward->next->previous = forward;
    }
    worker->forwards = forward;
    write_request(forward, options);
    forward->vectors[1] = h2o_iovec_init(forward->sent.data, forward->sent.length);
    return forward;
}

void http_request_forward(struct http_request *request, const struct http_forward_options *options)
{
    h2o_url_t url;
    if (http_request_is_done(request)) {
        return;
    }
    bool good = !request->worker->is_stopping && h2o_url_parse(options->url, strlen(options->url), &url) == 0 &&
                has_clean_target(request);
    struct forward *forward = good ? create(request, options) : NULL;
    if (forward == NULL) {
        options->on_failure(request);
        return;
    }
    if (forward->sent.failed) {
        fail(forward, "the request is too large");
        return;
    }
    if (!slice_equals(http_request_method(request), SLICE("POST"))) { /* what was posted is to arrive */
        http_request_on_leave(request, on_leave, forward);
    }
    bool has_tls = url.scheme == &H2O_URL_SCHEME_HTTPS;
    if (request->worker->site->has_proxy_headers && !has_tls) { /* with TLS it comes before that (server/tls.c) */
        forward->vectors[0] = h2o_iovec_init(PROXY_HEADER_LOCAL.data, PROXY_HEADER_LOCAL.length);
    }
    loop_timer_start(request->worker->loop, &forward->deadline, CONNECT_TIMEOUT_MS);
    h2o_http1client_connect(&forward->client, forward, &request->raw->conn->ctx->proxy.client_ctx, url.host,
                            h2o_url_get_port(&url), has_tls, on_connect);
}

void http_worker_stop_forwarding(struct http_worker *worker)
{
    struct forward *next;
    worker->is_stopping = true;
    for (struct forward *forward = worker->forwards; forward != NULL; forward = next) {
        next = forward->next;
        if (forward->is_upgrading) {
            stream_close(forward->peer);
            forward->peer = NULL;
        } else if (forward->splice != NULL) {
            destroy(forward);
        } else {
            fail(forward, "the server stops");
        }
    }
}
