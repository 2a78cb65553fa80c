#include "link.h"

#include <assert.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>

#include "advice.h"
#include "hosts.h"
#include "util/log.h"

/* waiting (for the pause to end) → looking up names → connecting → connected → settled, and back to waiting from
 * anywhere. Only change_state moves between them. */

enum { PAUSE_MIN_MS = 100, PAUSE_MAX_MS = 5000, CONNECT_TIMEOUT_MS = 10000 };

/* How long TCP waits for a host that says nothing: while connecting not so long, since another host may be next
 * (libpq's connect_timeout counts only for those who connect by waiting). */
enum { HOST_TIMEOUT_MS = 3000, LINE_TIMEOUT_MS = 20000 };

/* For each name: more than it takes to give up a first name server and to ask the second. */
enum { LOOKUP_TIMEOUT_MS = 8000 };

static void change_state(struct link *link, enum link_state state);
static void on_readable(void *data);

void link_lose(struct link *link, const char *why)
{
    if (!link->has_reported) {
        const char *advice = advice_of_connection(why);
        struct slice first_line = {why, strcspn(why, "\n")};
        link->has_reported = true;
        log_write(LOG_ERROR, "database connection lost", LOG_SLICE("reason", first_line),
                  advice != NULL ? LOG_STR("advice", advice) : (struct log_field){0});
    }
    change_state(link, LINK_WAITING);
}

/* Does nothing to a Unix socket. */
static void set_line_timeout(const struct link *link, unsigned timeout_ms)
{
    setsockopt(PQsocket(link->postgres), IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms, sizeof timeout_ms);
}

/* While libpq connects it may close its socket and open another one, often with the same number: each step gets a watch
 * of its own. */
static bool watch_socket(struct link *link)
{
    int fd = PQsocket(link->postgres);
    loop_watch_destroy(link->watch);
    link->watch = fd < 0 ? NULL : loop_watch_create(link->loop, fd, on_readable, link);
    set_line_timeout(link, HOST_TIMEOUT_MS);
    return link->watch != NULL;
}

/* What the server remarks; libpq itself would print it between the lines of the log. */
static void on_notice(void *data, const PGresult *result)
{
    (void)data;
    log_write(LOG_WARN, "database notice", LOG_STR("severity", PQresultErrorField(result, PG_DIAG_SEVERITY)),
              LOG_STR("notice", PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY)));
}

static void flush(void *data)
{
    link_flush(data);
}

void link_flush(struct link *link)
{
    int result = PQflush(link->postgres);
    if (result < 0) {
        link_lose(link, PQerrorMessage(link->postgres));
    } else if (result > 0) {
        loop_watch_writable(link->watch, flush);
    }
}

static void on_writable(void *data);

static void continue_connecting(struct link *link)
{
    switch (PQconnectPoll(link->postgres)) {
    case PGRES_POLLING_OK:
        if (watch_socket(link) && PQsetnonblocking(link->postgres, 1) == 0) {
            set_line_timeout(link, LINE_TIMEOUT_MS);
            change_state(link, LINK_CONNECTED);
        } else {
            link_lose(link, "no file descriptor is free");
        }
        return;
    case PGRES_POLLING_FAILED:
        link_lose(link, PQerrorMessage(link->postgres));
        return;
    case PGRES_POLLING_WRITING:
        if (watch_socket(link)) {
            loop_watch_writable(link->watch, on_writable);
        }
        return;
    default:
        watch_socket(link);
        return;
    }
}

static void on_writable(void *data)
{
    struct link *link = data;
    if (link->state == LINK_CONNECTING) {
        continue_connecting(link);
    } else {
        link_flush(link);
    }
}

static void on_readable(void *data)
{
    struct link *link = data;
    if (link->state == LINK_CONNECTING) {
        continue_connecting(link);
    } else if (PQconsumeInput(link->postgres) == 0) {
        link_lose(link, PQerrorMessage(link->postgres));
    } else {
        link->callbacks->on_input(link->data);
        if (link->state >= LINK_CONNECTED && PQstatus(link->postgres) == CONNECTION_BAD) {
            link_lose(link, PQerrorMessage(link->postgres));
        }
    }
}

static void look_up_next(struct link *link);

static void on_looked_up(void *data, struct addrinfo *addresses, const char *error)
{
    struct link *link = data;
    link->lookup = NULL;
    hosts_resolve(link->hosts, addresses, error);
    if (addresses != NULL) {
        freeaddrinfo(addresses);
    }
    look_up_next(link);
}

