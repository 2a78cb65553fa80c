/* libpq asks one host after the other, and goes on when one refuses or TCP gives up on it; a host that listens and
 * never says anything it waits for. Who has waited long enough begins with the next one.
 *
 * A name with several addresses becomes as many hosts: of the same name, by which certificates and passwords are found,
 * with an address each. */
#include "hosts.h"

#include <arpa/inet.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/buffer.h"

enum list { HOST, HOSTADDR, PORT, LISTS_COUNT }; /* of the same length, or a port for all */
enum { FIXED_COUNT = 3, LIST_MAX_BYTES = 1 << 20, ERROR_SIZE = 512 };

static const char *const KEYWORDS[LISTS_COUNT] = {"host", "hostaddr", "port"};

struct hosts {
    PQconninfoOption *options;
    const char *given[LISTS_COUNT];    /* NULL: not said */
    struct buffer lists[LISTS_COUNT];  /* what libpq is given, where names are looked up */
    const char *next_host, *next_port; /* the rest of what was given; NULL: nothing is left */
    char *name;                        /* the one that is looked up */
    int count;                         /* in `lists` */
    char error[ERROR_SIZE];
    bool is_resolving; /* there are names at all */
};

static unsigned count_members(const char *list)
{
    unsigned count = 1;
    for (const char *at = list; *at != '\0'; at++) {
        count += *at == ',';
    }
    return count;
}

char *hosts_rotate(const char *list, unsigned turn)
{
    const char *start = list;
    for (turn %= count_members(list); turn > 0; turn--) {
        start = strchr(start, ',') + 1;
    }
    size_t length = strlen(list), before = (size_t)(start - list), behind = length - before;
    char *ret = malloc(length + 1);
    if (ret != NULL) {
        memcpy(ret, start, behind);
        if (before > 0) {
            ret[behind] = ',';
            memcpy(ret + behind + 1, list, before - 1);
        }
        ret[length] = '\0';
    }
    return ret;
}

/* --- names and their addresses --- */

/* Not a directory of Unix sockets, libpq's default or an address. */
static bool is_name(const char *host)
{
    struct in6_addr address;
    return host[0] != '\0' && host[0] != '/' && host[0] != '@' && inet_pton(AF_INET, host, &address) != 1 &&
           inet_pton(AF_INET6, host, &address) != 1;
}

/* The members of both lists belong together, and nobody has said addresses already. */
static bool can_resolve(const struct hosts *hosts)
{
    const char *host = hosts->given[HOST], *port = hosts->given[PORT];
    return host != NULL && hosts->given[HOSTADDR] == NULL &&
           (port == NULL || strchr(port, ',') == NULL || count_members(port) == count_members(host));
}

struct hosts *hosts_create(const char *url)
{
    struct hosts *hosts = calloc(1, sizeof *hosts);
    if (hosts == NULL) {
        return NULL;
    }
    hosts->options = PQconninfoParse(url, NULL);
    for (const PQconninfoOption *option = hosts->options; option != NULL && option->keyword != NULL; option++) {
        for (int i = 0; i < LISTS_COUNT; i++) {
            if (option->val != NULL && strcmp(option->keyword, KEYWORDS[i]) == 0) {
                hosts->given[i] = option->val;
            }
        }
    }
    for (int i = 0; i < LISTS_COUNT; i++) {
        hosts->lists[i] = buffer_init(LIST_MAX_BYTES);
    }
    hosts->is_resolving = can_resolve(hosts);
    if (hosts->is_resolving) {
        hosts->next_host = hosts->given[HOST];
        hosts->next_port = hosts->given[PORT];
    }
    return hosts;
}

void hosts_destroy(struct hosts *hosts)
{
    if (hosts == NULL) {
        return;
    }
    for (int i = 0; i < LISTS_COUNT; i++) {
        buffer_dispose(&hosts->lists[i]);
    }
    PQconninfoFree(hosts->options);
    free(hosts->name);
    free(hosts);
}

