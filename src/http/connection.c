#include "connection.h"

#include <stdlib.h>
#include <sys/socket.h>

#include "request.h"

/* More resets than this in so much time are no human's. */
enum { RESETS_MAX = 100, RESETS_WINDOW_MS = 10000 };

static void on_close(void *data)
{
    struct http_connection *connection = data;
    if (connection->previous != NULL) {
        connection->previous->next = connection->next;
    } else {
        connection->connections->first = connection->next;
    }
    if (connection->next != NULL) {
        connection->next->previous = connection->previous;
    }
    connection->connections->count--;
    free(connection);
}

void http_connections_init(struct http_connections *connections)
{
    *connections = (struct http_connections){.sending_tail = &connections->sending};
}

void http_connection_attach(struct http_connections *connections, h2o_socket_t *socket)
{
    struct http_connection *connection = h2o_mem_alloc(sizeof *connection);
    *connection = (struct http_connection){.socket = socket, .connections = connections, .next = connections->first};
    if (connections->first != NULL) {
        connections->first->previous = connection;
    }
    connections->first = connection;
    connections->count++;
    socket->on_close.cb = on_close;
    socket->on_close.data = connection;
}

void http_connection_count_reset(struct http_connection *connection, uint64_t now_ms)
{
    if (now_ms - connection->resets_since_ms > RESETS_WINDOW_MS) {
        connection->resets_since_ms = now_ms;
        connection->resets = 0;
    }
    if (++connection->resets > RESETS_MAX && !connection->is_banned) {
        connection->is_banned = true;
        shutdown(h2o_socket_get_fd(connection->socket), SHUT_RD);
    }
}

void http_connections_cut_slow(struct http_connections *connections, uint64_t since_ms)
{
    while (connections->sending != NULL && connections->sending->replied_at_ms < since_ms) {
        struct http_request *request = connections->sending;
        http_request_forget_sending(request);
        shutdown(h2o_socket_get_fd(http_connection_of(request->raw)->socket), SHUT_RDWR);
    }
}

void http_connections_shutdown(struct http_connections *connections)
{
    for (struct http_connection *connection = connections->first; connection != NULL; connection = connection->next) {
        if (!connection->is_http2) {
            shutdown(h2o_socket_get_fd(connection->socket), SHUT_RD);
        }
    }
}

void http_connections_cut(struct http_connections *connections)
{
    for (struct http_connection *connection = connections->first; connection != NULL; connection = connection->next) {
        if (connection->request != NULL) {
            http_request_cut(connection->request);
        }
        shutdown(h2o_socket_get_fd(connection->socket), SHUT_RDWR);
    }
}
