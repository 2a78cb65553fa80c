#include "server/server.h"

#include <errno.h>
#include <h2o.h>
#include <h2o/http1.h>
#include <h2o/http2.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "address.h"
#include "http/h2o_http.h"
#include "loop/h2o_loop.h"
#include "proxied.h"
#include "tls.h"
#include "util/log.h"
#include "util/places.h"

/* A lane is what libh2o needs for one worker: a context, a listener of its own (SO_REUSEPORT) and the connections that
 * it accepted. Stopping is the same on each lane: close the listener, tell everybody, and leave the loop when the last
 * connection has gone or time is up. */

enum { BACKLOG = 4096, ACCEPTS_A_TURN = 32, ACCEPT_PAUSE_MS = 100, TELL_EVERY_MS = 10000 };
enum { DRAIN_STEP_MS = 20, SHUTDOWN_GRACE_MS = 1200, CUT_GRACE_MS = 500, SWEEP_MS = 1000, GUARD_MS = 100 };

/* By HTTP/2 libh2o answers a body that is too large by resetting the stream, which asks many clients to try again: a
 * body that exceeds the limit by less than this comes through to our own answer. */
enum { BODY_SLACK_BYTES = 1 << 20 };

/* Of each connection, so that one turn of the loop reads no more from anybody. */
enum { RECEIVE_BUFFER_BYTES = 128 << 10 };

/* Of libh2o's client; each forwarded request has a deadline of its own before that. */
enum { FORWARD_TIMEOUT_MS = 24 * 3600 * 1000 };

struct lane {
    struct server *server;
    struct server_worker *worker;
    h2o_context_t context;
    h2o_accept_ctx_t accept;
    h2o_socket_t *listener;
    struct proxied proxied;
    struct http_connections connections;
    struct loop_task stop, renewal;
    SSL_CTX *tls;                /* in use: a reference, as the next one; NULL: no TLS */
    _Atomic(SSL_CTX *) next_tls; /* read again, and not taken yet */
    struct timer drain;
    uint64_t drain_until_ms, polite_until_ms;
    struct timer accept_pause, sweep, guard;
    int64_t turned_away;
    uint64_t told_ms;
    bool is_full; /* no descriptor was free for the newest connection */
    bool is_clean;
    pthread_t thread;
    int fd;
};

struct server {
    struct server_options options;
    h2o_globalconf_t config;
    h2o_hostconf_t *host;
    h2o_handler_t *handler;
    bool has_tls;
    struct places *places;
    struct lane *lanes;
    int count, port;
};

static void configure(struct server *server)
{
    h2o_config_init(&server->config);
    server->config.server_name = h2o_iovec_init(NULL, 0);
    server->config.max_request_entity_size = server->options.max_body_bytes + BODY_SLACK_BYTES;
    uint64_t timeout_ms = (uint64_t)server->options.request_timeout_s * 1000;
    server->config.http1.req_timeout = timeout_ms;
    server->config.http2.idle_timeout = timeout_ms;
    server->config.proxy.io_timeout = FORWARD_TIMEOUT_MS;
    server->config.http2.max_concurrent_requests_per_connection = 100;
    server->host = h2o_config_register_host(&server->config, h2o_iovec_init(H2O_STRLIT("default")), 65535);
    server->handler = http_install(server->host);
}

/* A listening socket on the address; with port 0 the first one finds a port for all. */
static int open_listener(const struct addrinfo *address, int port)
{
    struct sockaddr_storage name;
    memcpy(&name, address->ai_addr, address->ai_addrlen);
    if (name.ss_family == AF_INET6) {
        ((struct sockaddr_in6 *)&name)->sin6_port = htons((uint16_t)port);
    } else {
        ((struct sockaddr_in *)&name)->sin_port = htons((uint16_t)port);
    }
    int one = 1, receive_bytes = RECEIVE_BUFFER_BYTES;
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) != 0 ||
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one) != 0 ||
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_bytes, sizeof receive_bytes) != 0 ||
        bind(fd, (struct sockaddr *)&name, address->ai_addrlen) != 0 || listen(fd, BACKLOG) != 0) {
        int error = errno;
        close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

static int port_of(int fd)
{
    struct sockaddr_storage name;
    socklen_t length = sizeof name;
    getsockname(fd, (struct sockaddr *)&name, &length);
    return ntohs(name.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&name)->sin6_port
                                            : ((struct sockaddr_in *)&name)->sin_port);
}

