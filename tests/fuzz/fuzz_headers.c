/* Any bytes as headers and queries: no crash, and what is accepted is what the callers count on. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "auth/token.h"
#include "http/headers.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = {(const char *)data, size};
    char out[16];
    if (headers_query_parameter(text, "sid", out, sizeof out)) {
        assert(memchr(out, '\0', sizeof out) != NULL);
        assert(strlen(out) <= size);
    }
    if (headers_is_request_id(text, 128)) {
        assert(size > 0 && size <= 128 && memchr(data, '\n', size) == NULL && memchr(data, '"', size) == NULL);
    }
    struct slice token = token_of_authorization(text);
    assert(token.length == 0 || (token.data >= text.data && token.data + token.length <= text.data + text.length));
    bool holds = headers_list_holds(text, "upgrade");
    assert(!holds || size >= strlen("upgrade"));
    assert(!headers_are_unambiguous(text, true) || size >= strlen("host:"));
    assert(!headers_is_json(text) || size >= strlen("application/json"));
    return 0;
}
