#include "engineio_packet.h"

#include <stdint.h>
#include <string.h>

static const char SEPARATOR = '\x1e';

bool eio_packet_decode(struct slice text, struct eio_packet *ret_packet)
{
    if (text.length == 0 || text.data[0] < '0' || text.data[0] > '6') {
        return false;
    }
    *ret_packet = (struct eio_packet){.type = (enum eio_packet_type)(text.data[0] - '0'),
                                      .data = {text.data + 1, text.length - 1}};
    return true;
}

/* --- base64 (RFC 4648 section 4, with padding) --- */

static int digit_value(char c)
{
    if (c >= 'A' && c <= 'Z') {
        return c - 'A';
    }
    if (c >= 'a' && c <= 'z') {
        return c - 'a' + 26;
    }
    if (c >= '0' && c <= '9') {
        return c - '0' + 52;
    }
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Four digits to three bytes, or -1. */
static int32_t decode_group(const char *digits)
{
    int32_t group = 0;
    for (int i = 0; i < 4; i++) {
        int value = digit_value(digits[i]);
        if (value < 0) {
            return -1;
        }
        group = group << 6 | value;
    }
    return group;
}

static bool base64_decode(struct slice text, struct buffer *out)
{
    if (text.length % 4 != 0) {
        return false;
    }
    for (size_t at = 0; at < text.length; at += 4) {
        char digits[4];
        memcpy(digits, text.data + at, 4);
        bool is_last = at + 4 == text.length;
        size_t padding = is_last && digits[3] == '=' ? (digits[2] == '=' ? 2 : 1) : 0;
        for (size_t i = 0; i < padding; i++) {
            digits[3 - i] = 'A';
        }
        int32_t group = decode_group(digits);
        if (group < 0 || (padding == 1 && (group & 0xff) != 0) || (padding == 2 && (group & 0xffff) != 0)) {
            return false;
        }
        char bytes[3] = {(char)(group >> 16), (char)(group >> 8), (char)group};
        buffer_append(out, bytes, 3 - padding);
    }
    return !out->failed;
}

static void base64_encode(struct buffer *out, struct slice bytes)
{
    static const char DIGITS[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const uint8_t *in = (const uint8_t *)bytes.data;
    char *at = buffer_reserve(out, (bytes.length + 2) / 3 * 4);
    if (at == NULL) {
        return;
    }
    out->length += (bytes.length + 2) / 3 * 4;
    for (size_t i = 0; i < bytes.length; i += 3) {
        size_t left = bytes.length - i;
        uint32_t group = (uint32_t)in[i] << 16 | (left > 1 ? (uint32_t)in[i + 1] << 8 : 0) | (left > 2 ? in[i + 2] : 0);
        *at++ = DIGITS[group >> 18];
        *at++ = DIGITS[group >> 12 & 63];
        *at++ = left > 1 ? DIGITS[group >> 6 & 63] : '=';
        *at++ = left > 2 ? DIGITS[group & 63] : '=';
    }
}

/* --- bodies --- */

bool eio_payload_next(struct slice *rest, bool *ret_is_last, struct buffer *bytes, struct eio_packet *ret_packet)
{
    const char *end = rest->length > 0 ? memchr(rest->data, SEPARATOR, rest->length) : NULL;
    struct slice text = {rest->data, end != NULL ? (size_t)(end - rest->data) : rest->length};
    *ret_is_last = end == NULL;
    if (end != NULL) {
        *rest = (struct slice){end + 1, rest->length - text.length - 1};
    }
    if (text.length == 0 || text.data[0] != 'b') {
        return eio_packet_decode(text, ret_packet);
    }
    bytes->length = 0;
    if (!base64_decode((struct slice){text.data + 1, text.length - 1}, bytes)) {
        return false;
    }
    *ret_packet = (struct eio_packet){.type = EIO_MESSAGE, .is_binary = true, .data = buffer_slice(bytes)};
    return true;
}

void eio_payload_append(struct buffer *out, struct slice packet, bool is_binary)
{
    if (out->length > 0) {
        buffer_append_char(out, SEPARATOR);
    }
    if (is_binary) {
        buffer_append_char(out, 'b');
        if (packet.length > 0) {
            base64_encode(out, packet);
        }
    } else {
        buffer_append_slice(out, packet);
    }
}
