/* Any bytes as a WebSocket client's: whole and in portions they mean the same, and what comes out keeps the protocol's
 * promises. The first byte says how large the portions are. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "realtime/websocket.h"
#include "util/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MAX_MESSAGE_BYTES = 1 << 12 };

static void check(const struct ws_event *event)
{
    bool is_control = event->type >= WS_EVENT_PING && event->type <= WS_EVENT_CLOSE;
    assert(event->payload.length <= (is_control ? WS_CONTROL_MAX_BYTES : MAX_MESSAGE_BYTES));
    assert(event->type != WS_EVENT_TEXT || utf8_is_valid(event->payload));
    if (event->type == WS_EVENT_CLOSE) {
        assert(event->code == WS_CLOSE_NONE || ws_close_code_is_valid(event->code));
        assert(utf8_is_valid(event->payload));
    }
}

/* Notes all that comes out in `log`. */
static void run(const char *bytes, size_t length, size_t portion, struct buffer *log)
{
    struct ws_parser parser;
    struct ws_event event = {.type = WS_EVENT_MORE};
    size_t used = 0;
    ws_parser_init(&parser, MAX_MESSAGE_BYTES);
    for (size_t end = 0; end < length && event.type != WS_EVENT_FAILURE;) {
        end = length - end < portion ? length : end + portion;
        do {
            used += ws_parser_read(&parser, bytes + used, end - used, &event);
            assert(used <= end);
            if (event.type != WS_EVENT_MORE) {
                check(&event);
                buffer_printf(log, "%d %d %zu ", event.type, event.type >= WS_EVENT_CLOSE ? event.code : 0,
                              event.payload.length);
                buffer_append_slice(log, event.payload);
            }
        } while (event.type != WS_EVENT_MORE && event.type != WS_EVENT_FAILURE);
    }
    ws_parser_dispose(&parser);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    struct buffer whole = buffer_init(1 << 24), parts = buffer_init(1 << 24);
    run((const char *)data + 1, size - 1, SIZE_MAX, &whole);
    run((const char *)data + 1, size - 1, (size_t)data[0] + 1, &parts);
    assert(slice_equals(buffer_slice(&whole), buffer_slice(&parts)));
    buffer_dispose(&whole);
    buffer_dispose(&parts);
    return 0;
}
