/* Where a Redis is and who we are to it, as one URL: redis://[[user]:password@]host[:port][/database], or rediss:// for
 * TLS. */
#ifndef STONECHAT_UTIL_REDIS_ADDRESS_H
#define STONECHAT_UTIL_REDIS_ADDRESS_H

#include <stdbool.h>

enum { REDIS_PORT = 6379 };

struct redis_address {
    char host[256]; /* a name, or an address (of IPv6 without brackets) */
    int port;
    char username[128], password[512]; /* empty for none */
    int database;
    bool has_tls;
};

/* False, and nothing written, when it is no such URL. User and password may have %-escapes. */
bool redis_address_parse(const char *url, struct redis_address *ret_address);

#endif