/* Another process on the port must not share it unnoticed: SO_REUSEPORT would let it in. */
static bool is_port_taken(const struct addrinfo *address)
{
    int one = 1, fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    bool is_taken = bind(fd, address->ai_addr, address->ai_addrlen) != 0 && errno == EADDRINUSE;
    close(fd);
    return is_taken;
}

static bool open_listeners(struct server *server)
{
    char port[16];
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE};
    struct addrinfo *address = NULL;
    snprintf(port, sizeof port, "%d", server->options.port);
    int error = getaddrinfo(server->options.host, port, &hints, &address);
    if (error != 0) {
        log_write(LOG_ERROR, "HOST is not an address to listen on", LOG_STR("host", server->options.host),
                  LOG_STR("reason", gai_strerror(error)));
        return false;
    }
    bool good = server->options.port == 0 || !is_port_taken(address);
    errno = EADDRINUSE;
    server->port = server->options.port;
    for (int i = 0; good && i < server->count; i++) {
        server->lanes[i].fd = open_listener(address, server->port);
        good = server->lanes[i].fd >= 0;
        server->port = good ? port_of(server->lanes[i].fd) : server->port;
    }
    if (!good) {
        log_write(LOG_ERROR, "cannot listen: set PORT to a free one", LOG_STR("host", server->options.host),
                  LOG_INT("port", server->port), LOG_STR("reason", strerror(errno)));
    }
    freeaddrinfo(address);
    return good;
}

static void on_accept(h2o_socket_t *listener, const char *error);

static void on_accept_pause(struct timer *timer)
{
    struct lane *lane = (struct lane *)((char *)timer - offsetof(struct lane, accept_pause));
    h2o_socket_read_start(lane->listener, on_accept);
}

/* Nothing was accepted. The listener stays readable without free descriptors, so that it is left alone for a while. */
static void on_accept_failure(struct lane *lane, int error)
{
    if (error != EMFILE && error != ENFILE && error != ENOBUFS && error != ENOMEM) {
        return;
    }
    if (!lane->is_full) {
        log_write(LOG_ERROR, "cannot accept connections", LOG_STR("reason", strerror(error)),
                  LOG_INT("connections", lane->connections.count));
    }
    lane->is_full = true;
    h2o_socket_read_stop(lane->listener);
    loop_timer_start(lane->worker->loop, &lane->accept_pause, ACCEPT_PAUSE_MS);
}

/* Whom the connection counts for. False: for nobody, since a proxy has made it. */
static bool find_client(const struct server *server, h2o_socket_t *socket, struct ip_address *ret_address)
{
    struct sockaddr_storage name;
    return h2o_socket_getpeername(socket, (struct sockaddr *)&name) > 0 &&
           ip_address_of_socket((struct sockaddr *)&name, ret_address) &&
           !ip_networks_hold(&server->options.trust_proxy, ret_address);
}

