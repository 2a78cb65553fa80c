#include <sys/socket.h>
#include <sys/time.h>

#include "connection.h"
#include <h2o/http2.h>

/* What a connection costs before a request of it has reached its handler, which libh2o itself does not limit: frames
 * that ask for nothing (PING, SETTINGS, PRIORITY, WINDOW_UPDATE, empty CONTINUATION and DATA, streams that are broken
 * off), bodies that never end, and headers that a few bytes of HPACK blow up.
 *
 * All of it takes bytes. Those that came and that no request has claimed for its headers and body are the measure: a
 * bucket for each connection by HTTP/2, which leaks a little, since a proper client has such frames to send too. What
 * is kept for all connections, requests on their way in and replies on their way out, has a limit as well: past it, the
 * connection that holds most is cut.
 *
 * The guard stands before libh2o's own reading: it takes the place of the socket's callback, and calls that. libh2o
 * sets its callback anew with each request by HTTP/1, and by HTTP/2 after it has paused reading; the next sweep puts
 * the guard back. */

enum { UNCLAIMED_SLACK_BYTES = 1 << 20, FORGIVEN_BYTES_A_S = 64 << 10, SENT_PER_FORGIVEN = 16 };
enum { HEADERS_MAX = 100, LOOK_EVERY_BYTES = 4096 };
enum { H2_FRAME_TYPE_AT = 3, H2_CONTINUATION = 9 };

static const char FLOOD[] = "it sends what is no request";
static const char TOO_MANY_HEADERS[] = "it sends too many headers";
static const char HOLDS_MOST[] = "it holds the most memory";
static const char TOO_SLOW[] = "a request does not arrive";

/* --- what is held --- */

static size_t held_by(const struct http_connection *connection)
{
    if (connection->is_banned) {
        return 0; /* about to go */
    }
    return (connection->is_http2 ? connection->unclaimed : connection->socket->input->size) + connection->sending;
}

static size_t held_by_all(const struct http_connections *connections, struct http_connection **ret_most)
{
    size_t total = 0, most = 0;
    for (struct http_connection *connection = connections->first; connection != NULL; connection = connection->next) {
        size_t held = held_by(connection);
        total += held;
        if (held > most) {
            most = held;
            *ret_most = connection;
        }
    }
    return total;
}

static void make_room(struct http_connections *connections)
{
    struct http_connection *most = NULL;
    while ((connections->held_bytes = held_by_all(connections, &most)) > connections->max_held_bytes) {
        http_connection_cut(most, HOLDS_MOST);
    }
}

/* A sum that is only added to between sweeps, so that it is counted anew before anybody is cut. */
static void hold(struct http_connections *connections, size_t bytes)
{
    connections->held_bytes += bytes;
    if (connections->held_bytes > connections->max_held_bytes) {
        make_room(connections);
    }
}

static size_t take_off(size_t from, size_t bytes)
{
    return from > bytes ? from - bytes : 0;
}

void http_guard_count_sending(struct http_connection *connection, ptrdiff_t bytes)
{
    if (bytes >= 0) {
        connection->sending += (size_t)bytes;
        hold(connection->connections, (size_t)bytes);
    } else {
        size_t sent = (size_t)-bytes;
        connection->sending = take_off(connection->sending, sent);
        connection->unclaimed = take_off(connection->unclaimed, sent / SENT_PER_FORGIVEN);
    }
}

void http_guard_count_held(struct http_connection *connection, ptrdiff_t bytes)
{
    if (bytes >= 0) {
        http_guard_count_sending(connection, bytes);
    } else {
        connection->sending = take_off(connection->sending, (size_t)-bytes);
    }
}

void http_guard_claim(struct http_connection *connection, const h2o_req_t *raw)
{
    size_t claimed = raw->method.len + raw->path.len + raw->authority.len + raw->entity.len;
    connection->is_http2 = connection->is_http2 || raw->version >= 0x200;
    if (!connection->is_http2 || raw->headers.size > HEADERS_MAX) {
        return;
    }
    for (size_t i = 0; i < raw->headers.size; i++) {
        claimed += raw->headers.entries[i].name->len + raw->headers.entries[i].value.len;
    }
    connection->unclaimed = take_off(connection->unclaimed, claimed);
}

/* --- reading --- */

static void count_read(struct http_connection *connection, size_t bytes)
{
    uint64_t now_ms = loop_now_ms(connection->connections->loop), elapsed_ms = now_ms - connection->forgiven_at_ms;
    connection->forgiven_at_ms = now_ms;
    connection->unclaimed = take_off(connection->unclaimed, elapsed_ms * FORGIVEN_BYTES_A_S / 1000) + bytes;
    connection->unlooked += bytes;
}

