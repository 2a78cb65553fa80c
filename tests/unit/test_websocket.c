/* What clients send by WebSocket, whole and one byte at a time: every message, control frame and violation of RFC 6455
 * comes out the same. */
#include "realtime/websocket.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_MESSAGE_BYTES = 100000, FIN = 0x80, MASKED = 0x80 };

/* For initialisers. */
#define RAW_SLICE(literal)                                                                                             \
    {                                                                                                                  \
        (literal), sizeof(literal) - 1                                                                                 \
    }

/* --- a client --- */

static const uint8_t MASK[4] = {0x37, 0xfa, 0x21, 0x3d};

static void append_header(struct buffer *out, uint8_t first, uint64_t length, int length_bytes)
{
    buffer_append_char(out, (char)first);
    buffer_append_char(out, (char)(MASKED | (length_bytes == 8 ? 127 : length_bytes == 2 ? 126 : (int)length)));
    for (int i = length_bytes - 1; i >= 0; i--) {
        buffer_append_char(out, (char)(length >> (8 * i)));
    }
    buffer_append(out, MASK, sizeof MASK);
}

static void append_masked(struct buffer *out, struct slice payload)
{
    for (size_t i = 0; i < payload.length; i++) {
        buffer_append_char(out, (char)(payload.data[i] ^ MASK[i & 3]));
    }
}

static void append_frame(struct buffer *out, uint8_t first, struct slice payload)
{
    append_header(out, first, payload.length, payload.length < 126 ? 0 : payload.length <= UINT16_MAX ? 2 : 8);
    append_masked(out, payload);
}

/* --- what comes out --- */

static void note(struct buffer *log, const struct ws_event *event)
{
    static const char *const NAMES[] = {
        [WS_EVENT_TEXT] = "text", [WS_EVENT_BINARY] = "binary", [WS_EVENT_PING] = "ping",
        [WS_EVENT_PONG] = "pong", [WS_EVENT_CLOSE] = "close",   [WS_EVENT_FAILURE] = "failure"};
    bool has_code = event->type == WS_EVENT_CLOSE || event->type == WS_EVENT_FAILURE;
    buffer_printf(log, "%s%s", log->length > 0 ? " " : "", NAMES[event->type]);
    if (has_code) {
        buffer_printf(log, " %d", event->code);
    }
    if (event->payload.length > 40) {
        buffer_printf(log, "[%zu]", event->payload.length);
    } else {
        buffer_append_char(log, '(');
        buffer_append_slice(log, event->payload);
        buffer_append_char(log, ')');
    }
}

/* Gives the bytes in portions, as a stream does: what was not used comes again with the next. In memory of just their
 * size, so that a sanitizer sees each read past the end. */
static char *run(struct slice bytes, size_t portion)
{
    struct ws_parser parser;
    struct buffer log = buffer_init(1 << 16);
    struct ws_event event = {.type = WS_EVENT_MORE};
    size_t used = 0;
    ws_parser_init(&parser, MAX_MESSAGE_BYTES);
    for (size_t end = 0; end < bytes.length && event.type != WS_EVENT_FAILURE;) {
        end = bytes.length - end < portion ? bytes.length : end + portion;
        char *copy = malloc(end - used + 1);
        memcpy(copy, bytes.data + used, end - used);
        size_t at = 0, length = end - used;
        do {
            at += ws_parser_read(&parser, copy + at, length - at, &event);
            if (event.type != WS_EVENT_MORE) {
                note(&log, &event);
            }
        } while (event.type != WS_EVENT_MORE && event.type != WS_EVENT_FAILURE);
        used += at;
        free(copy);
    }
    ws_parser_dispose(&parser);
    buffer_append_char(&log, '\0');
    return log.data;
}

static void assert_events(const struct buffer *bytes, const char *expected)
{
    static const size_t PORTIONS[] = {1, 2, 3, 7, 64, 4096, SIZE_MAX};
    assert_false(bytes->failed);
    for (size_t i = 0; i < sizeof PORTIONS / sizeof PORTIONS[0]; i++) {
        char *log = run(buffer_slice(bytes), PORTIONS[i]);
        assert_string_equal(log, expected);
        free(log);
    }
}

