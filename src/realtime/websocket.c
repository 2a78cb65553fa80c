#include "websocket.h"

#include <string.h>

#include "util/utf8.h"

/* A data frame's payload is unmasked on its way into `message` as it arrives, and text is checked at once, so that a
 * bad byte ends the connection before the rest has come. */

void ws_parser_init(struct ws_parser *parser, size_t max_message_bytes)
{
    *parser = (struct ws_parser){.message = buffer_init(max_message_bytes), .max_bytes = max_message_bytes};
}

void ws_parser_dispose(struct ws_parser *parser)
{
    buffer_dispose(&parser->message);
}

bool ws_parser_is_idle(const struct ws_parser *parser)
{
    return parser->opcode == WS_OPCODE_CONTINUATION;
}

bool ws_close_code_is_valid(unsigned code)
{
    return (code >= 3000 && code <= 4999) || (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014);
}

static void fail(struct ws_event *event, enum ws_close_code code)
{
    event->type = WS_EVENT_FAILURE;
    event->code = (uint16_t)code;
    event->payload = (struct slice){NULL, 0};
}

/* --- headers --- */

struct header {
    uint8_t opcode;
    bool is_final;
    uint64_t payload_length;
    size_t length;
    uint8_t mask[4];
};

static bool is_control(uint8_t opcode)
{
    return (opcode & 8) != 0;
}

/* The rules that the first two bytes alone must keep. */
static bool is_start_valid(const struct ws_parser *parser, const uint8_t start[2])
{
    uint8_t opcode = start[0] & 0x0f, short_length = start[1] & 0x7f;
    if ((start[0] & 0x70) != 0 || (start[1] & 0x80) == 0) {
        return false; /* no extension was agreed on; clients mask */
    }
    if (is_control(opcode)) {
        return opcode <= WS_OPCODE_PONG && (start[0] & 0x80) != 0 && short_length <= WS_CONTROL_MAX_BYTES;
    }
    bool is_continuation = opcode == WS_OPCODE_CONTINUATION;
    return opcode <= WS_OPCODE_BINARY && is_continuation != ws_parser_is_idle(parser);
}

static uint64_t read_number(const uint8_t *bytes, size_t length)
{
    uint64_t number = 0;
    for (size_t i = 0; i < length; i++) {
        number = number << 8 | bytes[i];
    }
    return number;
}

/* False without anything in `event` while the header is not whole, false with a failure when it is wrong. */
static bool read_header(const struct ws_parser *parser, const char *text, size_t length, struct header *ret_header,
                        struct ws_event *event)
{
    const uint8_t *bytes = (const uint8_t *)text;
    if (length < 2) {
        return false;
    }
    if (!is_start_valid(parser, bytes)) {
        fail(event, WS_CLOSE_PROTOCOL_ERROR);
        return false;
    }
    uint8_t short_length = bytes[1] & 0x7f;
    size_t extra = short_length == 127 ? 8 : short_length == 126 ? 2 : 0;
    if (length < 2 + extra + 4) {
        return false;
    }
    uint64_t payload_length = extra > 0 ? read_number(bytes + 2, extra) : short_length;
    if ((extra == 2 && payload_length < 126) || (extra == 8 && payload_length <= UINT16_MAX) ||
        payload_length >> 63 != 0) {
        fail(event, WS_CLOSE_PROTOCOL_ERROR);
        return false;
    }
    *ret_header = (struct header){.opcode = bytes[0] & 0x0f,
                                  .is_final = (bytes[0] & 0x80) != 0,
                                  .payload_length = payload_length,
                                  .length = 2 + extra + 4};
    memcpy(ret_header->mask, bytes + 2 + extra, 4);
    return true;
}

/* --- payloads --- */

/* Eight bytes at a time, with the mask turned to where it is in the frame. */
static void unmask(char *out, const char *in, size_t length, const uint8_t mask[4], uint8_t *mask_at)
{
    uint8_t turned[8];
    uint64_t word_mask, word;
    for (size_t i = 0; i < sizeof turned; i++) {
        turned[i] = mask[(*mask_at + i) & 3];
    }
    memcpy(&word_mask, turned, sizeof word_mask);
    size_t at = 0;
    for (; at + sizeof word <= length; at += sizeof word) {
        memcpy(&word, in + at, sizeof word);
        word ^= word_mask;
        memcpy(out + at, &word, sizeof word);
    }
    for (; at < length; at++) {
        out[at] = (char)((uint8_t)in[at] ^ turned[at & 7]);
    }
    *mask_at = (uint8_t)((*mask_at + length) & 3);
}

/* May `tail` (1 to 3 bytes that are no character) become one with more bytes behind it? */
static bool may_become_character(struct slice tail)
{
    if (tail.length > 3) {
        return false;
    }
    uint8_t first = (uint8_t)tail.data[0];
    if (tail.length == 1) {
        return first >= 0xc2 && first <= 0xf4;
    }
    char padded[4] = {(char)0x80, (char)0x80, (char)0x80, (char)0x80};
    memcpy(padded, tail.data, tail.length);
    return utf8_character((struct slice){padded, sizeof padded}) > tail.length;
}

/* Checks what has been added to a text message. At its end no character may be cut. */
static bool check_text(struct ws_parser *parser, bool is_end)
{
    const char *data = parser->message.data;
    size_t at = parser->checked, length = parser->message.length;
    while (at < length) {
        uint64_t word;
        if (length - at >= sizeof word) {
            memcpy(&word, data + at, sizeof word);
            if ((word & 0x8080808080808080ull) == 0) {
                at += sizeof word;
                continue;
            }
        }
        struct slice rest = {data + at, length - at};
        size_t character = utf8_character(rest);
        if (character == 0) {
            parser->checked = at;
            return !is_end && may_become_character(rest);
        }
        at += character;
    }
    parser->checked = at;
    return true;
}

