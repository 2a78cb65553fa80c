#include "lane.h"

#include <unistd.h>

#include "loop/h2o_loop.h"
#include "util/log.h"
#include "util/status.h"
#include "util/uuid.h"

/* How connections come in: each is counted for its client, or waits for the proxy that made it to name him, and then is
 * libh2o's. Now and then those that take too long or hold too much are looked for. */

enum { TELL_EVERY_MS = 10000, SWEEP_MS = 1000, GUARD_MS = 100 };

/* Whom the connection counts for. False: for nobody, since a proxy has made it. */
static bool find_client(const struct server *server, h2o_socket_t *socket, struct ip_address *ret_address)
{
    struct sockaddr_storage name;
    return h2o_socket_getpeername(socket, (struct sockaddr *)&name) > 0 &&
           ip_address_of_socket((struct sockaddr *)&name, ret_address) &&
           !ip_networks_hold(&server->options.trust_proxy, ret_address);
}

/* Libh2o does not have the connection: the envelope of all failures, by hand. */
static void send_unavailable(int fd)
{
    static const char HEAD[] = "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nRetry-After: 10\r\n"
                               "Content-Type: application/json; charset=utf-8\r\n";
    char id[UUID_TEXT_LENGTH + 1] = "", body[256], answer[1024];
    uuid_format(uuid_generate(), id);
    int length =
        snprintf(body, sizeof body, "{\"success\":false,\"message\":\"%s\",\"code\":\"%s\",\"requestId\":\"%s\"}",
                 status_message(STATUS_UNAVAILABLE), status_code(STATUS_UNAVAILABLE), id);
    length =
        snprintf(answer, sizeof answer, "%sX-Request-Id: %s\r\nContent-Length: %d\r\n\r\n%s", HEAD, id, length, body);
    ssize_t sent = send(fd, answer, (size_t)length, MSG_DONTWAIT | MSG_NOSIGNAL);
    (void)sent; /* or not */
}

/* Without TLS, where it can be said at once. */
static void turn_away(struct lane *lane, h2o_socket_t *socket)
{
    if (!lane->server->has_tls) {
        int fd = h2o_socket_get_fd(socket);
        send_unavailable(fd);
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

static void on_connection(struct acceptor *acceptor, h2o_socket_t *socket)
{
    struct lane *lane = (struct lane *)((char *)acceptor - offsetof(struct lane, acceptor));
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

void lane_offer_certificate(struct lane *lane, SSL_CTX *tls)
{
    SSL_CTX_up_ref(tls);
    SSL_CTX *waiting = atomic_exchange(&lane->next_tls, tls);
    if (waiting == NULL && lane->is_started) { /* else lane_start takes it, or the task is on its way */
        lane->renewal.run = on_renewal;
        loop_post(lane->worker->loop, &lane->renewal);
    }
    SSL_CTX_free(waiting);
}

/* --- life --- */

void lane_start(struct lane *lane)
{
    struct server *server = lane->server;
    h2o_context_init(&lane->context, loop_h2o(lane->worker->loop), &server->config);
    http_bind(&lane->context, server->handler, &lane->worker->http);
    lane->accept = (h2o_accept_ctx_t){.ctx = &lane->context, .hosts = server->hosts};
    take_certificate(lane);
    lane->is_started = true;
    lane->acceptor = (struct acceptor){
        .loop = lane->worker->loop, .connections = &lane->connections, .on_connection = on_connection};
    acceptor_start(&lane->acceptor, lane->fd);
    http_connections_init(&lane->connections, &lane->context, lane->worker->loop,
                          server->options.max_held_bytes / (size_t)server->count);
    if (lane_is_first(lane)) {
        operator_port_start(&server->operator_port, &lane->context, &lane->worker->http, &lane->connections,
                            server->places);
    }
    lane->proxied = (struct proxied){.loop = lane->worker->loop,
                                     .timeout_ms = (uint64_t)server->options.request_timeout_s * 1000,
                                     .on_client = on_proxied};
    lane->sweep.on_fire = on_sweep;
    loop_timer_start(lane->worker->loop, &lane->sweep, SWEEP_MS);
    lane->guard.on_fire = on_guard;
    loop_timer_start(lane->worker->loop, &lane->guard, GUARD_MS);
}

void lane_close_listener(struct lane *lane)
{
    acceptor_accept(&lane->acceptor);
    acceptor_close(&lane->acceptor);
}