/* The frame, and a message behind it. */
static void assert_frame(uint8_t first, struct slice payload, const char *expected)
{
    struct buffer bytes = buffer_init(1 << 20);
    append_frame(&bytes, first, payload);
    assert_events(&bytes, expected);
    buffer_dispose(&bytes);
}

/* --- tests --- */

static void test_messages(void **state)
{
    (void)state;
    assert_frame(FIN | WS_OPCODE_TEXT, SLICE("hello"), "text(hello)");
    assert_frame(FIN | WS_OPCODE_TEXT, SLICE(""), "text()");
    assert_frame(FIN | WS_OPCODE_BINARY, SLICE("\xff\xfe"), "binary(\xff\xfe)");
    assert_frame(FIN | WS_OPCODE_PING, SLICE("are you there"), "ping(are you there)");
    assert_frame(FIN | WS_OPCODE_PONG, SLICE(""), "pong()");
    assert_frame(FIN | WS_OPCODE_CLOSE, SLICE(""), "close 0()");
    assert_frame(FIN | WS_OPCODE_CLOSE, SLICE("\x03\xe8"), "close 1000()");
    assert_frame(FIN | WS_OPCODE_CLOSE,
                 SLICE("\x0f\xa0"
                       "bye"),
                 "close 4000(bye)");
}

static void test_every_length(void **state)
{
    (void)state;
    static const size_t LENGTHS[] = {0, 1, 7, 8, 9, 125, 126, 127, 65535, 65536, MAX_MESSAGE_BYTES};
    char *text = malloc(MAX_MESSAGE_BYTES), expected[64];
    memset(text, 'a', MAX_MESSAGE_BYTES);
    for (size_t i = 0; i < sizeof LENGTHS / sizeof LENGTHS[0]; i++) {
        size_t length = LENGTHS[i];
        struct buffer bytes = buffer_init(1 << 20);
        append_frame(&bytes, FIN | WS_OPCODE_TEXT, (struct slice){text, length});
        if (length > 40) {
            snprintf(expected, sizeof expected, "text[%zu]", length);
        } else {
            snprintf(expected, sizeof expected, "text(%.*s)", (int)length, text);
        }
        assert_events(&bytes, expected);
        buffer_dispose(&bytes);
    }
    free(text);
}

static void test_fragments(void **state)
{
    (void)state;
    struct buffer bytes = buffer_init(1 << 20);
    append_frame(&bytes, WS_OPCODE_TEXT, SLICE("one "));
    append_frame(&bytes, FIN | WS_OPCODE_PING, SLICE("between"));
    append_frame(&bytes, WS_OPCODE_CONTINUATION, SLICE(""));
    append_frame(&bytes, WS_OPCODE_CONTINUATION, SLICE("two "));
    append_frame(&bytes, FIN | WS_OPCODE_CONTINUATION, SLICE("three"));
    append_frame(&bytes, WS_OPCODE_BINARY, SLICE(""));
    append_frame(&bytes, FIN | WS_OPCODE_CONTINUATION, SLICE(""));
    append_frame(&bytes, FIN | WS_OPCODE_TEXT, SLICE("end"));
    assert_events(&bytes, "ping(between) text(one two three) binary() text(end)");
    buffer_dispose(&bytes);
}

static void test_too_many_fragments(void **state)
{
    (void)state;
    struct buffer bytes = buffer_init(1 << 20);
    append_frame(&bytes, WS_OPCODE_BINARY, SLICE(""));
    for (int i = 2; i < WS_FRAGMENTS_MAX; i++) {
        append_frame(&bytes, WS_OPCODE_CONTINUATION, SLICE(""));
    }
    size_t before_last = bytes.length;
    append_frame(&bytes, FIN | WS_OPCODE_CONTINUATION, SLICE("a"));
    assert_events(&bytes, "binary(a)");
    bytes.length = before_last;
    append_frame(&bytes, WS_OPCODE_CONTINUATION, SLICE(""));
    append_frame(&bytes, FIN | WS_OPCODE_CONTINUATION, SLICE("a"));
    assert_events(&bytes, "failure 1008()");
    buffer_dispose(&bytes);
}

