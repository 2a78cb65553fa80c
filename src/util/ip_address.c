#include "util/ip_address.h"

#include <arpa/inet.h>
#include <string.h>

#include "util/digits.h"

enum { V4_PREFIX = 96 };

static const uint8_t V4_START[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

static struct ip_address from_v4(const void *bytes)
{
    struct ip_address address;
    memcpy(address.bytes, V4_START, sizeof V4_START);
    memcpy(address.bytes + sizeof V4_START, bytes, 4);
    return address;
}

bool ip_address_is_v4(const struct ip_address *address)
{
    return memcmp(address->bytes, V4_START, sizeof V4_START) == 0;
}

bool ip_address_parse(struct slice text, struct ip_address *ret_address)
{
    char terminated[IP_ADDRESS_TEXT_SIZE];
    uint8_t v4[4];
    if (text.length == 0 || text.length >= sizeof terminated || memchr(text.data, '\0', text.length) != NULL) {
        return false;
    }
    memcpy(terminated, text.data, text.length);
    terminated[text.length] = '\0';
    if (inet_pton(AF_INET, terminated, v4) == 1) {
        *ret_address = from_v4(v4);
        return true;
    }
    return inet_pton(AF_INET6, terminated, ret_address->bytes) == 1;
}

static bool is_port(struct slice text)
{
    int64_t port;
    return digits_read(text, 5, &port);
}

bool ip_address_parse_with_port(struct slice text, struct ip_address *ret_address)
{
    bool has_bracket = text.length > 0 && text.data[0] == '[';
    if (ip_address_parse(text, ret_address)) {
        return true;
    }
    const char *end = text.length > 0 ? memchr(text.data, has_bracket ? ']' : ':', text.length) : NULL;
    if (end == NULL) {
        return false;
    }
    struct slice host = {text.data, (size_t)(end - text.data)};
    struct slice rest = {end, text.length - host.length};
    if (has_bracket) {
        host = (struct slice){host.data + 1, host.length - 1};
        rest = (struct slice){rest.data + 1, rest.length - 1};
    }
    bool has_port = rest.length > 0 && rest.data[0] == ':' && is_port((struct slice){rest.data + 1, rest.length - 1});
    struct ip_address address;
    if ((rest.length > 0 && !has_port) || !ip_address_parse(host, &address)) {
        return false;
    }
    *ret_address = address;
    return true;
}

bool ip_address_of_socket(const struct sockaddr *name, struct ip_address *ret_address)
{
    if (name->sa_family == AF_INET) {
        *ret_address = from_v4(&((const struct sockaddr_in *)name)->sin_addr);
    } else if (name->sa_family == AF_INET6) {
        memcpy(ret_address->bytes, &((const struct sockaddr_in6 *)name)->sin6_addr, sizeof ret_address->bytes);
    } else {
        return false;
    }
    return true;
}

void ip_address_format(const struct ip_address *address, char out[IP_ADDRESS_TEXT_SIZE])
{
    if (ip_address_is_v4(address)) {
        inet_ntop(AF_INET, address->bytes + sizeof V4_START, out, IP_ADDRESS_TEXT_SIZE);
    } else {
        inet_ntop(AF_INET6, address->bytes, out, IP_ADDRESS_TEXT_SIZE);
    }
}

struct ip_address ip_address_limit_key(const struct ip_address *address)
{
    struct ip_address key = *address;
    if (!ip_address_is_v4(address)) {
        memset(key.bytes + 8, 0, 8);
    }
    return key;
}

/* Are the first `bits` the same? */
static bool begins_alike(const uint8_t *a, const uint8_t *b, unsigned bits)
{
    unsigned whole = bits / 8, rest = bits % 8;
    uint8_t mask = (uint8_t)(0xff00 >> rest);
    return memcmp(a, b, whole) == 0 && (rest == 0 || ((a[whole] ^ b[whole]) & mask) == 0);
}

static bool is_zero_behind(const struct ip_address *address, unsigned prefix)
{
    struct ip_address cut = {{0}};
    memcpy(cut.bytes, address->bytes, prefix / 8);
    if (prefix % 8 != 0) {
        cut.bytes[prefix / 8] = address->bytes[prefix / 8] & (uint8_t)(0xff00 >> prefix % 8);
    }
    return memcmp(cut.bytes, address->bytes, sizeof cut.bytes) == 0;
}

static bool parse_prefix(struct slice digits, unsigned max, unsigned *ret_prefix)
{
    int64_t prefix;
    if (!digits_read(digits, 3, &prefix) || prefix > max) {
        return false;
    }
    *ret_prefix = (unsigned)prefix;
    return true;
}

bool ip_network_parse(struct slice text, struct ip_network *ret_network)
{
    const char *slash = text.length > 0 ? memchr(text.data, '/', text.length) : NULL;
    struct slice host = {text.data, slash != NULL ? (size_t)(slash - text.data) : text.length};
    struct ip_address address;
    if (!ip_address_parse(host, &address)) {
        return false;
    }
    bool is_v4 = memchr(host.data, ':', host.length) == NULL;
    unsigned max = is_v4 ? 32 : 128, prefix = max;
    if (slash != NULL && !parse_prefix((struct slice){slash + 1, text.length - host.length - 1}, max, &prefix)) {
        return false;
    }
    prefix += is_v4 ? V4_PREFIX : 0;
    if (!is_zero_behind(&address, prefix)) {
        return false;
    }
    *ret_network = (struct ip_network){address, (uint8_t)prefix};
    return true;
}

bool ip_networks_hold(const struct ip_networks *networks, const struct ip_address *address)
{
    for (size_t i = 0; i < networks->count; i++) {
        if (begins_alike(networks->rows[i].address.bytes, address->bytes, networks->rows[i].prefix)) {
            return true;
        }
    }
    return false;
}
