/* Any text as an address, one with a port, or a network: what is taken is the same when it is written and read again,
 * and a network holds its own address, and no address that differs within its prefix. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "util/ip_address.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_same(const struct ip_address *a, const struct ip_address *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

/* In all its forms. */
static void check_address(const struct ip_address *address)
{
    char text[IP_ADDRESS_TEXT_SIZE], port[IP_ADDRESS_TEXT_SIZE + 16];
    struct ip_address again, key = ip_address_limit_key(address), key_of_key = ip_address_limit_key(&key);
    memset(text, 'x', sizeof text);
    ip_address_format(address, text);
    assert(memchr(text, '\0', sizeof text) != NULL);
    assert((strchr(text, ':') == NULL) == ip_address_is_v4(address));
    assert(ip_address_parse(slice_of(text), &again) && is_same(&again, address));
    snprintf(port, sizeof port, ip_address_is_v4(address) ? "%s:65535" : "[%s]:65535", text);
    assert(!ip_address_parse(slice_of(port), &again));
    assert(ip_address_parse_with_port(slice_of(port), &again) && is_same(&again, address));
    assert(is_same(&key, &key_of_key));
    assert(memcmp(&key, address, ip_address_is_v4(address) ? sizeof key : 8) == 0);
}

static void check_network(const struct ip_network *network)
{
    struct ip_networks networks = {(struct ip_network *)network, 1};
    assert(network->prefix <= 128 && ip_networks_hold(&networks, &network->address));
    for (unsigned bit = 0; bit < 128; bit++) {
        struct ip_address other = network->address;
        other.bytes[bit / 8] ^= (uint8_t)(0x80 >> bit % 8);
        assert(ip_networks_hold(&networks, &other) == (bit >= network->prefix));
        assert(bit < network->prefix || (other.bytes[bit / 8] & 0x80 >> bit % 8) != 0); /* 0 behind the prefix */
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = {(const char *)data, size};
    struct ip_address address, with_port;
    struct ip_network network;
    bool is_address = ip_address_parse(text, &address);
    bool has_port = ip_address_parse_with_port(text, &with_port);
    bool is_network = ip_network_parse(text, &network);
    if (is_address) {
        check_address(&address);
        assert(has_port && is_same(&address, &with_port));
        assert(is_network && is_same(&address, &network.address) && network.prefix == 128);
    }
    if (has_port) {
        check_address(&with_port);
    }
    if (is_network) {
        check_network(&network);
        assert(is_address == (memchr(data, '/', size) == NULL));
    }
    return 0;
}
