/* Engine.IO 4 packets: a digit and data; several of them in one HTTP body are separated by U+001E, and a binary message
 * is there a `b` and its base64. https://socket.io/docs/v4/engine-io-protocol/ */
#ifndef STONECHAT_REALTIME_ENGINEIO_PACKET_H
#define STONECHAT_REALTIME_ENGINEIO_PACKET_H

#include <stdbool.h>

#include "util/buffer.h"
#include "util/slice.h"

enum eio_packet_type { EIO_OPEN, EIO_CLOSE, EIO_PING, EIO_PONG, EIO_MESSAGE, EIO_UPGRADE, EIO_NOOP };

struct eio_packet {
    enum eio_packet_type type;
    bool is_binary; /* then it is an EIO_MESSAGE */
    struct slice data;
};

/* A packet of text, as in a WebSocket's text message. False when it is none. */
bool eio_packet_decode(struct slice text, struct eio_packet *ret_packet);

/* Takes the next packet off an HTTP body. Bytes of a `b` packet are decoded into `bytes`, which is emptied first. False
 * when it is no packet, or without memory (then `bytes->failed`). An empty body holds one empty, wrong packet. */
bool eio_payload_next(struct slice *rest, bool *ret_is_last, struct buffer *bytes, struct eio_packet *ret_packet);

/* Appends a packet to an HTTP body: text is a whole packet, binary is the bytes of a message. */
void eio_payload_append(struct buffer *out, struct slice packet, bool is_binary);

#endif
