/* Any text as a Socket.IO packet: what is accepted is JSON to yajl too, and its parts lie within it. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <yajl/yajl_parse.h>

#include "realtime/frame.h"
#include "realtime/socketio_packet.h"
#include "util/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_json(struct slice text)
{
    yajl_handle parser = yajl_alloc(NULL, NULL, NULL);
    bool good = yajl_parse(parser, (const unsigned char *)text.data, text.length) == yajl_status_ok &&
                yajl_complete_parse(parser) == yajl_status_ok;
    yajl_free(parser);
    return good;
}

static bool lies_within(struct slice part, struct slice whole)
{
    return part.data >= whole.data && part.data + part.length <= whole.data + whole.length;
}

static void check_event(const struct sio_event *event, struct slice text)
{
    assert(event->argument_count <= SIO_ARGUMENTS_MAX);
    assert(utf8_is_valid(event->name));
    for (int i = 0; i < event->argument_count; i++) {
        assert(lies_within(event->arguments[i], text));
        assert(is_json(event->arguments[i]));
    }
}

/* Written again by us, an event means the same. */
static void check_round_trip(const struct sio_packet *packet)
{
    struct buffer json = buffer_init(1 << 24), names = buffer_init(1 << 24);
    for (int i = 0; i < packet->event.argument_count; i++) {
        buffer_append_text(&json, i > 0 ? "," : "");
        buffer_append_slice(&json, packet->event.arguments[i]);
    }
    struct sio_frame *frame = sio_packet_encode(&(struct sio_packet_parts){.type = packet->type,
                                                                           .name_space = packet->name_space,
                                                                           .name = packet->event.name,
                                                                           .json = buffer_slice(&json),
                                                                           .attachment_count = packet->attachment_count,
                                                                           .ack_id = packet->event.ack_id});
    struct slice payload = frame_payload(frame);
    struct sio_packet again;
    assert(sio_packet_decode((struct slice){payload.data + 1, payload.length - 1}, &names, &again));
    assert(slice_equals(again.event.name, packet->event.name));
    assert(again.event.argument_count == packet->event.argument_count);
    assert(again.event.ack_id == packet->event.ack_id && again.attachment_count == packet->attachment_count);
    sio_frame_unref(frame);
    buffer_dispose(&json);
    buffer_dispose(&names);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = {(const char *)data, size};
    struct buffer names = buffer_init(size + 1);
    struct sio_packet packet;
    if (utf8_is_valid(text) && sio_packet_decode(text, &names, &packet)) {
        assert(packet.name_space.length >= 1 && packet.name_space.data[0] == '/');
        assert(packet.attachment_count <= SIO_ATTACHMENTS_MAX);
        assert(packet.payload.length == 0 || is_json(packet.payload));
        if (packet.type == SIO_EVENT || packet.type == SIO_BINARY_EVENT) {
            check_event(&packet.event, text);
            check_round_trip(&packet);
        }
    }
    buffer_dispose(&names);
    return 0;
}
