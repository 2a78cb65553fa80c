#include <assert.h>
#include <netinet/tcp.h>

#include "connection.h"
#include "request.h"

/* The client's leaving, by HTTP/1.1: libh2o itself does not look at a connection while its request is worked on.
 * Nothing is read here, since the request's headers lie in the input buffer: once something has come (the next request,
 * or TLS's farewell), the descriptor stays readable, and is looked at by the clock. */

enum { WATCH_STEP_MS = 500 };

static h2o_socket_t *socket_of(const struct http_request *request)
{
    h2o_conn_t *connection = request->raw->conn;
    return connection->callbacks->get_socket(connection);
}

static bool is_open(h2o_socket_t *socket)
{
    struct tcp_info info;
    socklen_t length = sizeof info;
    return getsockopt(h2o_socket_get_fd(socket), IPPROTO_TCP, TCP_INFO, &info, &length) == 0 &&
           info.tcpi_state == TCP_ESTABLISHED;
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
    if (!request->is_replied) { /* to nobody; it ends the connection */
        http_request_reply(request, HTTP_CLIENT_LEFT, NULL, (struct slice){NULL, 0});
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
    request->watch_timer.on_fire = on_watch_timer;
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
