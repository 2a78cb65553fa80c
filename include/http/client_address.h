/* Who a request comes from, as limits and logs see it: the address of the connection, or what the proxies that are
 * trusted say of it. */
#ifndef STONECHAT_HTTP_CLIENT_ADDRESS_H
#define STONECHAT_HTTP_CLIENT_ADDRESS_H

#include "util/ip_address.h"

struct http_request;

struct http_client {
    struct ip_address address;
    struct ip_address key;           /* for counting: IPv4 whole, IPv6 by /64 (ip_address_limit_key) */
    char text[IP_ADDRESS_TEXT_SIZE]; /* the address; empty when it is not known, and then the others are 0 */
};

/* Lives as long as the request. A socket event's exchange has the text alone: ip_address_parse gives the rest. */
const struct http_client *http_request_client(const struct http_request *request);

/* One step of finding it: while `address` is one of a trusted proxy, the last member of this X-Forwarded-For that was
 * not taken yet is who spoke to that proxy. The headers are given from the last to the first. False when the search is
 * over: an address is not trusted, or a member is no address, and the proxy that wrote it is the last that is known. */
bool client_address_walk(const struct ip_networks *trusted, struct slice forwarded_for, struct ip_address *address);

#endif
