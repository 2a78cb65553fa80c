/* A TCP connection in the loop, with TLS or without. Private to cache; loop's thread. */
#ifndef STONECHAT_CACHE_REDIS_SOCKET_H
#define STONECHAT_CACHE_REDIS_SOCKET_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "loop/lookup.h"
#include "util/redis_address.h"

enum redis_socket_progress { REDIS_SOCKET_PENDING, REDIS_SOCKET_CONNECTED, REDIS_SOCKET_FAILED };

/* Embedded; zeroed. */
struct redis_socket {
    char error[192]; /* what went wrong last */
    /* private */
    struct loop *loop;
    const struct redis_address *address;
    void (*on_event)(void *data);
    void *data;
    SSL_CTX *tls; /* NULL for none */
    SSL *ssl;
    struct lookup *lookup;             /* NULL: none is under way */
    struct addrinfo *addresses, *next; /* to be tried */
    struct loop_watch *watch;
    int fd; /* -1 while it is closed */
    bool has_peer;
};

/* `on_event` is called whenever there may be something to go on with: connecting, reading or writing. `tls_ca` as in
 * struct redis_options. False with `error`. */
bool redis_socket_init(struct redis_socket *self, struct loop *loop, const struct redis_address *address,
                       const char *tls_ca, void (*on_event)(void *data), void *data);
/* Closes it. Half-built is fine. */
void redis_socket_dispose(struct redis_socket *self);

/* Starts connecting: the name is looked up, and its addresses are tried one after the other. */
enum redis_socket_progress redis_socket_open(struct redis_socket *self);
/* Goes on connecting, as on_event says. */
enum redis_socket_progress redis_socket_continue(struct redis_socket *self);
void redis_socket_close(struct redis_socket *self);

/* The bytes read or written: 0 when it has to wait for on_event, -1 with `error` when the connection is lost. */
ssize_t redis_socket_read(struct redis_socket *self, char *out, size_t size);
ssize_t redis_socket_write(struct redis_socket *self, const char *data, size_t length);

#endif
