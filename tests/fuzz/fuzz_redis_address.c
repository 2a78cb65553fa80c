/* Any text as REDIS_URL: what is taken has sound parts, and is the same when it is written anew. */
#include <assert.h>
#include <ctype.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "util/buffer.h"
#include "util/redis_address.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void append_escaped(struct buffer *out, const char *text)
{
    for (; *text != '\0'; text++) {
        buffer_printf(out, "%%%02x", (unsigned char)*text);
    }
}

static void check(const struct redis_address *address)
{
    bool is_v6 = strchr(address->host, ':') != NULL;
    struct buffer url = buffer_init(1 << 14);
    struct redis_address again;
    assert(address->port >= 1 && address->port <= 65535 && address->database >= 0);
    assert(address->host[0] != '\0');
    for (const char *c = address->host; *c != '\0'; c++) {
        assert(isalnum((unsigned char)*c) || strchr("-._:", *c) != NULL);
    }
    buffer_append_text(&url, address->has_tls ? "rediss://" : "redis://");
    append_escaped(&url, address->username);
    buffer_append_char(&url, ':');
    append_escaped(&url, address->password);
    buffer_printf(&url, is_v6 ? "@[%s]:%d/%d" : "@%s:%d/%d", address->host, address->port, address->database);
    buffer_append_char(&url, '\0');
    assert(!url.failed && redis_address_parse(url.data, &again));
    assert(strcmp(again.host, address->host) == 0 && again.port == address->port);
    assert(strcmp(again.username, address->username) == 0 && strcmp(again.password, address->password) == 0);
    assert(again.database == address->database && again.has_tls == address->has_tls);
    buffer_dispose(&url);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    struct redis_address address, untouched;
    memset(&address, 'x', sizeof address);
    untouched = address;
    memcpy(text, data, size);
    text[size] = '\0';
    if (redis_address_parse(text, &address)) {
        check(&address);
    } else {
        assert(memcmp(&address, &untouched, sizeof address) == 0);
    }
    free(text);
    return 0;
}
