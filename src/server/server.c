#include "server/server.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "address.h"
#include "lane.h"
#include "listener.h"
#include "tls.h"
#include "util/clock.h"
#include "util/log.h"

/* The process's part: what all lanes share, their threads, the signals, and the order in which things come and go. */

/* By HTTP/2 libh2o answers a body that is too large by resetting the stream, which asks many clients to try again: a
 * body that exceeds the limit by less than this comes through to our own answer. */
enum { BODY_SLACK_BYTES = 1 << 20 };

/* Of libh2o's client; each forwarded request has a deadline of its own before that. */
enum { FORWARD_TIMEOUT_MS = 24 * 3600 * 1000 };

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
    server->hosts[0] = h2o_config_register_host(&server->config, h2o_iovec_init(H2O_STRLIT("default")), 65535);
    server->handler = http_install(server->hosts[0]);
}

static bool open_listeners(struct server *server)
{
    int *fds = h2o_mem_alloc(sizeof *fds * (size_t)server->count);
    server->port = listener_open("HOST, PORT", server->options.host, server->options.port, server->count, fds);
    for (int i = 0; server->port >= 0 && i < server->count; i++) {
        server->lanes[i].fd = fds[i];
    }
    free(fds);
    const struct server_options *options = &server->options;
    return server->port >= 0 && (options->operator_host == NULL ||
                                 operator_port_open(&server->operator_port, &server->config, options->operator_host,
                                                    options->operator_port, options->operator_site));
}

/* At the start and again. False, logged, when the files are no good: then all stays as it is. */
static bool read_certificate(struct server *server)
{
    if (!server->has_tls) {
        return true;
    }
    SSL_CTX *tls = tls_create(server->options.tls_cert, server->options.tls_key);
    for (int i = 0; tls != NULL && i < server->count; i++) {
        lane_offer_certificate(&server->lanes[i], tls);
    }
    SSL_CTX_free(tls);
    return tls != NULL;
}

/* --- life --- */

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
        lane_start(&server->lanes[i]);
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

/* A socket of libh2o points at its maker's thread-local memory. So a thread stays until all sockets are closed, though
 * its loop has ended. */
static void *run_lane(void *data)
{
    struct lane *lane = data;
    loop_run(lane->worker->loop);
    pthread_barrier_wait(&lane->server->meeting);
    pthread_barrier_wait(&lane->server->meeting);
    return NULL;
}

static void start_threads(struct server *server)
{
    pthread_barrier_init(&server->meeting, NULL, (unsigned)server->count + 1);
    for (int i = 0; i < server->count; i++) {
        if (pthread_create(&server->lanes[i].thread, NULL, run_lane, &server->lanes[i]) != 0) {
            h2o_fatal("a thread cannot be started");
        }
    }
    server->has_threads = true;
}

static void end_threads(struct server *server)
{
    if (!server->has_threads) {
        return;
    }
    pthread_barrier_wait(&server->meeting);
    for (int i = 0; i < server->count; i++) {
        pthread_join(server->lanes[i].thread, NULL);
    }
    pthread_barrier_destroy(&server->meeting);
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

/* The one that ends it all. */
static int wait_for_signal(struct server *server)
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
    return number;
}

/* Whoever sends requests here has time to see that it is not ready. Another signal cuts it short. */
static void wait_unready(const struct server *server)
{
    sigset_t signals;
    int64_t end_us = clock_now_us() + (int64_t)server->options.drain_delay_s * 1000000, now_us;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    while ((now_us = clock_now_us()) < end_us) {
        struct timespec left = {(end_us - now_us) / 1000000, (end_us - now_us) % 1000000 * 1000};
        if (sigtimedwait(&signals, NULL, &left) > 0) {
            return;
        }
    }
}

bool server_run(struct server *server)
{
    bool is_clean = true;
    start_threads(server);
    int number = wait_for_signal(server);
    log_write(LOG_INFO, "stopping", LOG_STR("signal", number == SIGINT ? "SIGINT" : "SIGTERM"));
    for (int i = 0; i < server->count; i++) {
        drain_announce(&server->lanes[i]);
    }
    if (number == SIGTERM) {
        wait_unready(server);
    }
    for (int i = 0; i < server->count; i++) {
        drain_start(&server->lanes[i]);
    }
    pthread_barrier_wait(&server->meeting);
    for (int i = 0; i < server->count; i++) {
        is_clean = is_clean && server->lanes[i].is_clean;
    }
    return is_clean;
}

void server_destroy(struct server *server)
{
    if (server == NULL) {
        return;
    }
    operator_port_close(&server->operator_port);
    for (int i = 0; i < server->count; i++) {
        struct lane *lane = &server->lanes[i];
        acceptor_close(&lane->acceptor);
        if (lane->fd >= 0 && lane->context.loop == NULL) {
            close(lane->fd);
        }
        if (lane->context.loop != NULL) {
            h2o_timeout_unlink(&lane->context.http2._graceful_shutdown_timeout);
            h2o_context_dispose(&lane->context);
        }
    }
    end_threads(server);
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
