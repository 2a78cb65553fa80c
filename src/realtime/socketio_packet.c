#include "socketio_packet.h"

#include <stdio.h>
#include <string.h>

#include "frame.h"
#include "json_scan.h"
#include "util/digits.h"
#include "util/json.h"

enum { ACK_ID_MAX_DIGITS = 15 }; /* below 2^53, so that JavaScript agrees */

static const struct slice RESERVED_EVENTS[] = {
    {"connect", 7},      {"connect_error", 13}, {"disconnect", 10},
    {"newListener", 11}, {"disconnecting", 13}, {"removeListener", 14},
};

static bool is_binary(enum sio_packet_type type)
{
    return type == SIO_BINARY_EVENT || type == SIO_BINARY_ACK;
}

static bool take_attachments(struct slice *rest, struct sio_packet *packet)
{
    int64_t count;
    if (!digits_take(rest, 2, &count) || count > SIO_ATTACHMENTS_MAX || rest->length == 0 || rest->data[0] != '-') {
        return false;
    }
    *rest = (struct slice){rest->data + 1, rest->length - 1};
    packet->attachment_count = (int)count;
    return true;
}

static bool take_namespace(struct slice *rest, struct sio_packet *packet)
{
    packet->name_space = SLICE("/");
    if (rest->length == 0 || rest->data[0] != '/') {
        return true;
    }
    packet->name_space = slice_take_until(rest, ',');
    return packet->name_space.length <= SIO_NAMESPACE_MAX_BYTES;
}

static bool is_reserved(struct slice name)
{
    for (size_t i = 0; i < sizeof RESERVED_EVENTS / sizeof RESERVED_EVENTS[0]; i++) {
        if (slice_equals(name, RESERVED_EVENTS[i])) {
            return true;
        }
    }
    return false;
}

/* The first element of an event: a string, or a number (which is then named by its digits). */
static bool read_event_name(struct slice json, struct buffer *names, struct sio_event *event)
{
    if (json.data[0] != '"') {
        event->name = json;
        return json.data[0] == '-' || digits_hold(json.data[0]);
    }
    return json_scan_decode_string(json, names, &event->name) && !is_reserved(event->name);
}

/* A JSON array; of an event, its elements are taken apart. */
static bool read_array(struct json_scan *scan, struct buffer *names, struct sio_packet *packet)
{
    bool is_event = packet->type == SIO_EVENT || packet->type == SIO_BINARY_EVENT;
    struct sio_event *event = &packet->event;
    struct slice element;
    if (!json_scan_take(scan, '[')) {
        return false;
    }
    if (json_scan_take(scan, ']')) {
        return !is_event;
    }
    scan->depth++;
    for (int i = 0; i == 0 || json_scan_take(scan, ','); i++) {
        if (!json_scan_value(scan, &element)) {
            return false;
        }
        if (!is_event) {
            continue;
        }
        if (i == 0 ? !read_event_name(element, names, event) : event->argument_count == SIO_ARGUMENTS_MAX) {
            return false;
        }
        if (i > 0) {
            event->arguments[event->argument_count++] = element;
        }
    }
    return json_scan_take(scan, ']');
}

static bool read_object(struct json_scan *scan, struct sio_packet *packet)
{
    struct slice object;
    if (packet->payload.length == 0) {
        return true;
    }
    if (!json_scan_value(scan, &object) || object.data[0] != '{') {
        return false;
    }
    packet->payload = object;
    return true;
}

static bool read_payload(struct buffer *names, struct sio_packet *packet)
{
    int placeholders = is_binary(packet->type) ? packet->attachment_count : JSON_ANY_PLACEHOLDER;
    struct json_scan scan = json_scan_init(packet->payload, placeholders);
    switch (packet->type) {
    case SIO_CONNECT:
        return read_object(&scan, packet) && json_scan_at_end(&scan);
    case SIO_DISCONNECT:
        return packet->payload.length == 0;
    case SIO_EVENT:
    case SIO_BINARY_EVENT:
    case SIO_ACK:
    case SIO_BINARY_ACK:
        return read_array(&scan, names, packet) && json_scan_at_end(&scan);
    case SIO_CONNECT_ERROR:
        break;
    }
    return false; /* only servers refuse */
}

bool sio_packet_decode(struct slice text, struct buffer *names, struct sio_packet *ret_packet)
{
    if (text.length == 0 || text.data[0] < '0' || text.data[0] > '6') {
        return false;
    }
    struct sio_packet *packet = ret_packet;
    packet->type = (enum sio_packet_type)(text.data[0] - '0');
    packet->attachment_count = 0;
    packet->event.name = (struct slice){NULL, 0};
    packet->event.argument_count = packet->event.attachment_count = 0;
    packet->event.ack_id = -1;
    struct slice rest = {text.data + 1, text.length - 1};
    if ((is_binary(packet->type) && !take_attachments(&rest, packet)) || !take_namespace(&rest, packet)) {
        return false;
    }
    if (rest.length > 0 && digits_hold(rest.data[0]) && !digits_take(&rest, ACK_ID_MAX_DIGITS, &packet->event.ack_id)) {
        return false;
    }
    bool is_ack = packet->type == SIO_ACK || packet->type == SIO_BINARY_ACK;
    if (is_ack && packet->event.ack_id < 0) {
        return false;
    }
    packet->payload = rest;
    return read_payload(names, packet);
}

/* --- encoding --- */

static bool needs_escape(struct slice name)
{
    for (size_t i = 0; i < name.length; i++) {
        unsigned char c = (unsigned char)name.data[i];
        if (c < 0x20 || c == '"' || c == '\\' || c == 0x7f) {
            return true;
        }
    }
    return false;
}

struct sio_frame *sio_packet_encode(const struct sio_packet_parts *parts)
{
    char head[16], id[24];
    bool is_event = parts->type == SIO_EVENT || parts->type == SIO_BINARY_EVENT;
    bool is_array = is_event || parts->type == SIO_ACK || parts->type == SIO_BINARY_ACK;
    int head_length = is_binary(parts->type)
                          ? snprintf(head, sizeof head, "4%d%d-", parts->type, parts->attachment_count)
                          : snprintf(head, sizeof head, "4%d", parts->type);
    int id_length = parts->ack_id >= 0 ? snprintf(id, sizeof id, "%lld", (long long)parts->ack_id) : 0;
    struct buffer escaped = buffer_init(1 << 20);
    struct slice name = parts->name;
    if (is_event && needs_escape(name)) {
        json_string(&escaped, name);
        name = escaped.failed ? name : (struct slice){escaped.data + 1, escaped.length - 2};
    }
    bool has_namespace = parts->name_space.length > 1, has_offset = parts->offset.length > 0;
    struct slice pieces[] = {
        {head, (size_t)head_length},
        {parts->name_space.data, has_namespace ? parts->name_space.length : 0},
        {",", has_namespace ? 1 : 0},
        {id, (size_t)id_length},
        {"[", is_array ? 1 : 0},
        {"\"", is_event ? 1 : 0},
        {name.data, is_event ? name.length : 0},
        {"\",", is_event ? (parts->json.length > 0 ? 2 : 1) : 0},
        parts->json,
        {",\"", has_offset ? 2 : 0},
        parts->offset,
        {"\"", has_offset ? 1 : 0},
        {"]", is_array ? 1 : 0},
    };
    struct sio_frame *frame =
        escaped.failed ? NULL : frame_create(WS_OPCODE_TEXT, pieces, (int)(sizeof pieces / sizeof pieces[0]));
    buffer_dispose(&escaped);
    return frame;
}
