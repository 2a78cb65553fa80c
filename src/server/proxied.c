#include "proxied.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "http/proxy_header.h"
#include "util/log.h"

/* A header is taken off the socket to its last byte, and no byte more: libh2o then finds the socket as if the client
 * itself had connected, with whatever came in the same packet. So bytes are looked at first (MSG_PEEK), and taken once
 * it is known that they are the header's. */

enum { TELL_EVERY_MS = 10000 };

struct newcomer {
    struct newcomer *next, **link; /* `link` points at what points at this one */
    struct proxied *proxied;
    h2o_socket_t *socket;
    struct place *place;
    struct timer deadline;
    size_t length; /* of what was taken */
    char bytes[PROXY_HEADER_MAX_BYTES];
};

static const char *const REASONS[] = {
    [PROXY_HEADER_MISSING] = "it does not begin with a PROXY header",
    [PROXY_HEADER_WRONG] = "its PROXY header is wrong",
    [PROXY_HEADER_TOO_LONG] = "its PROXY header is too long",
};
static const char LATE[] = "its PROXY header did not come in time";
static const char BROKEN_OFF[] = "it ended within its PROXY header";

static void forget(struct newcomer *newcomer)
{
    *newcomer->link = newcomer->next;
    if (newcomer->next != NULL) {
        newcomer->next->link = newcomer->link;
    }
    newcomer->proxied->count--;
    loop_timer_stop(newcomer->proxied->loop, &newcomer->deadline);
    free(newcomer);
}

static void close_newcomer(struct newcomer *newcomer)
{
    h2o_socket_close(newcomer->socket);
    place_give_back(newcomer->place);
    forget(newcomer);
}

static void refuse(struct newcomer *newcomer, const char *reason)
{
    struct proxied *proxied = newcomer->proxied;
    uint64_t now_ms = loop_now_ms(proxied->loop);
    if (proxied->refused++ == 0 || now_ms - proxied->told_ms >= TELL_EVERY_MS) {
        struct sockaddr_storage name;
        struct ip_address address;
        char text[IP_ADDRESS_TEXT_SIZE] = "";
        if (h2o_socket_getpeername(newcomer->socket, (struct sockaddr *)&name) > 0 &&
            ip_address_of_socket((struct sockaddr *)&name, &address)) {
            ip_address_format(&address, text);
        }
        proxied->told_ms = now_ms;
        log_write(LOG_WARN, "connections of proxies are closed", LOG_STR("reason", reason), LOG_STR("address", text),
                  LOG_INT("closed", proxied->refused));
    }
    close_newcomer(newcomer);
}

static void on_deadline(struct timer *timer)
{
    refuse((struct newcomer *)((char *)timer - offsetof(struct newcomer, deadline)), LATE);
}

/* Hands the socket over. */
static void admit(struct newcomer *newcomer, const struct proxy_header *header)
{
    struct proxied *proxied = newcomer->proxied;
    h2o_socket_t *socket = newcomer->socket;
    struct place *place = newcomer->place;
    if (header->has_client) {
        struct sockaddr_in6 name = {.sin6_family = AF_INET6};
        memcpy(&name.sin6_addr, header->client.bytes, sizeof header->client.bytes);
        h2o_socket_setpeername(socket, (struct sockaddr *)&name, sizeof name);
    }
    forget(newcomer);
    h2o_socket_read_stop(socket);
    h2o_socket_dont_read(socket, 0);
    proxied->on_client(proxied, socket, place);
}

/* Of what has been seen. */
static bool take(struct newcomer *newcomer, size_t length)
{
    char *at = newcomer->bytes + newcomer->length;
    newcomer->length += length;
    return recv(h2o_socket_get_fd(newcomer->socket), at, length, MSG_DONTWAIT) == (ssize_t)length;
}

static void on_readable(h2o_socket_t *socket, const char *error)
{
    (void)error; /* libh2o itself does not read here */
    struct newcomer *newcomer = socket->data;
    size_t before = newcomer->length;
    ssize_t seen = recv(h2o_socket_get_fd(socket), newcomer->bytes + before, sizeof newcomer->bytes - before,
                        MSG_PEEK | MSG_DONTWAIT);
    if (seen < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (seen <= 0 && before == 0) {
        close_newcomer(newcomer); /* it only wanted to know whether somebody listens */
        return;
    }
    size_t length = before + (size_t)(seen > 0 ? seen : 0);
    struct proxy_header header;
    enum proxy_header_verdict verdict = proxy_header_read((struct slice){newcomer->bytes, length}, &header);
    bool is_good = verdict == PROXY_HEADER_GOOD;
    if (!is_good && verdict != PROXY_HEADER_INCOMPLETE) {
        refuse(newcomer, REASONS[verdict]);
    } else if (seen <= 0 || !take(newcomer, (is_good ? header.length : length) - before)) {
        refuse(newcomer, BROKEN_OFF);
    } else if (is_good) {
        admit(newcomer, &header);
    }
}

void proxied_expect(struct proxied *proxied, h2o_socket_t *socket, struct place *place)
{
    struct newcomer *newcomer = h2o_mem_alloc(sizeof *newcomer);
    newcomer->proxied = proxied;
    newcomer->socket = socket;
    newcomer->place = place;
    newcomer->length = 0;
    newcomer->link = &proxied->first;
    newcomer->next = proxied->first;
    if (newcomer->next != NULL) {
        newcomer->next->link = &newcomer->next;
    }
    proxied->first = newcomer;
    proxied->count++;
    newcomer->deadline = (struct timer){.on_fire = on_deadline};
    loop_timer_start(proxied->loop, &newcomer->deadline, proxied->timeout_ms);
    socket->data = newcomer;
    h2o_socket_dont_read(socket, 1);
    h2o_socket_read_start(socket, on_readable);
}

void proxied_close_all(struct proxied *proxied)
{
    struct newcomer *next;
    for (struct newcomer *newcomer = proxied->first; newcomer != NULL; newcomer = next) {
        next = newcomer->next;
        close_newcomer(newcomer);
    }
}
