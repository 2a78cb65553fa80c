#include "http/proxy_header.h"

#include <netinet/in.h>

#include "util/digits.h"

/* Both forms say how long they are before anything of them counts, and a header is judged when it is whole.
 * Destinations and ports have to be well-formed, and are not kept. The vectors behind the addresses of version 2 are
 * skipped, as they may be, the checksum too: TCP has its own. */

enum { COMMAND_AT = 12, FAMILY_AT = 13, LENGTH_AT = 14, HEAD_BYTES = 16, COMMAND_LOCAL = 0x20, COMMAND_PROXY = 0x21 };

static const char LINE_START[] = "PROXY ";
static const char SIGNATURE[] = "\r\n\r\n\0\r\nQUIT\n";

/* What follows the head of version 2, by the byte at FAMILY_AT. A family without addresses here leaves the client
 * unknown. */
static const struct {
    uint8_t code, address_bytes, block_bytes;
} FAMILIES[] = {
    {0x00, 0, 0},                   /* unspecified */
    {0x11, 4, 12},  {0x12, 4, 12},  /* IPv4 */
    {0x21, 16, 36}, {0x22, 16, 36}, /* IPv6 */
    {0x31, 0, 216}, {0x32, 0, 216}, /* of one machine */
};

/* Is one of the two the beginning of the other? */
static bool begins_as(struct slice bytes, const char *start, size_t length)
{
    return memcmp(bytes.data, start, bytes.length < length ? bytes.length : length) == 0;
}

/* --- version 1 --- */

static struct slice take_field(struct slice *line)
{
    return slice_take_until(line, ' ');
}

static bool read_address(struct slice text, bool is_v4, struct ip_address *ret_address)
{
    bool has_colon = text.length > 0 && memchr(text.data, ':', text.length) != NULL;
    return has_colon != is_v4 && ip_address_parse(text, ret_address);
}

/* Without zeros in front. */
static bool is_port(struct slice text)
{
    int64_t port;
    return digits_read(text, 5, &port) && port <= 65535 && (text.data[0] != '0' || text.length == 1);
}

static enum proxy_header_verdict read_line(struct slice bytes, struct proxy_header *ret_header)
{
    size_t seen = bytes.length < PROXY_HEADER_LINE_MAX_BYTES ? bytes.length : PROXY_HEADER_LINE_MAX_BYTES;
    const char *end = memmem(bytes.data, seen, "\r\n", 2);
    if (end == NULL) {
        return seen < PROXY_HEADER_LINE_MAX_BYTES ? PROXY_HEADER_INCOMPLETE : PROXY_HEADER_TOO_LONG;
    }
    struct slice line = {bytes.data, (size_t)(end - bytes.data)};
    struct proxy_header header = {.length = line.length + 2};
    struct ip_address destination;
    take_field(&line);
    struct slice family = take_field(&line);
    if (slice_equals(family, SLICE("UNKNOWN"))) { /* the rest may be anything */
        *ret_header = header;
        return PROXY_HEADER_GOOD;
    }
    bool is_v4 = slice_equals(family, SLICE("TCP4"));
    header.has_client =
        (is_v4 || slice_equals(family, SLICE("TCP6"))) && read_address(take_field(&line), is_v4, &header.client) &&
        read_address(take_field(&line), is_v4, &destination) && is_port(take_field(&line)) && is_port(line);
    if (!header.has_client) {
        return PROXY_HEADER_WRONG;
    }
    *ret_header = header;
    return PROXY_HEADER_GOOD;
}

/* --- version 2 --- */

static struct ip_address address_of(const uint8_t *bytes, size_t length)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct ip_address address;
    if (length == sizeof address.bytes) {
        memcpy(address.bytes, bytes, length);
    } else {
        memcpy(&v4.sin_addr, bytes, sizeof v4.sin_addr);
        ip_address_of_socket((struct sockaddr *)&v4, &address);
    }
    return address;
}

/* Of the whole header. */
static enum proxy_header_verdict read_addresses(const uint8_t *bytes, struct proxy_header header,
                                                struct proxy_header *ret_header)
{
    if (bytes[COMMAND_AT] == COMMAND_LOCAL) {
        *ret_header = header;
        return PROXY_HEADER_GOOD;
    }
    for (size_t i = 0; i < sizeof FAMILIES / sizeof FAMILIES[0]; i++) {
        if (FAMILIES[i].code == bytes[FAMILY_AT] && header.length - HEAD_BYTES >= FAMILIES[i].block_bytes) {
            header.has_client = FAMILIES[i].address_bytes > 0;
            if (header.has_client) {
                header.client = address_of(bytes + HEAD_BYTES, FAMILIES[i].address_bytes);
            }
            *ret_header = header;
            return PROXY_HEADER_GOOD;
        }
    }
    return PROXY_HEADER_WRONG;
}

static enum proxy_header_verdict read_block(struct slice text, struct proxy_header *ret_header)
{
    const uint8_t *bytes = (const uint8_t *)text.data;
    if (text.length < HEAD_BYTES) {
        return PROXY_HEADER_INCOMPLETE;
    }
    if (bytes[COMMAND_AT] != COMMAND_LOCAL && bytes[COMMAND_AT] != COMMAND_PROXY) {
        return PROXY_HEADER_WRONG;
    }
    struct proxy_header header = {.length = HEAD_BYTES + (size_t)(bytes[LENGTH_AT] << 8 | bytes[LENGTH_AT + 1])};
    if (header.length > PROXY_HEADER_MAX_BYTES) {
        return PROXY_HEADER_TOO_LONG;
    }
    return text.length < header.length ? PROXY_HEADER_INCOMPLETE : read_addresses(bytes, header, ret_header);
}

enum proxy_header_verdict proxy_header_read(struct slice bytes, struct proxy_header *ret_header)
{
    if (bytes.length == 0) {
        return PROXY_HEADER_INCOMPLETE;
    }
    if (begins_as(bytes, LINE_START, sizeof LINE_START - 1)) {
        return read_line(bytes, ret_header);
    }
    return begins_as(bytes, SIGNATURE, sizeof SIGNATURE - 1) ? read_block(bytes, ret_header) : PROXY_HEADER_MISSING;
}
