#include "connection.h"

#include <stdlib.h>
#include <sys/socket.h>

#include "request.h"
#include "util/ip_address.h"
#include "util/log.h"

/* More resets than this in so much time are no human's. */
enum { RESETS_MAX = 100, RESETS_WINDOW_MS = 10000 };

static void unlink_from_list(struct http_connection *connection)
{
    *connection->link = connection->next;
    if (connection->next != NULL) {
        connection->next->link = connection->link;
    }
}

static void insert(struct http_connection *connection, struct http_connection **list)
{
    connection->link = list;
    connection->next = *list;
    if (connection->next != NULL) {
        connection->next->link = &connection->next;
    }
    *list = connection;
}

static void on_close(void *data)
{
    struct http_connection *connection = data;
    unlink_from_list(connection);
    connection->connections->count--;
    if (connection->ret_is_gone != NULL) {
        *connection->ret_is_gone = true;
    }
    place_give_back(connection->place);
    SSL_CTX_free(connection->tls);
    free(connection);
}

void http_connections_init(struct http_connections *connections, h2o_context_t *context, struct loop *loop,
                           size_t max_held_bytes)
{
    *connections = (struct http_connections){
        .context = context, .loop = loop, .max_held_bytes = max_held_bytes, .sending_tail = &connections->sending};
}

void http_connections_accept(struct http_connections *connections, h2o_accept_ctx_t *accept, h2o_socket_t *socket,
                             struct place *place)
{
    struct http_connection *connection = h2o_mem_alloc(sizeof *connection);
    bool is_gone = false;
    *connection = (struct http_connection){
        .socket = socket, .connections = connections, .tls = accept->ssl_ctx, .place = place, .ret_is_gone = &is_gone};
    if (connection->tls != NULL) {
        SSL_CTX_up_ref(connection->tls);
    }
    insert(connection, &connections->first);
    connections->count++;
    socket->on_close.cb = on_close;
    socket->on_close.data = connection;
    h2o_accept(accept, socket);
    if (!is_gone) {
        connection->ret_is_gone = NULL;
        http_guard_watch(connection);
    }
}

void http_connection_upgrade(struct http_connection *connection)
{
    unlink_from_list(connection);
    insert(connection, &connection->connections->upgraded);
}

void http_connection_cut(struct http_connection *connection, const char *reason)
{
    struct sockaddr_storage name;
    struct ip_address address;
    char text[IP_ADDRESS_TEXT_SIZE] = "";
    if (h2o_socket_getpeername(connection->socket, (struct sockaddr *)&name) > 0 &&
        ip_address_of_socket((struct sockaddr *)&name, &address)) {
        ip_address_format(&address, text);
    }
    if (!connection->is_banned) {
        log_write(LOG_WARN, "a connection was cut", LOG_STR("reason", reason), LOG_STR("address", text));
    }
    connection->is_banned = true;
    shutdown(h2o_socket_get_fd(connection->socket), SHUT_RDWR);
}

void http_connection_count_reset(struct http_connection *connection, uint64_t now_ms)
{
    if (now_ms - connection->resets_since_ms > RESETS_WINDOW_MS) {
        connection->resets_since_ms = now_ms;
        connection->resets = 0;
    }
    if (++connection->resets > RESETS_MAX && !connection->is_banned) {
        http_connection_cut(connection, "it resets what it asks for");
    }
}

void http_connections_cut_slow(struct http_connections *connections, uint64_t since_ms)
{
    while (connections->sending != NULL && connections->sending->replied_at_ms < since_ms) {
        struct http_request *request = connections->sending;
        http_request_forget_sending(request);
        http_connection_cut(http_connection_of(request->raw), "it does not read its replies");
    }
}

void http_connections_shutdown(struct http_connections *connections)
{
    struct http_connection *lists[] = {connections->first, connections->upgraded};
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        for (struct http_connection *connection = lists[i]; connection != NULL; connection = connection->next) {
            if (!connection->is_http2) {
                shutdown(h2o_socket_get_fd(connection->socket), SHUT_RD);
            }
        }
    }
}

void http_connections_cut(struct http_connections *connections)
{
    struct http_connection *lists[] = {connections->first, connections->upgraded};
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        for (struct http_connection *connection = lists[i]; connection != NULL; connection = connection->next) {
            if (connection->request != NULL) {
                http_request_cut(connection->request);
            }
            shutdown(h2o_socket_get_fd(connection->socket), SHUT_RDWR);
        }
    }
}
