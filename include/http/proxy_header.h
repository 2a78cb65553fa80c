/* What a proxy says of a connection before all else: the header of the PROXY protocol, version 1 (a line of text) or 2
 * (bytes), as sections 2.1 and 2.2 of haproxy's proxy-protocol.txt describe them. Pure. */
#ifndef STONECHAT_HTTP_PROXY_HEADER_H
#define STONECHAT_HTTP_PROXY_HEADER_H

#include "util/ip_address.h"

/* A line has 107 bytes at most. The other form could have 65,551, nearly all of them for what is not looked at here (of
 * the client's TLS and the like): nobody sends that much. */
enum { PROXY_HEADER_MAX_BYTES = 4096, PROXY_HEADER_LINE_MAX_BYTES = 107 };

enum proxy_header_verdict {
    PROXY_HEADER_GOOD,
    PROXY_HEADER_INCOMPLETE, /* so far; every byte belongs to it */
    PROXY_HEADER_MISSING,    /* the bytes begin with something else */
    PROXY_HEADER_WRONG,
    PROXY_HEADER_TOO_LONG
};

struct proxy_header {
    size_t length;            /* in bytes: what the client has sent comes behind it */
    struct ip_address client; /* its source address */
    bool has_client;          /* false: the proxy speaks for itself, or of no address of the Internet Protocol */
};

/* Reads the header that the bytes of a connection begin with. Only a good one is written. */
enum proxy_header_verdict proxy_header_read(struct slice bytes, struct proxy_header *ret_header);

/* By which a server speaks for itself to one that expects a header (version 2, LOCAL). */
#define PROXY_HEADER_LOCAL SLICE("\r\n\r\n\0\r\nQUIT\n\x20\0\0\0")

#endif
