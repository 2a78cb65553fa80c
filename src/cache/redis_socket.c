#include "redis_socket.h"

#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Each address that the name has is tried in turn, then comes the handshake of TLS. hiredis' own asynchronous
 * connections (0.14) know no TLS and take no socket of ours, so that only its parser is used, in redis.c. */

enum { KEEPALIVE_IDLE_S = 20, UNACKNOWLEDGED_MAX_MS = 20000 };

static void set_error(struct redis_socket *self, const char *what, const char *why)
{
    snprintf(self->error, sizeof self->error, "%s: %s", what, why);
}

/* --- TLS --- */

static bool create_tls(struct redis_socket *self, const char *tls_ca)
{
    self->tls = SSL_CTX_new(TLS_client_method());
    if (self->tls == NULL || SSL_CTX_set_min_proto_version(self->tls, TLS1_2_VERSION) != 1) {
        set_error(self, "TLS", "out of memory");
        return false;
    }
    SSL_CTX_set_verify(self->tls, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_options(self->tls, SSL_OP_NO_RENEGOTIATION);
    SSL_CTX_set_mode(self->tls, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    int good = tls_ca != NULL ? SSL_CTX_load_verify_locations(self->tls, tls_ca, NULL)
                              : SSL_CTX_set_default_verify_paths(self->tls);
    if (good != 1) {
        set_error(self, "the certificates to trust cannot be read", tls_ca != NULL ? tls_ca : "the system's");
    }
    ERR_clear_error();
    return good == 1;
}

/* The certificate has to be for this very host. */
static bool start_tls(struct redis_socket *self)
{
    const char *host = self->address->host;
    self->ssl = SSL_new(self->tls);
    if (self->ssl == NULL || SSL_set_fd(self->ssl, self->fd) != 1) {
        return false;
    }
    SSL_set_connect_state(self->ssl);
    X509_VERIFY_PARAM *rules = SSL_get0_param(self->ssl);
    if (X509_VERIFY_PARAM_set1_ip_asc(rules, host) == 1) {
        return true;
    }
    X509_VERIFY_PARAM_set_hostflags(rules, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return SSL_set1_host(self->ssl, host) == 1 && SSL_set_tlsext_host_name(self->ssl, host) == 1;
}

static void on_watch(void *data)
{
    struct redis_socket *self = data;
    self->on_event(self->data);
}

/* 0: it is to be tried again; -1: it is lost. */
static ssize_t judge_tls(struct redis_socket *self, int result)
{
    int system_error = errno;
    switch (SSL_get_error(self->ssl, result)) {
    case SSL_ERROR_WANT_READ:
        return 0;
    case SSL_ERROR_WANT_WRITE:
        loop_watch_writable(self->watch, on_watch);
        return 0;
    case SSL_ERROR_ZERO_RETURN:
        set_error(self, "TLS", "Redis has closed the connection");
        return -1;
    case SSL_ERROR_SYSCALL:
        set_error(self, "TLS", system_error != 0 ? strerror(system_error) : "the connection was cut");
        return -1;
    default: {
        long verdict = SSL_get_verify_result(self->ssl);
        const char *reason = ERR_reason_error_string(ERR_peek_last_error());
        set_error(self, "TLS",
                  verdict != X509_V_OK ? X509_verify_cert_error_string(verdict)
                  : reason != NULL     ? reason
                                       : "the connection was cut");
        return -1;
    }
    }
}

static enum redis_socket_progress shake_hands(struct redis_socket *self)
{
    ERR_clear_error();
    errno = 0;
    int result = SSL_do_handshake(self->ssl);
    return result == 1                    ? REDIS_SOCKET_CONNECTED
           : judge_tls(self, result) == 0 ? REDIS_SOCKET_PENDING
                                          : REDIS_SOCKET_FAILED;
}

/* --- connecting --- */

static void close_one(struct redis_socket *self)
{
    loop_watch_destroy(self->watch);
    self->watch = NULL;
    SSL_free(self->ssl);
    self->ssl = NULL;
    if (self->fd >= 0) {
        close(self->fd);
    }
    self->fd = -1;
    self->has_peer = false;
}

static bool start_one(struct redis_socket *self, const struct addrinfo *address)
{
    static const int on = 1, idle_s = KEEPALIVE_IDLE_S;
    static const unsigned unacknowledged_ms = UNACKNOWLEDGED_MAX_MS;
    self->fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (self->fd < 0) {
        return false;
    }
    setsockopt(self->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(self->fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    setsockopt(self->fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof idle_s);
    setsockopt(self->fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &unacknowledged_ms, sizeof unacknowledged_ms);
    if (connect(self->fd, address->ai_addr, address->ai_addrlen) != 0 && errno != EINPROGRESS) {
        return false;
    }
    self->watch = loop_watch_create(self->loop, self->fd, on_watch, self);
    if (self->watch == NULL) {
        errno = EMFILE;
        return false;
    }
    loop_watch_writable(self->watch, on_watch);
    return true;
}

static enum redis_socket_progress try_next(struct redis_socket *self)
{
    while (self->next != NULL) {
        const struct addrinfo *address = self->next;
        self->next = address->ai_next;
        if (start_one(self, address)) {
            return REDIS_SOCKET_PENDING;
        }
        set_error(self, "cannot connect", strerror(errno));
        close_one(self);
    }
    return REDIS_SOCKET_FAILED;
}

static void on_looked_up(void *data, struct addrinfo *addresses, const char *error)
{
    struct redis_socket *self = data;
    self->lookup = NULL;
    self->addresses = self->next = addresses;
    if (addresses == NULL) {
        set_error(self, "the name is not found", error);
    }
    self->on_event(self->data);
}

enum redis_socket_progress redis_socket_open(struct redis_socket *self)
{
    self->lookup = lookup_start(self->loop, self->address->host, self->address->port, on_looked_up, self);
    if (self->lookup == NULL) {
        set_error(self, "the name is not found", "no thread is free to look it up");
        return REDIS_SOCKET_FAILED;
    }
    return REDIS_SOCKET_PENDING;
}

enum redis_socket_progress redis_socket_continue(struct redis_socket *self)
{
    struct sockaddr_storage peer;
    socklen_t length = sizeof peer, error_length = sizeof(int);
    int error = 0;
    if (self->lookup != NULL) {
        return REDIS_SOCKET_PENDING;
    }
    if (self->fd < 0) {
        return try_next(self);
    }
    if (!self->has_peer) {
        getsockopt(self->fd, SOL_SOCKET, SO_ERROR, &error, &error_length);
        if (error != 0) {
            set_error(self, "cannot connect", strerror(error));
            close_one(self);
            return try_next(self);
        }
        if (getpeername(self->fd, (struct sockaddr *)&peer, &length) != 0) {
            return REDIS_SOCKET_PENDING;
        }
        self->has_peer = true;
        if (self->tls != NULL && !start_tls(self)) {
            set_error(self, "TLS", "out of memory");
            return REDIS_SOCKET_FAILED;
        }
    }
    return self->tls == NULL ? REDIS_SOCKET_CONNECTED : shake_hands(self);
}

void redis_socket_close(struct redis_socket *self)
{
    close_one(self);
    lookup_cancel(self->lookup);
    self->lookup = NULL;
    if (self->addresses != NULL) {
        freeaddrinfo(self->addresses);
    }
    self->addresses = self->next = NULL;
}

/* --- reading and writing --- */

ssize_t redis_socket_read(struct redis_socket *self, char *out, size_t size)
{
    errno = 0;
    if (self->ssl != NULL) {
        ERR_clear_error();
        int result = SSL_read(self->ssl, out, (int)size);
        return result > 0 ? result : judge_tls(self, result);
    }
    ssize_t result = recv(self->fd, out, size, 0);
    if (result > 0) {
        return result;
    }
    if (result < 0 && (errno == EAGAIN || errno == EINTR)) {
        return 0;
    }
    set_error(self, "connection", result == 0 ? "closed by Redis" : strerror(errno));
    return -1;
}

ssize_t redis_socket_write(struct redis_socket *self, const char *data, size_t length)
{
    errno = 0;
    if (self->ssl != NULL) {
        ERR_clear_error();
        int result = SSL_write(self->ssl, data, length < INT_MAX ? (int)length : INT_MAX);
        return result > 0 ? result : judge_tls(self, result);
    }
    ssize_t result = send(self->fd, data, length, MSG_NOSIGNAL);
    if (result >= 0) {
        return result;
    }
    if (errno == EAGAIN || errno == EINTR) {
        loop_watch_writable(self->watch, on_watch);
        return 0;
    }
    set_error(self, "connection", strerror(errno));
    return -1;
}

/* --- life --- */

bool redis_socket_init(struct redis_socket *self, struct loop *loop, const struct redis_address *address,
                       const char *tls_ca, void (*on_event)(void *data), void *data)
{
    *self = (struct redis_socket){.loop = loop, .address = address, .on_event = on_event, .data = data, .fd = -1};
    return !address->has_tls || create_tls(self, tls_ca);
}

void redis_socket_dispose(struct redis_socket *self)
{
    redis_socket_close(self);
    SSL_CTX_free(self->tls);
    self->tls = NULL;
}
