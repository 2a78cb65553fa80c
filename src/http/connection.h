/* What is known of one connection, for as long as it speaks HTTP: attached to its libh2o socket when it is accepted. */
#ifndef STONECHAT_HTTP_CONNECTION_H
#define STONECHAT_HTTP_CONNECTION_H

#include <h2o.h>

#include "http/h2o_http.h"

struct http_connection {
    h2o_socket_t *socket;
    struct http_connections *connections;
    struct http_connection *previous, *next;
    struct http_request *request; /* by HTTP/1: the one that is worked on, or NULL */
    bool is_http2;                /* known from the first request on */
    bool is_banned;
    unsigned resets; /* since `resets_since_ms` */
    uint64_t resets_since_ms;
};

/* The record of a request's connection, or NULL if none was attached. */
static inline struct http_connection *http_connection_of(const h2o_req_t *raw)
{
    return raw->conn->callbacks->get_socket(raw->conn)->on_close.data;
}

/* A client of HTTP/2 has reset a stream that was worked on. Who does so over and over (CVE-2023-44487) makes us work
 * for nothing, and is sent away. */
void http_connection_count_reset(struct http_connection *connection, uint64_t now_ms);

#endif
