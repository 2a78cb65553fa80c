#include "connection.h"

#include <stdlib.h>
#include <sys/socket.h>

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

void http_connections_shutdown(struct http_connections *connections)
{
    for (struct http_connection *connection = connections->first; connection != NULL; connection = connection->next) {
        shutdown(h2o_socket_get_fd(connection->socket), SHUT_RD);
    }
}
