/* Any lines as the X-Forwarded-For of a request by a trusted proxy: whoever it comes from was named in them, and all
 * that stands behind him are proxies that are trusted; how the members are shared out among lines means nothing. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "http/client_address.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct ip_network rows[2];
static const struct ip_networks TRUSTED = {rows, 2};

static struct slice take_last(struct slice *text, char separator)
{
    const char *at = memrchr(text->data, separator, text->length);
    size_t start = at != NULL ? (size_t)(at - text->data) + 1 : 0;
    struct slice last = {text->data + start, text->length - start};
    text->length = at != NULL ? start - 1 : 0;
    return last;
}

/* From the last line to the first. Empty ones are no members. */
static struct ip_address walk_lines(struct slice lines)
{
    struct ip_address client = rows[1].address;
    while (lines.length > 0 && client_address_walk(&TRUSTED, take_last(&lines, '\n'), &client)) {
    }
    return client;
}

/* The same rule again, one member at a time. */
static struct ip_address walk_members(struct slice lines)
{
    struct ip_address client = rows[1].address, before;
    while (lines.length > 0) {
        struct slice line = take_last(&lines, '\n');
        while (line.length > 0) {
            struct slice member = take_last(&line, ',');
            while (member.length > 0 && memchr(" \t", member.data[0], 2) != NULL) {
                member = (struct slice){member.data + 1, member.length - 1};
            }
            while (member.length > 0 && memchr(" \t", member.data[member.length - 1], 2) != NULL) {
                member.length--;
            }
            if (!ip_networks_hold(&TRUSTED, &client) || !ip_address_parse_with_port(member, &before)) {
                return client;
            }
            client = before;
        }
    }
    return client;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice lines = {(const char *)data, size};
    struct ip_address stranger, client;
    if (!ip_network_parse(SLICE("10.0.0.0/8"), &rows[0]) || !ip_network_parse(SLICE("::1"), &rows[1]) ||
        !ip_address_parse(SLICE("192.0.2.1"), &stranger)) {
        assert(!"these are networks and an address");
    }
    struct ip_address found = walk_lines(lines), expected = walk_members(lines);
    assert(memcmp(&found, &expected, sizeof found) == 0);
    client = stranger; /* a stranger is not believed, whatever he says */
    assert(size == 0 || !client_address_walk(&TRUSTED, lines, &client));
    assert(memcmp(&client, &stranger, sizeof client) == 0);
    return 0;
}
