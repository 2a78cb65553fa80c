/* What is known of one connection, for as long as it speaks HTTP: attached to its libh2o socket when it is accepted. */
#ifndef STONECHAT_HTTP_CONNECTION_H
#define STONECHAT_HTTP_CONNECTION_H

#include <h2o.h>

#include "http/h2o_http.h"

/* The record of a socket, or NULL if none was attached. */
static inline struct http_connection *http_connection_of(h2o_socket_t *socket)
{
    return socket->on_close.data;
}

#endif