static void test_text_is_utf8(void **state)
{
    (void)state;
    struct buffer bytes = buffer_init(1 << 20);
    append_frame(&bytes, WS_OPCODE_TEXT, SLICE("\xce\xba\xe2"));
    append_frame(&bytes, WS_OPCODE_CONTINUATION, SLICE("\x82"));
    append_frame(&bytes, WS_OPCODE_CONTINUATION, SLICE("\xac\xf0\x9f\x98"));
    append_frame(&bytes, FIN | WS_OPCODE_CONTINUATION, SLICE("\x80"));
    assert_events(&bytes, "text(\xce\xba\xe2\x82\xac\xf0\x9f\x98\x80)");
    buffer_dispose(&bytes);
    static const char *const BAD[] = {"\xff",         "a\x80",        "\xc3(",         "\xc0\xaf",
                                      "\xed\xa0\x80", "\xf4\x90\x80", "12345678\xe2(", "12345678\xe2\x82",
                                      "\xf0\x9f\x98", "\xf8"};
    for (size_t i = 0; i < sizeof BAD / sizeof BAD[0]; i++) {
        assert_frame(FIN | WS_OPCODE_TEXT, slice_of(BAD[i]), "failure 1007()");
    }
}

/* A bad byte is met when it comes, not at the message's end. */
static void test_bad_text_fails_fast(void **state)
{
    (void)state;
    static const char *const BAD[] = {"\xff", "abc\xed\xa0", "\xf4\x90", "\xc1", "\xe0\x80"};
    for (size_t i = 0; i < sizeof BAD / sizeof BAD[0]; i++) {
        struct buffer bytes = buffer_init(1 << 20);
        append_header(&bytes, WS_OPCODE_TEXT, 60000, 2);
        append_masked(&bytes, slice_of(BAD[i]));
        assert_events(&bytes, "failure 1007()");
        buffer_dispose(&bytes);
    }
}

static void test_bad_headers(void **state)
{
    (void)state;
    static const uint8_t FIRST[] = {0xc1, 0xa1, 0x91, 0x83, 0x84, 0x87, 0x8b, 0x8f, 0x09, 0x08, 0x0a, 0x80, 0x00};
    for (size_t i = 0; i < sizeof FIRST; i++) {
        assert_frame(FIRST[i], SLICE("x"), "failure 1002()");
    }
    static const struct slice RAW[] = {
        RAW_SLICE("\x81\x05hello"),                        /* not masked */
        RAW_SLICE("\x81\x00"),                             /* not masked either */
        RAW_SLICE("\x89\xfe\x00\x7e\0\0\0\0"),             /* a ping of 126 bytes */
        RAW_SLICE("\x89\xff\0\0\0\0\0\0\0\1\0\0\0\0"),     /* a ping with a long length */
        RAW_SLICE("\x81\xfe\x00\x05\0\0\0\0hello"),        /* 5 in two bytes */
        RAW_SLICE("\x81\xff\0\0\0\0\0\0\xff\xff\0\0\0\0"), /* 65535 in eight */
        RAW_SLICE("\x82\xff\x80\0\0\0\0\0\0\0\0\0\0\0"),   /* the top bit */
    };
    for (size_t i = 0; i < sizeof RAW / sizeof RAW[0]; i++) {
        struct buffer bytes = buffer_init(1 << 20);
        buffer_append_slice(&bytes, RAW[i]);
        assert_events(&bytes, "failure 1002()");
        buffer_dispose(&bytes);
    }
}

static void test_bad_order(void **state)
{
    (void)state;
    struct buffer bytes = buffer_init(1 << 20);
    append_frame(&bytes, WS_OPCODE_TEXT, SLICE("a"));
    append_frame(&bytes, FIN | WS_OPCODE_TEXT, SLICE("b"));
    assert_events(&bytes, "failure 1002()");
    bytes.length = 0;
    append_frame(&bytes, FIN | WS_OPCODE_TEXT, SLICE("a"));
    append_frame(&bytes, FIN | WS_OPCODE_CONTINUATION, SLICE("b"));
    assert_events(&bytes, "text(a) failure 1002()");
    buffer_dispose(&bytes);
}

