/* Addresses and networks of the Internet Protocol, both versions in one form: IPv4 is kept as IPv6 writes it
 * (::ffff:192.0.2.1), so that a client is the same by whichever socket it came. Pure. */
#ifndef STONECHAT_UTIL_IP_ADDRESS_H
#define STONECHAT_UTIL_IP_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/slice.h"

struct sockaddr;

struct ip_address {
    uint8_t bytes[16];
};

enum { IP_ADDRESS_TEXT_SIZE = 46 };

/* The addresses that begin with `prefix` bits of `address`; the prefix counts from the first of 128 bits, for IPv4
 * too. */
struct ip_network {
    struct ip_address address;
    uint8_t prefix;
};

struct ip_networks {
    struct ip_network *rows;
    size_t count;
};

/* Reads "192.0.2.1", "2001:db8::1" or "::ffff:192.0.2.1". Nothing else may stand around it, no zone either. */
bool ip_address_parse(struct slice text, struct ip_address *ret_address);

/* The same as proxies write it, in brackets or with a port too: "192.0.2.1:4711", "[2001:db8::1]:4711". */
bool ip_address_parse_with_port(struct slice text, struct ip_address *ret_address);

/* Of AF_INET or AF_INET6; false for others. */
bool ip_address_of_socket(const struct sockaddr *name, struct ip_address *ret_address);

bool ip_address_is_v4(const struct ip_address *address);

/* IPv4 as such, IPv6 in its short form; terminated. */
void ip_address_format(const struct ip_address *address, char out[IP_ADDRESS_TEXT_SIZE]);

/* By what a client is counted: IPv4 whole, of IPv6 the first 64 bits, since whoever has one of these addresses has all
 * that share them. */
struct ip_address ip_address_limit_key(const struct ip_address *address);

/* Reads "10.0.0.0/8", "2001:db8::/32", or an address alone. The bits behind the prefix must be 0. */
bool ip_network_parse(struct slice text, struct ip_network *ret_network);

/* Is the address in one of the networks? */
bool ip_networks_hold(const struct ip_networks *networks, const struct ip_address *address);

#endif
