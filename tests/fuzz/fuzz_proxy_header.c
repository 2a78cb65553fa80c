/* Any bytes as what a proxy sends first: a verdict that is final stays, whatever comes behind; a good header is
 * incomplete wherever it is cut, and says the same as one that is made anew of the address that it names. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "http/proxy_header.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_made_anew(const struct ip_address *client)
{
    char address[IP_ADDRESS_TEXT_SIZE], line[2 * IP_ADDRESS_TEXT_SIZE + 32];
    struct proxy_header again;
    ip_address_format(client, address);
    int length = snprintf(line, sizeof line, "PROXY TCP%d %s %s 1 65535\r\n", ip_address_is_v4(client) ? 4 : 6, address,
                          address);
    assert(length <= PROXY_HEADER_LINE_MAX_BYTES);
    assert(proxy_header_read((struct slice){line, (size_t)length}, &again) == PROXY_HEADER_GOOD);
    assert(again.has_client && memcmp(&again.client, client, sizeof *client) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice all = {(const char *)data, size};
    struct proxy_header header, part;
    enum proxy_header_verdict verdict = proxy_header_read(all, &header), before = PROXY_HEADER_INCOMPLETE;
    bool is_good = verdict == PROXY_HEADER_GOOD;
    assert(!is_good || (header.length >= 15 && header.length <= size && header.length <= PROXY_HEADER_MAX_BYTES));
    assert(verdict != PROXY_HEADER_INCOMPLETE || size < PROXY_HEADER_MAX_BYTES);
    for (size_t length = 0; length <= size && length <= PROXY_HEADER_MAX_BYTES; length++) {
        enum proxy_header_verdict now = proxy_header_read((struct slice){all.data, length}, &part);
        assert(before == PROXY_HEADER_INCOMPLETE || now == before);
        assert(!is_good || now == (length < header.length ? PROXY_HEADER_INCOMPLETE : PROXY_HEADER_GOOD));
        before = now;
    }
    assert(before == verdict);
    if (is_good && header.has_client) {
        bool is_line = data[0] == 'P', is_v4 = is_line ? memcmp(data, "PROXY TCP4 ", 11) == 0 : data[13] >> 4 == 1;
        assert(is_v4 || (is_line ? memcmp(data, "PROXY TCP6 ", 11) == 0 : data[13] >> 4 == 2));
        assert(!is_v4 || ip_address_is_v4(&header.client));
        check_made_anew(&header.client);
    }
    return 0;
}