/* Without TLS, where it can be said at once. */
static void turn_away(struct lane *lane, h2o_socket_t *socket)
{
    static const char ANSWER[] = "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nRetry-After: 10\r\n"
                                 "Content-Length: 0\r\n\r\n";
    if (!lane->server->has_tls) {
        int fd = h2o_socket_get_fd(socket);
        ssize_t sent = send(fd, ANSWER, sizeof ANSWER - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
        (void)sent; /* or not */
        shutdown(fd, SHUT_WR);
    }
    uint64_t now_ms = loop_now_ms(lane->worker->loop);
    if (lane->turned_away++ == 0 || now_ms - lane->told_ms >= TELL_EVERY_MS) {
        lane->told_ms = now_ms;
        log_write(LOG_WARN, "connections are turned away: MAX_CONNECTIONS or MAX_CONNECTIONS_PER_IP is reached",
                  LOG_INT("connections", lane->connections.count), LOG_INT("turnedAway", lane->turned_away));
    }
    h2o_socket_close(socket);
}

/* A proxy has named its client. */
static void on_proxied(struct proxied *proxied, h2o_socket_t *socket, struct place *place)
{
    struct lane *lane = (struct lane *)((char *)proxied - offsetof(struct lane, proxied));
    struct ip_address client;
    if (find_client(lane->server, socket, &client) && !place_assign(place, &client)) {
        place_give_back(place);
        turn_away(lane, socket);
    } else {
        http_connections_accept(&lane->connections, &lane->accept, socket, place);
    }
}

static void admit(struct lane *lane, h2o_socket_t *socket)
{
    struct ip_address client;
    bool is_client = find_client(lane->server, socket, &client);
    struct place *place = places_take(lane->server->places, is_client ? &client : NULL);
    if (place == NULL) {
        turn_away(lane, socket);
    } else if (!is_client && lane->server->options.has_proxy_headers) {
        proxied_expect(&lane->proxied, socket, place);
    } else {
        http_connections_accept(&lane->connections, &lane->accept, socket, place);
    }
}

static void on_accept(h2o_socket_t *listener, const char *error)
{
    struct lane *lane = listener->data;
    if (error != NULL) {
        return;
    }
    for (int i = 0; i < ACCEPTS_A_TURN; i++) {
        h2o_socket_t *socket = h2o_evloop_socket_accept(listener);
        if (socket == NULL) {
            on_accept_failure(lane, errno);
            return;
        }
        lane->is_full = false;
        admit(lane, socket);
    }
}

static void on_sweep(struct timer *timer)
{
    struct lane *lane = (struct lane *)((char *)timer - offsetof(struct lane, sweep));
    uint64_t now_ms = loop_now_ms(lane->worker->loop);
    uint64_t timeout_ms = (uint64_t)lane->server->options.request_timeout_s * 1000;
    if (now_ms > timeout_ms) {
        http_connections_cut_slow(&lane->connections, now_ms - timeout_ms);
    }
    http_connections_cut_unfinished(&lane->connections, lane->server->options.request_timeout_s);
    loop_timer_start(lane->worker->loop, timer, SWEEP_MS);
}

static void on_guard(struct timer *timer)
{
    struct lane *lane = (struct lane *)((char *)timer - offsetof(struct lane, guard));
    http_connections_guard(&lane->connections);
    loop_timer_start(lane->worker->loop, timer, GUARD_MS);
}

/* --- the certificate, at the start and again --- */

static void take_certificate(struct lane *lane)
{
    SSL_CTX *next = atomic_exchange(&lane->next_tls, NULL);
    if (next != NULL) {
        SSL_CTX_free(lane->tls); /* the connections that use it have references of their own */
        lane->tls = lane->accept.ssl_ctx = next;
    }
}

static void on_renewal(struct loop_task *task)
{
    take_certificate((struct lane *)((char *)task - offsetof(struct lane, renewal)));
}

/* Each lane gets a reference, by on_renewal. False, logged, when the files are no good: then all stays as it is. */
static bool read_certificate(struct server *server)
{
    if (!server->has_tls) {
        return true;
    }
    SSL_CTX *tls = tls_create(server->options.tls_cert, server->options.tls_key);
    for (int i = 0; tls != NULL && i < server->count; i++) {
        struct lane *lane = &server->lanes[i];
        SSL_CTX_up_ref(tls);
        SSL_CTX *waiting = atomic_exchange(&lane->next_tls, tls);
        if (waiting == NULL) {
            lane->renewal.run = on_renewal;
            loop_post(lane->worker->loop, &lane->renewal);
        }
        SSL_CTX_free(waiting);
    }
    SSL_CTX_free(tls);
    return tls != NULL;
}

/* --- life --- */

static void start_lane(struct lane *lane)
{
    struct server *server = lane->server;
    h2o_loop_t *loop = loop_h2o(lane->worker->loop);
    h2o_context_init(&lane->context, loop, &server->config);
    http_bind(&lane->context, server->handler, &lane->worker->http);
    lane->accept = (h2o_accept_ctx_t){.ctx = &lane->context, .hosts = server->config.hosts};
    take_certificate(lane);
    lane->listener = h2o_evloop_socket_create(loop, lane->fd, H2O_SOCKET_FLAG_DONT_READ);
    lane->listener->data = lane;
    h2o_socket_read_start(lane->listener, on_accept);
    http_connections_init(&lane->connections, &lane->context, lane->worker->loop,
                          server->options.max_held_bytes / (size_t)server->count);
    lane->proxied = (struct proxied){.loop = lane->worker->loop,
                                     .timeout_ms = (uint64_t)server->options.request_timeout_s * 1000,
                                     .on_client = on_proxied};
    lane->accept_pause.on_fire = on_accept_pause;
    lane->sweep.on_fire = on_sweep;
    loop_timer_start(lane->worker->loop, &lane->sweep, SWEEP_MS);
    lane->guard.on_fire = on_guard;
    loop_timer_start(lane->worker->loop, &lane->guard, GUARD_MS);
}

struct server *server_create(const struct server_options *options, struct server_worker *workers, int count)
{
    struct server *server = h2o_mem_alloc(sizeof *server);
    *server = (struct server){.options = *options, .count = count};
    server->lanes = h2o_mem_alloc(sizeof(struct lane) * (size_t)count);
    memset(server->lanes, 0, sizeof(struct lane) * (size_t)count);
    configure(server);
    for (int i = 0; i < count; i++) {
        server->lanes[i].server = server;
        server->lanes[i].worker = &workers[i];
        server->lanes[i].fd = -1;
    }
    server->places = places_create(options->max_connections, options->max_connections_per_ip);
    server->config.proxy.ssl_ctx = tls_create_client(options->tls_cert, options->has_proxy_headers);
    server->has_tls = options->tls_cert != NULL;
    if (server->places == NULL || server->config.proxy.ssl_ctx == NULL || !read_certificate(server) ||
        !open_listeners(server)) {
        server_destroy(server);
        return NULL;
    }
    for (int i = 0; i < count; i++) {
        start_lane(&server->lanes[i]);
    }
    return server;
}

int server_port(const struct server *server)
{
    return server->port;
}

void server_url(const struct server *server, char out[SERVER_URL_LENGTH])
{
    address_format_url(server->options.host, server->port, server->has_tls, out);
}

static int count_connections(const struct lane *lane)
{
    int upgraded = lane->worker->count_open != NULL ? lane->worker->count_open(lane->worker) : 0;
    return lane->proxied.count + lane->connections.count + upgraded;
}

static void end_lane(struct lane *lane)
{
    loop_timer_stop(lane->worker->loop, &lane->sweep);
    loop_timer_stop(lane->worker->loop, &lane->guard);
    loop_stop(lane->worker->loop);
}

/* Time is up: nothing may be left when the context goes, for libh2o has no way to end a connection from outside. */
static void on_cut(struct timer *timer)
{
    struct lane *lane = (struct lane *)((char *)timer - offsetof(struct lane, drain));
    struct loop *loop = lane->worker->loop;
    proxied_close_all(&lane->proxied);
    if (lane->connections.count > 0 && loop_now_ms(loop) < lane->drain_until_ms + CUT_GRACE_MS) {
        http_connections_cut(&lane->connections);
        loop_timer_start(loop, &lane->drain, DRAIN_STEP_MS);
    } else {
        end_lane(lane);
    }
}

/* Looks again and again whether the last connection has gone; libh2o's own farewell takes a second. */
static void on_drain(struct timer *timer)
{
    struct lane *lane = (struct lane *)((char *)timer - offsetof(struct lane, drain));
    struct loop *loop = lane->worker->loop;
    uint64_t now_ms = loop_now_ms(loop);
    lane->is_clean = count_connections(lane) == 0;
    if (lane->is_clean) {
        end_lane(lane);
    } else if (now_ms < lane->drain_until_ms) {
        if (now_ms >= lane->polite_until_ms) {
            proxied_close_all(&lane->proxied);
            http_connections_shutdown(&lane->connections);
        }
        loop_timer_start(loop, timer, DRAIN_STEP_MS);
    } else {
        timer->on_fire = on_cut;
        on_cut(timer);
    }
}

static void on_stop(struct loop_task *task)
{
    struct lane *lane = (struct lane *)((char *)task - offsetof(struct lane, stop));
    on_accept(lane->listener, NULL); /* who is connected already is served */
    h2o_socket_close(lane->listener);
    loop_timer_stop(lane->worker->loop, &lane->accept_pause);
    lane->listener = NULL;
    if (lane->worker->on_stop != NULL) {
        lane->worker->on_stop(lane->worker);
    }
    lane->connections.is_stopping = true;
    http_worker_stop_forwarding(&lane->worker->http);
    h2o_context_request_shutdown(&lane->context);
    uint64_t now_ms = loop_now_ms(lane->worker->loop);
    lane->drain_until_ms = now_ms + (uint64_t)lane->server->options.drain_s * 1000;
    lane->polite_until_ms = now_ms + SHUTDOWN_GRACE_MS;
    lane->drain.on_fire = on_drain;
    loop_timer_start(lane->worker->loop, &lane->drain, DRAIN_STEP_MS);
}

static void *run_lane(void *data)
{
    struct lane *lane = data;
    loop_run(lane->worker->loop);
    return NULL;
}

static void reload(struct server *server)
{
    const struct server_options *options = &server->options;
    if (server->has_tls && read_certificate(server)) {
        tls_trust(server->config.proxy.ssl_ctx, options->tls_cert);
        log_write(LOG_INFO, "TLS_CERT and TLS_KEY were read again");
    } else if (server->has_tls) {
        log_write(LOG_ERROR, "TLS_CERT and TLS_KEY stay as they were: put them right, and send SIGHUP again");
    }
    if (options->on_reload != NULL) {
        options->on_reload(options->reload_data);
    }
}

/* Until the one that ends it all. */
static void wait_for_signals(struct server *server)
{
    sigset_t signals;
    int number = 0;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGHUP);
    while (sigwait(&signals, &number) != 0 || number == SIGHUP) {
        if (number == SIGHUP) {
            reload(server);
        }
    }
    log_write(LOG_INFO, "stopping", LOG_STR("signal", number == SIGINT ? "SIGINT" : "SIGTERM"));
}

