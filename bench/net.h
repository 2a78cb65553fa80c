/* Many client connections on one thread: epoll, a buffer each way, and callbacks. Writing only queues; what was queued
 * leaves at the start of the next net_poll, so that all that one turn makes goes out in one system call a connection.
 */
#ifndef STONECHAT_BENCH_NET_H
#define STONECHAT_BENCH_NET_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/buffer.h"

enum { NET_BUFFER_MAX_BYTES = 8 << 20 };

struct net_connection;

struct net {
    in_port_t other_port; /* 0: none */
    unsigned connect_count;
    int epoll_fd;
    struct sockaddr_in address; /* of the server */
    struct net_connection *queued;
};

struct net_callbacks {
    void (*on_open)(struct net_connection *connection);
    /* All the bytes that wait; returns how many were used. The connection may be closed inside. */
    size_t (*on_read)(struct net_connection *connection, const char *bytes, size_t length);
    /* The server closed, or the connection failed: `reason` says which. Not called after net_close. */
    void (*on_close)(struct net_connection *connection, const char *reason);
};

/* Embedded as the first member of its owner; must stay where it is while it is open. */
struct net_connection {
    struct net *net;
    const struct net_callbacks *callbacks;
    int fd; /* -1 when closed */
    bool is_open, awaits_writable, is_queued;
    struct buffer in, out;
    struct net_connection *next_queued;
};

/* False, with errno, when `host` is no IPv4 address (EINVAL) or epoll cannot be had. */
bool net_init(struct net *net, const char *host, int port);
/* Every second connection from now on goes to this port: another node's. */
void net_add_port(struct net *net, int port);
void net_dispose(struct net *net);

/* Raises the limit of open files to what the system allows. */
void net_raise_file_limit(void);

/* Starts connecting; on_open or on_close follows. */
void net_connect(struct net *net, struct net_connection *connection, const struct net_callbacks *callbacks);
void net_write(struct net_connection *connection, const void *data, size_t length);
/* Closes at once and frees the buffers; nothing happens when it is closed already. */
void net_close(struct net_connection *connection);

/* Sends what is queued, waits at most `timeout_ns` for something to happen, and lets it happen. */
void net_poll(struct net *net, uint64_t timeout_ns);

/* Nanoseconds of a clock that never goes back. */
uint64_t net_now_ns(void);

#endif
