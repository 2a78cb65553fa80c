/* Any text as an Origin, and any as a Host, a newline between them: an origin that is taken for the host's own is a
 * scheme and that host, and nothing else; one that is made of the host is taken. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "realtime/origin.h"
#include "util/buffer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_made_of(struct slice origin, const char *scheme, struct slice host)
{
    struct buffer made = buffer_init(1 << 24);
    buffer_append_text(&made, scheme);
    buffer_append_slice(&made, host);
    bool is_same = slice_equals(origin, buffer_slice(&made));
    assert(host.length == 0 || origin_is_own(buffer_slice(&made), host));
    buffer_append_char(&made, '/');
    assert(!origin_is_own(buffer_slice(&made), host));
    buffer_dispose(&made);
    return is_same;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice origin = {(const char *)data, size}, host = {NULL, 0};
    const char *newline = size > 0 ? memchr(data, '\n', size) : NULL;
    if (newline != NULL) {
        origin.length = (size_t)(newline - origin.data);
        host = (struct slice){newline + 1, size - origin.length - 1};
    }
    bool is_own = origin_is_own(origin, host);
    assert(origin.length > 0 || is_own);
    if (is_made_of(origin, "http://", host) || is_made_of(origin, "https://", host)) {
        assert(is_own == (host.length > 0));
    }
    if (is_own && origin.length > 0) {
        size_t scheme = origin.length - host.length;
        assert(host.length > 0 && scheme > 3 && memcmp(origin.data + scheme, host.data, host.length) == 0);
        assert(memcmp(origin.data + scheme - 3, "://", 3) == 0 && memchr(origin.data, ':', scheme - 3) == NULL);
    }
    return 0;
}
