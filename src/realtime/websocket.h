/* RFC 6455 without a network: a parser of what a client sends, and the header of what a server sends. The parser takes
 * bytes as they come and keeps nothing but its state and the message under way: what it does not use (a header or a
 * control frame that is not whole yet) is given to it again, with more behind it. */
#ifndef STONECHAT_REALTIME_WEBSOCKET_H
#define STONECHAT_REALTIME_WEBSOCKET_H

#include <stdbool.h>
#include <stdint.h>

#include "util/buffer.h"
#include "util/slice.h"

enum ws_opcode {
    WS_OPCODE_CONTINUATION = 0,
    WS_OPCODE_TEXT = 1,
    WS_OPCODE_BINARY = 2,
    WS_OPCODE_CLOSE = 8,
    WS_OPCODE_PING = 9,
    WS_OPCODE_PONG = 10,
};

/* https://www.iana.org/assignments/websocket/websocket.xhtml#close-code-number; 0 stands for a Close without a code. */
enum ws_close_code {
    WS_CLOSE_NONE = 0,
    WS_CLOSE_NORMAL = 1000,
    WS_CLOSE_GOING_AWAY = 1001,
    WS_CLOSE_PROTOCOL_ERROR = 1002,
    WS_CLOSE_UNSUPPORTED = 1003,
    WS_CLOSE_BAD_DATA = 1007,
    WS_CLOSE_POLICY = 1008,
    WS_CLOSE_TOO_BIG = 1009,
    WS_CLOSE_INTERNAL = 1011,
    WS_CLOSE_TRY_AGAIN = 1013,
    WS_CLOSE_UNAUTHORIZED = 4401, /* ours, after HTTP's */
};

enum {
    WS_CONTROL_MAX_BYTES = 125,
    WS_HEADER_MAX_BYTES = 10, /* of a server's frame */
    WS_FRAGMENTS_MAX = 65537, /* of one message */
};

struct ws_parser {
    struct buffer message; /* under way, or just given */
    size_t checked;        /* bytes of a text message that are known to be whole characters */
    uint64_t frame_left;   /* bytes of the data frame that are still to come */
    uint32_t fragments;
    uint32_t frames;  /* begun since its user has set it to 0 */
    size_t max_bytes; /* of a message; no more than `message` can take */
    uint8_t mask[4];
    uint8_t mask_at;
    uint8_t opcode; /* of the message under way; WS_OPCODE_CONTINUATION when there is none */
    bool in_frame, is_final, is_given;
};

enum ws_event_type {
    WS_EVENT_MORE, /* nothing, until more bytes come */
    WS_EVENT_TEXT,
    WS_EVENT_BINARY,
    WS_EVENT_PING,
    WS_EVENT_PONG,
    WS_EVENT_CLOSE,
    WS_EVENT_FAILURE, /* the client broke the protocol: close with `code`, and read no more */
};

struct ws_event {
    enum ws_event_type type;
    struct slice payload; /* until the parser is used again; of a Close, the reason */
    uint16_t code;        /* of a Close (WS_CLOSE_NONE: it had none) and of a failure */
    char control[WS_CONTROL_MAX_BYTES];
};

void ws_parser_init(struct ws_parser *parser, size_t max_message_bytes);
void ws_parser_dispose(struct ws_parser *parser);

/* Reads up to the end of the next message or control frame; returns how many bytes were used. */
size_t ws_parser_read(struct ws_parser *parser, const char *bytes, size_t length, struct ws_event *ret_event);

/* No message is under way, so that `message` may be taken from the parser, and another one be lent to it. */
bool ws_parser_is_idle(const struct ws_parser *parser);

/* Is this a code that a peer may send in a Close? */
bool ws_close_code_is_valid(unsigned code);

/* Writes the header of an unfragmented, unmasked frame; returns its length. */
size_t ws_encode_header(enum ws_opcode opcode, uint64_t length, uint8_t out[WS_HEADER_MAX_BYTES]);

#endif
