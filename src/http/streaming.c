#include <assert.h>
#include <sys/socket.h>

#include "connection.h"
#include "request.h"

/* Replies in pieces. libh2o takes one piece at a time and says when it has left (proceed): by HTTP/2 that is also when
 * the client's window has room for it. How a stream ends: its user says so, and the last piece goes when nothing is on
 * its way; or the client leaves, which libh2o notices by HTTP/2, and by HTTP/1 our watch on the connection. In the end
 * libh2o disposes of its request, and that alone is the end for the user too. */

struct http_streaming {
    h2o_generator_t super;
    struct http_request *request;
    const struct http_stream_callbacks *callbacks;
    void *data;
    bool is_sending;
    bool is_ending; /* its user is done with it, or the client has left */
    bool is_cut;    /* the client has left */
};

static void send_piece(struct http_streaming *streaming, h2o_iovec_t *pieces, size_t count, h2o_send_state_t state)
{
    streaming->is_sending = true;
    http_request_remember_sending(streaming->request, 0); /* what is sent belongs to its user: http_request_hold */
    h2o_send(streaming->request->raw, pieces, count, state);
}

/* It may be freed inside. */
static void send_end(struct http_streaming *streaming)
{
    http_request_stop_watching(streaming->request);
    send_piece(streaming, NULL, 0, streaming->is_cut ? H2O_SEND_STATE_ERROR : H2O_SEND_STATE_FINAL);
}

static void on_proceed(h2o_generator_t *generator, h2o_req_t *raw)
{
    (void)raw;
    struct http_streaming *streaming = (struct http_streaming *)generator;
    streaming->is_sending = false;
    http_request_hold(streaming->request, 0); /* not all of it has left */
    http_request_forget_sending(streaming->request);
    if (streaming->is_ending) {
        send_end(streaming);
    } else {
        streaming->callbacks->on_sent(streaming->data);
    }
}

bool http_request_start(struct http_request *request, const char *content_type,
                        const struct http_stream_callbacks *callbacks, void *data)
{
    h2o_req_t *raw = request->raw;
    if (http_request_is_done(request)) {
        return false;
    }
    struct http_streaming *streaming = h2o_mem_alloc_pool(&raw->pool, sizeof *streaming);
    *streaming = (struct http_streaming){
        .super = {.proceed = on_proceed}, .request = request, .callbacks = callbacks, .data = data};
    http_request_stop_watching(request);
    request->streaming = streaming;
    request->is_replied = true;
    raw->res.status = 200;
    raw->res.reason = "OK";
    raw->res.content_length = SIZE_MAX;
    raw->compress_hint = H2O_COMPRESS_HINT_DISABLE;
    raw->http1_is_persistent = 0; /* what comes behind the request is not looked at; and HTTP/1.0 knows no other end */
    h2o_add_header(&raw->pool, &raw->res.headers, H2O_TOKEN_CONTENT_TYPE, NULL, content_type, strlen(content_type));
    h2o_start_response(raw, &streaming->super);
    send_piece(streaming, NULL, 0, H2O_SEND_STATE_IN_PROGRESS);
    http_request_start_watching(request);
    return true;
}

bool http_request_is_sending(const struct http_request *request)
{
    return request->streaming->is_sending;
}

void http_request_send(struct http_request *request, const struct iovec *vectors, int count)
{
    _Static_assert(sizeof(struct iovec) == sizeof(h2o_iovec_t), "libh2o's vector is the system's");
    struct http_streaming *streaming = request->streaming;
    assert(count > 0 && !streaming->is_sending);
    if (!streaming->is_ending) {
        send_piece(streaming, (h2o_iovec_t *)vectors, (size_t)count, H2O_SEND_STATE_IN_PROGRESS);
    }
}

void http_request_hold(struct http_request *request, size_t bytes)
{
    if (request->sending_link != NULL) {
        ptrdiff_t more = (ptrdiff_t)bytes - (ptrdiff_t)request->sending_bytes;
        request->sending_bytes = bytes;
        http_guard_count_held(http_connection_of(request->raw), more);
    }
}

void http_request_end(struct http_request *request)
{
    struct http_streaming *streaming = request->streaming;
    if (streaming->is_ending) {
        return;
    }
    streaming->is_ending = true;
    if (!streaming->is_sending) {
        send_end(streaming);
    }
}

/* Shut, the connection lets no piece wait any longer. */
void http_streaming_cut(struct http_streaming *streaming)
{
    shutdown(h2o_socket_get_fd(http_connection_of(streaming->request->raw)->socket), SHUT_RDWR);
    streaming->is_ending = streaming->is_cut = true;
    if (!streaming->is_sending) {
        send_end(streaming);
    }
}

void http_streaming_forget(struct http_streaming *streaming)
{
    streaming->request->streaming = NULL;
    streaming->callbacks->on_end(streaming->data);
}
