/* What comes by a plain WebSocket, taken apart: the header by which a browser brings its token, and then frames of
 * JSON,
 * {"event":"typing","data":{…},"id":1}. Pure. */
#ifndef STONECHAT_REALTIME_PLAIN_FRAME_H
#define STONECHAT_REALTIME_PLAIN_FRAME_H

#include "event_exchange.h"
#include "util/fields.h"

/* Reads Sec-WebSocket-Protocol: `bearer, <token>`. Of all headers, a browser's page can set only this one. False when
 * there is no `bearer`; the token may be missing all the same. */
bool plain_protocol_read(struct slice list, struct slice *ret_token);

struct plain_frame {
    struct field_values values; /* owns the texts */
    struct slice event, data;   /* the data is JSON, {} if there is none */
    struct event_ack ack;       /* its text is JSON: a string or a number */
    enum status status;         /* STATUS_OK, _INVALID_PAYLOAD when a member is wrong, _UNAVAILABLE without memory */
};

/* False when the message is no JSON object. To be disposed of either way. */
bool plain_frame_read(struct slice message, struct plain_frame *ret_frame);
void plain_frame_dispose(struct plain_frame *frame);

#endif