static void give_message(struct ws_parser *parser, struct ws_event *event)
{
    event->type = parser->opcode == WS_OPCODE_TEXT ? WS_EVENT_TEXT : WS_EVENT_BINARY;
    event->payload = buffer_slice(&parser->message);
    parser->opcode = WS_OPCODE_CONTINUATION;
    parser->is_given = true;
}

/* Takes what has come of the data frame; at the end of a final one, the message is given. */
static size_t read_payload(struct ws_parser *parser, const char *bytes, size_t length, struct ws_event *event)
{
    size_t take = parser->frame_left < length ? (size_t)parser->frame_left : length;
    if (take > 0) {
        char *out = buffer_reserve(&parser->message, take);
        if (out == NULL) {
            fail(event, WS_CLOSE_INTERNAL);
            return 0;
        }
        unmask(out, bytes, take, parser->mask, &parser->mask_at);
        parser->message.length += take;
        parser->frame_left -= take;
    }
    bool is_end = parser->frame_left == 0 && parser->is_final;
    if (parser->opcode == WS_OPCODE_TEXT && !check_text(parser, is_end)) {
        fail(event, WS_CLOSE_BAD_DATA);
        return take;
    }
    parser->in_frame = parser->frame_left > 0;
    if (is_end) {
        give_message(parser, event);
    }
    return take;
}

static void start_data_frame(struct ws_parser *parser, const struct header *header, struct ws_event *event)
{
    if (header->opcode != WS_OPCODE_CONTINUATION) {
        parser->opcode = header->opcode;
        parser->fragments = 0;
        parser->checked = 0;
    }
    if (header->payload_length > parser->max_bytes ||
        parser->message.length > parser->max_bytes - header->payload_length) {
        fail(event, WS_CLOSE_TOO_BIG);
        return;
    }
    if (++parser->fragments > WS_FRAGMENTS_MAX) {
        fail(event, WS_CLOSE_POLICY);
        return;
    }
    parser->in_frame = true;
    parser->is_final = header->is_final;
    parser->frame_left = header->payload_length;
    parser->mask_at = 0;
    memcpy(parser->mask, header->mask, sizeof parser->mask);
}

static void give_close(struct ws_event *event)
{
    struct slice payload = event->payload;
    event->code = WS_CLOSE_NONE;
    if (payload.length == 0) {
        return;
    }
    unsigned code = payload.length >= 2 ? (unsigned)read_number((const uint8_t *)payload.data, 2) : 0;
    if (!ws_close_code_is_valid(code)) {
        fail(event, WS_CLOSE_PROTOCOL_ERROR);
        return;
    }
    event->payload = (struct slice){payload.data + 2, payload.length - 2};
    event->code = (uint16_t)code;
    if (!utf8_is_valid(event->payload)) {
        fail(event, WS_CLOSE_BAD_DATA);
    }
}

/* A whole control frame, or nothing of it. */
static size_t read_control(const struct header *header, const char *bytes, size_t length, struct ws_event *event)
{
    size_t payload_length = (size_t)header->payload_length;
    if (length < header->length + payload_length) {
        return 0;
    }
    uint8_t mask_at = 0;
    unmask(event->control, bytes + header->length, payload_length, header->mask, &mask_at);
    event->payload = (struct slice){event->control, payload_length};
    event->type = header->opcode == WS_OPCODE_CLOSE  ? WS_EVENT_CLOSE
                  : header->opcode == WS_OPCODE_PING ? WS_EVENT_PING
                                                     : WS_EVENT_PONG;
    if (event->type == WS_EVENT_CLOSE) {
        give_close(event);
    }
    return header->length + payload_length;
}

size_t ws_parser_read(struct ws_parser *parser, const char *bytes, size_t length, struct ws_event *ret_event)
{
    size_t used = 0;
    ret_event->type = WS_EVENT_MORE;
    if (parser->is_given) {
        parser->is_given = false;
        parser->message.length = 0;
    }
    while (ret_event->type == WS_EVENT_MORE) {
        if (parser->in_frame) {
            if (used == length && parser->frame_left > 0) {
                break;
            }
            used += read_payload(parser, bytes + used, length - used, ret_event);
            continue;
        }
        struct header header;
        if (!read_header(parser, bytes + used, length - used, &header, ret_event)) {
            break;
        }
        if (is_control(header.opcode)) {
            size_t taken = read_control(&header, bytes + used, length - used, ret_event);
            used += taken;
            if (taken == 0) {
                break;
            }
            parser->frames++;
        } else {
            used += header.length;
            parser->frames++;
            start_data_frame(parser, &header, ret_event);
        }
    }
    return used;
}

size_t ws_encode_header(enum ws_opcode opcode, uint64_t length, uint8_t out[WS_HEADER_MAX_BYTES])
{
    out[0] = (uint8_t)(0x80 | opcode);
    if (length < 126) {
        out[1] = (uint8_t)length;
        return 2;
    }
    size_t extra = length <= UINT16_MAX ? 2 : 8;
    out[1] = extra == 2 ? 126 : 127;
    for (size_t i = 0; i < extra; i++) {
        out[2 + i] = (uint8_t)(length >> (8 * (extra - 1 - i)));
    }
    return 2 + extra;
}