bool server_run(struct server *server)
{
    bool is_clean = true;
    for (int i = 0; i < server->count; i++) {
        if (pthread_create(&server->lanes[i].thread, NULL, run_lane, &server->lanes[i]) != 0) {
            h2o_fatal("a thread cannot be started");
        }
    }
    wait_for_signals(server);
    for (int i = 0; i < server->count; i++) {
        server->lanes[i].stop.run = on_stop;
        loop_post(server->lanes[i].worker->loop, &server->lanes[i].stop);
    }
    for (int i = 0; i < server->count; i++) {
        pthread_join(server->lanes[i].thread, NULL);
        is_clean = is_clean && server->lanes[i].is_clean;
    }
    return is_clean;
}

void server_destroy(struct server *server)
{
    if (server == NULL) {
        return;
    }
    for (int i = 0; i < server->count; i++) {
        struct lane *lane = &server->lanes[i];
        if (lane->listener != NULL) {
            h2o_socket_close(lane->listener);
        } else if (lane->fd >= 0 && lane->context.loop == NULL) {
            close(lane->fd);
        }
        if (lane->context.loop != NULL) {
            h2o_timeout_unlink(&lane->context.http2._graceful_shutdown_timeout);
            h2o_context_dispose(&lane->context);
        }
    }
    SSL_CTX_free(server->config.proxy.ssl_ctx);
    h2o_config_dispose(&server->config);
    places_destroy(server->places);
    for (int i = 0; i < server->count; i++) {
        SSL_CTX_free(server->lanes[i].tls);
        SSL_CTX_free(server->lanes[i].next_tls);
    }
    free(server->lanes);
    free(server);
}