/* NULL while a connection changes from HTTP/1 to HTTP/2 as well. */
static struct http_connection *connection_of(const h2o_req_t *raw)
{
    const h2o_socket_t *socket = raw->conn->callbacks->get_socket(raw->conn);
    return socket != NULL ? socket->on_close.data : NULL;
}

static int has_too_many_headers(h2o_req_t *raw, void *data)
{
    return raw->headers.size > HEADERS_MAX && connection_of(raw) == data;
}

/* The largest body, and then some. */
static size_t max_unclaimed(const struct http_connection *connection)
{
    return connection->connections->context->globalconf->max_request_entity_size + UNCLAIMED_SLACK_BYTES;
}

/* What is wrong with the connection after libh2o has read, or NULL. */
static const char *find_fault(struct http_connection *connection)
{
    if (connection->unclaimed > max_unclaimed(connection)) {
        return FLOOD;
    }
    if (connection->unlooked < LOOK_EVERY_BYTES) {
        return NULL;
    }
    connection->unlooked = 0;
    h2o_context_t *context = connection->connections->context;
    return H2O_HTTP2_CALLBACKS.foreach_request(context, has_too_many_headers, connection) != 0 ? TOO_MANY_HEADERS
                                                                                               : NULL;
}

/* Over TLS that is agreed on in the handshake, of which libh2o may be asked when something of it has been read. */
static bool is_http2(const struct http_connection *connection)
{
    static const char PREFACE[] = "PRI * HTTP/2";
    h2o_socket_t *socket = connection->socket;
    if (connection->is_http2 || (socket->ssl != NULL && !connection->was_read)) {
        return connection->is_http2;
    }
    if (socket->ssl != NULL) {
        h2o_iovec_t protocol = h2o_socket_ssl_get_selected_protocol(socket);
        return protocol.len >= 2 && memcmp(protocol.base, "h2", 2) == 0;
    }
    return socket->input->size >= sizeof PREFACE - 1 && memcmp(socket->input->bytes, PREFACE, sizeof PREFACE - 1) == 0;
}

/* libh2o 2.2 never comes back from a CONTINUATION behind its own farewell. */
static bool would_hang(const struct http_connection *connection)
{
    const h2o_buffer_t *input = connection->socket->input;
    return connection->connections->is_stopping && connection->is_http2 && input->size > H2_FRAME_TYPE_AT &&
           input->bytes[H2_FRAME_TYPE_AT] == H2_CONTINUATION;
}

static void on_guarded_read(h2o_socket_t *socket, const char *error)
{
    struct http_connection *connection = socket->on_close.data;
    bool is_gone = false;
    if (error == NULL) {
        connection->is_http2 = is_http2(connection);
        if (connection->is_http2) {
            count_read(connection, socket->bytes_read);
        }
        if (would_hang(connection)) {
            http_connection_cut(connection, FLOOD);
            error = FLOOD;
        }
    }
    connection->ret_is_gone = &is_gone;
    connection->read(socket, error);
    if (is_gone) {
        return;
    }
    connection->ret_is_gone = NULL;
    connection->was_read = true;
    bool is_still_read = socket->_cb.read == on_guarded_read;
    http_guard_watch(connection);
    hold(connection->connections, socket->bytes_read);
    const char *fault = connection->is_http2 && !connection->is_banned ? find_fault(connection) : NULL;
    if (fault != NULL) {
        http_connection_cut(connection, fault);
    }
    if (connection->is_banned && is_still_read) {
        connection->read(socket, "cut"); /* now, so that nothing of it is kept or worked on */
    }
}

void http_guard_watch(struct http_connection *connection)
{
    h2o_socket_t *socket = connection->socket;
    if (socket->_cb.read != NULL && socket->_cb.read != on_guarded_read) {
        connection->read = socket->_cb.read;
        socket->_cb.read = on_guarded_read;
    }
}

/* --- sweeps --- */

void http_connections_guard(struct http_connections *connections)
{
    for (struct http_connection *connection = connections->first; connection != NULL; connection = connection->next) {
        if (connection->request == NULL) { /* one that is worked on is watched for its client's leaving */
            http_guard_watch(connection);
        }
    }
    make_room(connections);
}

/* Has it begun before, and not reached a handler? */
static int cut_if_slow(h2o_req_t *raw, void *data)
{
    const struct timeval *since = data, *began_at = &raw->timestamps.request_begin_at;
    struct http_connection *connection = connection_of(raw);
    if (raw->path_normalized.base == NULL && began_at->tv_sec != 0 && timercmp(began_at, since, <) &&
        connection != NULL && !connection->is_banned) {
        http_connection_cut(connection, TOO_SLOW);
    }
    return 0;
}

void http_connections_cut_unfinished(struct http_connections *connections, int timeout_s)
{
    struct timeval since;
    gettimeofday(&since, NULL);
    since.tv_sec -= timeout_s;
    H2O_HTTP2_CALLBACKS.foreach_request(connections->context, cut_if_slow, &since);
}