static void test_too_big(void **state)
{
    (void)state;
    struct buffer bytes = buffer_init(1 << 20);
    append_header(&bytes, FIN | WS_OPCODE_BINARY, MAX_MESSAGE_BYTES + 1, 8);
    assert_events(&bytes, "failure 1009()");
    bytes.length = 0;
    append_header(&bytes, FIN | WS_OPCODE_BINARY, INT64_MAX, 8);
    assert_events(&bytes, "failure 1009()");
    bytes.length = 0;
    append_frame(&bytes, WS_OPCODE_BINARY, SLICE("x"));
    append_header(&bytes, FIN | WS_OPCODE_CONTINUATION, MAX_MESSAGE_BYTES, 8);
    assert_events(&bytes, "failure 1009()");
    buffer_dispose(&bytes);
}

static void test_close_codes(void **state)
{
    (void)state;
    for (unsigned code = 0; code < 5100; code++) {
        bool is_good =
            (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code < 5000);
        char payload[2] = {(char)(code >> 8), (char)code}, expected[32];
        struct buffer bytes = buffer_init(64);
        append_frame(&bytes, FIN | WS_OPCODE_CLOSE, (struct slice){payload, sizeof payload});
        char *log = run(buffer_slice(&bytes), SIZE_MAX);
        snprintf(expected, sizeof expected, is_good ? "close %u()" : "failure 1002()", code);
        assert_string_equal(log, expected);
        assert_int_equal(ws_close_code_is_valid(code), is_good);
        free(log);
        buffer_dispose(&bytes);
    }
    assert_frame(FIN | WS_OPCODE_CLOSE, SLICE("\x03"), "failure 1002()");
    assert_frame(FIN | WS_OPCODE_CLOSE, SLICE("\x03\xe8\xff"), "failure 1007()");
}

/* Between messages the buffer may be taken away; within one it must not. */
static void test_idle(void **state)
{
    (void)state;
    struct ws_parser parser;
    struct ws_event event;
    struct buffer bytes = buffer_init(1 << 10);
    ws_parser_init(&parser, MAX_MESSAGE_BYTES);
    assert_true(ws_parser_is_idle(&parser));
    append_frame(&bytes, WS_OPCODE_TEXT, SLICE("a"));
    assert_int_equal(ws_parser_read(&parser, bytes.data, bytes.length, &event), bytes.length);
    assert_int_equal(event.type, WS_EVENT_MORE);
    assert_false(ws_parser_is_idle(&parser));
    bytes.length = 0;
    append_frame(&bytes, FIN | WS_OPCODE_CONTINUATION, SLICE("b"));
    ws_parser_read(&parser, bytes.data, bytes.length, &event);
    assert_int_equal(event.type, WS_EVENT_TEXT);
    assert_true(ws_parser_is_idle(&parser));
    ws_parser_dispose(&parser);
    buffer_dispose(&bytes);
}

static void test_server_headers(void **state)
{
    (void)state;
    static const struct {
        uint64_t length;
        struct slice expected;
    } CASES[] = {
        {0, RAW_SLICE("\x81\x00")},
        {125, RAW_SLICE("\x81\x7d")},
        {126, RAW_SLICE("\x81\x7e\x00\x7e")},
        {65535, RAW_SLICE("\x81\x7e\xff\xff")},
        {65536, RAW_SLICE("\x81\x7f\0\0\0\0\0\1\0\0")},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        uint8_t header[WS_HEADER_MAX_BYTES];
        size_t length = ws_encode_header(WS_OPCODE_TEXT, CASES[i].length, header);
        assert_int_equal(length, CASES[i].expected.length);
        assert_memory_equal(header, CASES[i].expected.data, length);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_messages),     cmocka_unit_test(test_every_length),
        cmocka_unit_test(test_fragments),    cmocka_unit_test(test_too_many_fragments),
        cmocka_unit_test(test_text_is_utf8), cmocka_unit_test(test_bad_text_fails_fast),
        cmocka_unit_test(test_bad_headers),  cmocka_unit_test(test_bad_order),
        cmocka_unit_test(test_too_big),      cmocka_unit_test(test_close_codes),
        cmocka_unit_test(test_idle),         cmocka_unit_test(test_server_headers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
