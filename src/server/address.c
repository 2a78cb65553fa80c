#include "address.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>

enum { HOST_LENGTH = INET6_ADDRSTRLEN };

static bool is_everywhere(const char *host)
{
    struct in_addr v4;
    struct in6_addr v6;
    return (inet_pton(AF_INET, host, &v4) == 1 && v4.s_addr == htonl(INADDR_ANY)) ||
           (inet_pton(AF_INET6, host, &v6) == 1 && IN6_IS_ADDR_UNSPECIFIED(&v6));
}

static bool is_reachable(const struct ifaddrs *entry, int family)
{
    return entry->ifa_addr != NULL && entry->ifa_addr->sa_family == family && (entry->ifa_flags & IFF_UP) != 0 &&
           (entry->ifa_flags & IFF_LOOPBACK) == 0 &&
           (family == AF_INET || !IN6_IS_ADDR_LINKLOCAL(&((struct sockaddr_in6 *)entry->ifa_addr)->sin6_addr));
}

static bool find_address(const struct ifaddrs *entries, int family, char out[HOST_LENGTH])
{
    for (const struct ifaddrs *entry = entries; entry != NULL; entry = entry->ifa_next) {
        if (is_reachable(entry, family)) {
            const void *address = family == AF_INET
                                      ? (const void *)&((const struct sockaddr_in *)entry->ifa_addr)->sin_addr
                                      : (const void *)&((const struct sockaddr_in6 *)entry->ifa_addr)->sin6_addr;
            return inet_ntop(family, address, out, HOST_LENGTH) != NULL;
        }
    }
    return false;
}

/* An IPv4 address also when all IPv6 ones are listened on, since these take IPv4 too. */
static void find_own_address(bool may_be_v6, char out[HOST_LENGTH])
{
    struct ifaddrs *entries = NULL;
    if (getifaddrs(&entries) != 0 ||
        (!find_address(entries, AF_INET, out) && !(may_be_v6 && find_address(entries, AF_INET6, out)))) {
        snprintf(out, HOST_LENGTH, "127.0.0.1");
    }
    freeifaddrs(entries);
}

void address_format_url(const char *host, int port, bool has_tls, char out[SERVER_URL_LENGTH])
{
    char own[HOST_LENGTH];
    if (is_everywhere(host)) {
        find_own_address(strchr(host, ':') != NULL, own);
        host = own;
    }
    bool is_v6 = strchr(host, ':') != NULL;
    snprintf(out, SERVER_URL_LENGTH, "http%s://%s%s%s:%d", has_tls ? "s" : "", is_v6 ? "[" : "", host, is_v6 ? "]" : "",
             port);
}