static bool has_port_for_each(const struct hosts *hosts)
{
    return hosts->given[PORT] != NULL && strchr(hosts->given[PORT], ',') != NULL;
}

static void append(struct hosts *hosts, const char *address)
{
    const char *comma = hosts->count++ > 0 ? "," : "";
    buffer_printf(&hosts->lists[HOST], "%s%s", comma, hosts->name);
    buffer_printf(&hosts->lists[HOSTADDR], "%s%s", comma, address);
    if (has_port_for_each(hosts)) {
        buffer_printf(&hosts->lists[PORT], "%s%.*s", comma, (int)strcspn(hosts->next_port, ","), hosts->next_port);
    }
}

static const char *behind_comma(const char *list)
{
    const char *comma = list != NULL ? strchr(list, ',') : NULL;
    return comma != NULL ? comma + 1 : NULL;
}

static void advance(struct hosts *hosts)
{
    hosts->next_host = behind_comma(hosts->next_host);
    hosts->next_port = behind_comma(hosts->next_port);
    free(hosts->name);
    hosts->name = NULL;
}

const char *hosts_unresolved(struct hosts *hosts)
{
    while (hosts->next_host != NULL) {
        hosts->name = strndup(hosts->next_host, strcspn(hosts->next_host, ","));
        if (hosts->name != NULL && is_name(hosts->name)) {
            return hosts->name;
        }
        if (hosts->name != NULL) {
            append(hosts, "");
        }
        advance(hosts);
    }
    return NULL;
}

void hosts_resolve(struct hosts *hosts, const struct addrinfo *addresses, const char *error)
{
    for (const struct addrinfo *address = addresses; address != NULL; address = address->ai_next) {
        char text[NI_MAXHOST];
        if (getnameinfo(address->ai_addr, address->ai_addrlen, text, sizeof text, NULL, 0, NI_NUMERICHOST) == 0) {
            append(hosts, text);
        }
    }
    if (addresses == NULL) {
        snprintf(hosts->error, sizeof hosts->error, "could not translate host name \"%s\" to address: %s", hosts->name,
                 error);
    }
    advance(hosts);
}

const char *hosts_error(const struct hosts *hosts)
{
    if (!hosts->is_resolving || hosts->count > 0) {
        return NULL;
    }
    return hosts->error[0] != '\0' ? hosts->error : "out of memory";
}

/* --- connecting --- */

/* NULL: libpq skips it. The caller frees it. */
static char *list_for_libpq(const struct hosts *hosts, enum list list, unsigned turn)
{
    struct slice built = buffer_slice(&hosts->lists[list]);
    if (!hosts->is_resolving || (list == PORT && !has_port_for_each(hosts))) {
        return hosts->given[list] != NULL ? hosts_rotate(hosts->given[list], turn) : NULL;
    }
    char *text = NULL, *rotated = NULL;
    if (asprintf(&text, "%.*s", (int)built.length, built.length > 0 ? built.data : "") >= 0) {
        rotated = hosts_rotate(text, turn);
        free(text);
    }
    return rotated;
}

PGconn *hosts_connect(const struct hosts *hosts, const char *url, unsigned turn)
{
    const char *names[FIXED_COUNT + LISTS_COUNT + 1] = {"dbname", "fallback_application_name", "keepalives_idle"};
    const char *values[FIXED_COUNT + LISTS_COUNT + 1] = {url, "stonechat", "20"};
    char *lists[LISTS_COUNT];
    for (int i = 0; i < LISTS_COUNT; i++) { /* what comes behind the string counts more */
        lists[i] = list_for_libpq(hosts, (enum list)i, turn);
        names[FIXED_COUNT + i] = KEYWORDS[i];
        values[FIXED_COUNT + i] = lists[i];
    }
    PGconn *ret = PQconnectStartParams(names, values, 1);
    for (int i = 0; i < LISTS_COUNT; i++) {
        free(lists[i]);
    }
    return ret;
}
