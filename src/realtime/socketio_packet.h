/* Socket.IO 5 packets: `type[N-][/namespace,][ack id][json]`, each in an Engine.IO message, with N binary messages
 * behind it. https://socket.io/docs/v4/socket-io-protocol/ */
#ifndef STONECHAT_REALTIME_SOCKETIO_PACKET_H
#define STONECHAT_REALTIME_SOCKETIO_PACKET_H

#include <stdbool.h>
#include <stdint.h>

#include "realtime/socketio.h"
#include "util/buffer.h"
#include "util/slice.h"

enum sio_packet_type {
    SIO_CONNECT,
    SIO_DISCONNECT,
    SIO_EVENT,
    SIO_ACK,
    SIO_CONNECT_ERROR,
    SIO_BINARY_EVENT,
    SIO_BINARY_ACK,
};

enum { SIO_NAMESPACE_MAX_BYTES = 256 };

struct sio_packet {
    enum sio_packet_type type;
    struct slice name_space;
    struct slice payload; /* JSON, white space around it left out; may be empty */
    int attachment_count; /* binary messages that follow */
    /* Of the events, whose `attachments` are not there yet; `event.ack_id` also of acks. */
    struct sio_event event;
};

/* Decodes a packet, and holds it against all rules. `text` is UTF-8. Slices point into it, or into `names` where an
 * event's name has escapes. False when it is no packet that a client may send, or without memory (then
 * `names->failed`). */
bool sio_packet_decode(struct slice text, struct buffer *names, struct sio_packet *ret_packet);

/* A frame with an Engine.IO message that is such a packet. `name` is an event's; without its data, none. `json` is what
 * stands in brackets behind it for events and acks, and the payload of others. An `ack_id` below 0 is none. NULL
 * without memory. */
struct sio_packet_parts {
    enum sio_packet_type type;
    struct slice name_space; /* empty: "/" */
    struct slice name, json;
    struct slice offset; /* a last argument behind `json`, as a string; empty for none */
    int attachment_count;
    int64_t ack_id;
};
struct sio_frame *sio_packet_encode(const struct sio_packet_parts *parts);

#endif