static void look_up_next(struct link *link)
{
    const char *name = hosts_unresolved(link->hosts);
    if (name != NULL) {
        loop_timer_start(link->loop, &link->timer, LOOKUP_TIMEOUT_MS);
        link->lookup = lookup_start(link->loop, name, 0, on_looked_up, link);
        if (link->lookup == NULL) {
            link_lose(link, "no thread is free to look up a name");
        }
    } else if (hosts_error(link->hosts) != NULL) {
        link_lose(link, hosts_error(link->hosts));
    } else {
        change_state(link, LINK_CONNECTING);
    }
}

/* The other hosts do without it. */
static void skip_name(struct link *link)
{
    lookup_cancel(link->lookup);
    on_looked_up(link, NULL, "no name server answers");
}

static void start_looking_up(struct link *link)
{
    link->hosts = hosts_create(link->url);
    if (link->hosts == NULL) {
        link_lose(link, "out of memory");
        return;
    }
    look_up_next(link);
}

static void start_connecting(struct link *link)
{
    link->postgres = hosts_connect(link->hosts, link->url, link->turn);
    if (link->postgres == NULL || PQstatus(link->postgres) == CONNECTION_BAD) {
        link_lose(link, link->postgres == NULL ? "out of memory" : PQerrorMessage(link->postgres));
        return;
    }
    PQsetNoticeReceiver(link->postgres, on_notice, NULL);
    loop_timer_start(link->loop, &link->timer, CONNECT_TIMEOUT_MS);
    if (watch_socket(link)) {
        loop_watch_writable(link->watch, on_writable);
    }
}

static void disconnect(struct link *link)
{
    loop_watch_destroy(link->watch);
    link->watch = NULL;
    PQfinish(link->postgres);
    link->postgres = NULL;
    lookup_cancel(link->lookup);
    link->lookup = NULL;
    hosts_destroy(link->hosts);
    link->hosts = NULL;
    loop_timer_stop(link->loop, &link->timer);
}

static void change_state(struct link *link, enum link_state state)
{
    assert(state == LINK_WAITING || state == link->state + 1);
    link->state = state;
    switch (state) {
    case LINK_WAITING:
        disconnect(link);
        loop_timer_start(link->loop, &link->timer, link->pause_ms);
        link->pause_ms = link->pause_ms * 2 < PAUSE_MAX_MS ? link->pause_ms * 2 : PAUSE_MAX_MS;
        link->callbacks->on_lost(link->data);
        break;
    case LINK_LOOKING_UP:
        start_looking_up(link);
        break;
    case LINK_CONNECTING:
        start_connecting(link);
        break;
    case LINK_CONNECTED:
        link->callbacks->on_connected(link->data);
        break;
    case LINK_SETTLED:
        loop_timer_stop(link->loop, &link->timer);
        link->pause_ms = PAUSE_MIN_MS;
        link->has_reported = false;
        break;
    }
}

static void on_timer(struct timer *timer)
{
    struct link *link = (struct link *)((char *)timer - offsetof(struct link, timer));
    if (link->state == LINK_WAITING) {
        change_state(link, LINK_LOOKING_UP);
    } else if (link->state == LINK_LOOKING_UP) {
        skip_name(link);
    } else if (link->state == LINK_SETTLED) {
        link_lose(link, "no answer in time");
    } else {
        link->turn++;
        link_lose(link, "connecting took too long");
    }
}

void link_start(struct link *link, struct loop *loop, const char *url, const struct link_callbacks *callbacks,
                void *data)
{
    *link = (struct link){.loop = loop, .url = url, .callbacks = callbacks, .data = data, .pause_ms = PAUSE_MIN_MS};
    link->timer.on_fire = on_timer;
    loop_timer_start(loop, &link->timer, 0);
}

void link_stop(struct link *link)
{
    disconnect(link);
    link->state = LINK_WAITING;
}

void link_settle(struct link *link)
{
    change_state(link, LINK_SETTLED);
}

void link_expect(struct link *link, uint64_t timeout_ms)
{
    assert(link->state == LINK_SETTLED);
    if (timeout_ms > 0) {
        loop_timer_start(link->loop, &link->timer, timeout_ms);
    } else {
        loop_timer_stop(link->loop, &link->timer);
    }
}
