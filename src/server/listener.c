#include "listener.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "util/log.h"

/* Each worker has a socket of its own on the same port (SO_REUSEPORT), among which the kernel shares out what comes. */

enum { BACKLOG = 4096 };

/* Of each connection, so that one turn of the loop reads no more from anybody. */
enum { RECEIVE_BUFFER_BYTES = 128 << 10 };

/* -1, and errno, when it cannot be. */
static int open_one(const struct addrinfo *address, int port)
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
static bool is_taken(const struct addrinfo *address)
{
    int one = 1, fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    bool is_taken = bind(fd, address->ai_addr, address->ai_addrlen) != 0 && errno == EADDRINUSE;
    close(fd);
    return is_taken;
}

/* The first one finds a port for all. -1, and errno, with none left open. */
static int open_all(const struct addrinfo *address, int port, int count, int *ret_fds)
{
    if (port != 0 && is_taken(address)) {
        errno = EADDRINUSE;
        return -1;
    }
    for (int i = 0; i < count; i++) {
        ret_fds[i] = open_one(address, port);
        if (ret_fds[i] < 0) {
            int error = errno;
            while (i > 0) {
                close(ret_fds[--i]);
            }
            errno = error;
            return -1;
        }
        port = port_of(ret_fds[i]);
    }
    return port;
}

int listener_open(const char *setting, const char *host, int port, int count, int *ret_fds)
{
    char service[16];
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE};
    struct addrinfo *address = NULL;
    snprintf(service, sizeof service, "%d", port);
    int error = getaddrinfo(host, service, &hints, &address);
    if (error != 0) {
        log_write(LOG_ERROR, "not an address to listen on", LOG_STR("setting", setting), LOG_STR("host", host),
                  LOG_STR("reason", gai_strerror(error)));
        return -1;
    }
    int opened = open_all(address, port, count, ret_fds);
    if (opened < 0) {
        log_write(LOG_ERROR, "cannot listen: set another address or a free port", LOG_STR("setting", setting),
                  LOG_STR("host", host), LOG_INT("port", port), LOG_STR("reason", strerror(errno)));
    }
    freeaddrinfo(address);
    return opened;
}
