/* Connections by level-triggered epoll. A connection watches for writability only while connecting and while the kernel
 * refuses more bytes; events of a connection that was closed earlier in the same turn find fd -1 and do nothing. */
#include "net.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { EVENTS_A_TURN = 512, READ_BYTES = 16384 };

uint64_t net_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void net_raise_file_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

bool net_init(struct net *net, const char *host, int port)
{
    *net = (struct net){.address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)}};
    if (inet_pton(AF_INET, host, &net->address.sin_addr) != 1) {
        errno = EINVAL;
        return false;
    }
    net->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    return net->epoll_fd >= 0;
}

void net_add_port(struct net *net, int port)
{
    net->other_port = htons((uint16_t)port);
}

void net_dispose(struct net *net)
{
    close(net->epoll_fd);
}

static void fail(struct net_connection *connection, const char *reason)
{
    net_close(connection);
    connection->callbacks->on_close(connection, reason);
}

static void watch(struct net_connection *connection, int operation, bool writable)
{
    struct epoll_event event = {.events = EPOLLIN | (writable ? (uint32_t)EPOLLOUT : 0), .data.ptr = connection};
    connection->awaits_writable = writable;
    epoll_ctl(connection->net->epoll_fd, operation, connection->fd, &event);
}

void net_connect(struct net *net, struct net_connection *connection, const struct net_callbacks *callbacks)
{
    const int on = 1;
    struct sockaddr_in address = net->address;
    if (net->other_port != 0 && net->connect_count++ % 2 == 1) {
        address.sin_port = net->other_port;
    }
    *connection = (struct net_connection){
        .net = net,
        .callbacks = callbacks,
        .fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0),
        .in = buffer_init(NET_BUFFER_MAX_BYTES),
        .out = buffer_init(NET_BUFFER_MAX_BYTES),
    };
    if (connection->fd < 0) {
        callbacks->on_close(connection, strerror(errno));
        return;
    }
    setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(connection->fd, (struct sockaddr *)&address, sizeof address) != 0 && errno != EINPROGRESS) {
        fail(connection, strerror(errno));
        return;
    }
    watch(connection, EPOLL_CTL_ADD, true);
}

void net_close(struct net_connection *connection)
{
    if (connection->fd < 0) {
        return;
    }
    close(connection->fd);
    connection->fd = -1;
    connection->is_open = false;
    buffer_dispose(&connection->in);
    buffer_dispose(&connection->out);
}

void net_write(struct net_connection *connection, const void *data, size_t length)
{
    if (connection->fd < 0) {
        return;
    }
    buffer_append(&connection->out, data, length);
    if (!connection->is_queued) {
        connection->is_queued = true;
        connection->next_queued = connection->net->queued;
        connection->net->queued = connection;
    }
}

static void flush(struct net_connection *connection)
{
    if (connection->fd < 0 || !connection->is_open) {
        return;
    }
    if (connection->out.failed) {
        fail(connection, "the server reads too slowly");
        return;
    }
    if (connection->out.length > 0) {
        ssize_t written = send(connection->fd, connection->out.data, connection->out.length, MSG_NOSIGNAL);
        if (written < 0 && errno != EAGAIN) {
            fail(connection, strerror(errno));
            return;
        }
        buffer_consume(&connection->out, written > 0 ? (size_t)written : 0);
    }
    const bool is_blocked = connection->out.length > 0;
    if (is_blocked != connection->awaits_writable) {
        watch(connection, EPOLL_CTL_MOD, is_blocked);
    }
}

static void flush_queued(struct net *net)
{
    while (net->queued != NULL) {
        struct net_connection *connection = net->queued;
        net->queued = connection->next_queued;
        connection->is_queued = false;
        flush(connection);
    }
}

static void read_some(struct net_connection *connection)
{
    char *room = buffer_reserve(&connection->in, READ_BYTES);
    if (room == NULL) {
        fail(connection, "a reply without end");
        return;
    }
    const ssize_t got = recv(connection->fd, room, READ_BYTES, 0);
    if (got < 0 && errno == EAGAIN) {
        return;
    }
    if (got <= 0) {
        fail(connection, got == 0 ? "closed by the server" : strerror(errno));
        return;
    }
    connection->in.length += (size_t)got;
    const size_t used = connection->callbacks->on_read(connection, connection->in.data, connection->in.length);
    if (connection->fd < 0) {
        return;
    }
    assert(used <= connection->in.length);
    if (used == connection->in.length) {
        buffer_dispose(&connection->in); /* ten thousand idle connections hold nothing */
    } else {
        buffer_consume(&connection->in, used);
    }
}

static void finish_connecting(struct net_connection *connection)
{
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(connection->fd, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error != 0) {
        fail(connection, strerror(error));
        return;
    }
    connection->is_open = true;
    connection->callbacks->on_open(connection);
    flush(connection);
}

void net_poll(struct net *net, uint64_t timeout_ns)
{
    struct epoll_event events[EVENTS_A_TURN];
    const struct timespec timeout = {.tv_sec = (time_t)(timeout_ns / 1000000000u),
                                     .tv_nsec = (long)(timeout_ns % 1000000000u)};
    flush_queued(net);
    const int count = epoll_pwait2(net->epoll_fd, events, EVENTS_A_TURN, &timeout, NULL);
    for (int i = 0; i < count; i++) {
        struct net_connection *connection = events[i].data.ptr;
        if (connection->fd >= 0 && !connection->is_open) {
            finish_connecting(connection);
            continue;
        }
        if (connection->fd >= 0 && (events[i].events & EPOLLOUT) != 0) {
            flush(connection);
        }
        if (connection->fd >= 0 && (events[i].events & ~(uint32_t)EPOLLOUT) != 0) {
            read_some(connection);
        }
    }
    flush_queued(net);
}
