/* What is known of one connection, for as long as it speaks HTTP: attached to its libh2o socket when it is accepted. */
#ifndef STONECHAT_HTTP_CONNECTION_H
#define STONECHAT_HTTP_CONNECTION_H

#include <h2o.h>

#include "http/h2o_http.h"
#include "util/places.h"

struct http_connection {
    h2o_socket_t *socket;
    struct http_connections *connections;
    struct http_connection *next, **link; /* `link` points at what points at this one */
    struct http_request *request;         /* by HTTP/1: the one that is worked on, or NULL */
    h2o_socket_cb read;                   /* libh2o's own, behind the guard */
    SSL_CTX *tls;                         /* a reference: libh2o has none until it hears a ClientHello; or NULL */
    struct place *place;                  /* given back when it goes; NULL once an upgrade has taken it along */
    bool *ret_is_gone;                    /* who must know when it goes, or NULL */
    bool was_read;
    bool is_http2;   /* known from its first bytes on */
    bool is_banned;  /* nothing that it asks for is served any more */
    unsigned resets; /* since `resets_since_ms` */
    uint64_t resets_since_ms;
    /* what it makes the server keep, in bytes: see guard.c */
    size_t unclaimed, unlooked, sending;
    uint64_t forgiven_at_ms;
};

/* The record of a request's connection, or NULL if none was attached. */
static inline struct http_connection *http_connection_of(const h2o_req_t *raw)
{
    return raw->conn->callbacks->get_socket(raw->conn)->on_close.data;
}

/* A client of HTTP/2 has reset a stream that was worked on. Who does so over and over (CVE-2023-44487) makes us work
 * for nothing, and is sent away. */
void http_connection_count_reset(struct http_connection *connection, uint64_t now_ms);

/* It speaks HTTP no more: a WebSocket has other guards. */
void http_connection_upgrade(struct http_connection *connection);

/* Ends it, for a reason that is logged; libh2o notices in a turn to come. */
void http_connection_cut(struct http_connection *connection, const char *reason);

/* --- the guard (guard.c) --- */

/* From now on libh2o reads under the eyes of the guard. Nothing happens if it does already. */
void http_guard_watch(struct http_connection *connection);

/* A request has come whole: what it took to send it was not in vain. */
void http_guard_claim(struct http_connection *connection, const h2o_req_t *raw);

/* So many bytes of replies are on their way from now on; fewer, below 0. */
void http_guard_count_sending(struct http_connection *connection, ptrdiff_t bytes);
/* The same, of bytes that have not left when they are fewer: nothing is forgiven for them. */
void http_guard_count_held(struct http_connection *connection, ptrdiff_t bytes);

#endif
