/* Any text as what another node says: what is taken has the right form, and means the same when it is written again. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "realtime/bus_codec.h"
#include "realtime/json_scan.h"
#include "util/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct buffer again;

static void on_event(void *data, const struct hub_event *event)
{
    (void)data;
    bool is_durable = event->recipients[0].seq > 0;
    assert(event->recipient_count >= 1 && event->recipient_count <= BUS_CODEC_RECIPIENTS_MAX);
    assert(utf8_is_valid(event->type));
    assert(is_durable ? event->recipient_count == 1 : event->payload.data != NULL);
    if (event->payload.data == NULL) {
        bus_codec_write_hint(&again, event->recipients);
        return;
    }
    assert(event->type.length > 0 && json_scan_is_json(event->payload));
    if (is_durable) {
        bus_codec_write_durable(&again, event, event->recipients);
    } else {
        bus_codec_write_ephemeral(&again, event, event->recipients, event->recipient_count);
    }
}

static void on_news(void *data, enum bus_news news, struct uuid node_id, struct uuid user_id)
{
    (void)data;
    bus_codec_write_news(&again, news, node_id, user_id);
}

static const struct bus_callbacks CALLBACKS = {.on_event = on_event, .on_news = on_news};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice items = {(const char *)data, size};
    struct uuid sender;
    again = buffer_init(2 * size + 1024);
    if (bus_codec_read_sender(&items, &sender)) {
        bus_codec_read_items(items, true, &CALLBACKS, NULL);
        assert(!again.failed);
        struct buffer first = again;
        again = buffer_init(2 * size + 1024);
        assert(bus_codec_read_items(buffer_slice(&first), true, &CALLBACKS, NULL));
        assert(slice_equals(buffer_slice(&first), buffer_slice(&again)));
        buffer_dispose(&first);
    }
    buffer_dispose(&again);
    return 0;
}
