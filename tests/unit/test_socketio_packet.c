/* Socket.IO packets: how they are taken apart, each way in which one can be wrong, and what is written. */
#include "realtime/socketio_packet.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "realtime/frame.h"
#include "realtime/json_scan.h"

/* A packet as text: `type namespace #ack +attachments`, then `name(argument|argument)` or the payload; "bad" for none.
 */
static char *describe(struct slice text)
{
    struct buffer out = buffer_init(1 << 20), names = buffer_init(1 << 16);
    char *copy = malloc(text.length + 1); /* a sanitizer sees each read past the end */
    struct sio_packet packet;
    memcpy(copy, text.data, text.length);
    char *exact = realloc(copy, text.length > 0 ? text.length : 1);
    if (!sio_packet_decode((struct slice){exact, text.length}, &names, &packet)) {
        buffer_append_text(&out, "bad");
    } else {
        buffer_printf(&out, "%d ", packet.type);
        buffer_append_slice(&out, packet.name_space);
        if (packet.event.ack_id >= 0) {
            buffer_printf(&out, " #%lld", (long long)packet.event.ack_id);
        }
        if (packet.attachment_count > 0) {
            buffer_printf(&out, " +%d", packet.attachment_count);
        }
        buffer_append_char(&out, ' ');
        if (packet.type == SIO_EVENT || packet.type == SIO_BINARY_EVENT) {
            buffer_append_slice(&out, packet.event.name);
            buffer_append_char(&out, '(');
            for (int i = 0; i < packet.event.argument_count; i++) {
                buffer_append_text(&out, i > 0 ? "|" : "");
                buffer_append_slice(&out, packet.event.arguments[i]);
            }
            buffer_append_char(&out, ')');
        } else {
            buffer_append_slice(&out, packet.payload);
        }
    }
    buffer_append_char(&out, '\0');
    buffer_dispose(&names);
    free(exact);
    return out.data;
}

static void assert_packet(const char *text, const char *expected)
{
    char *found = describe(slice_of(text));
    assert_string_equal(found, expected);
    free(found);
    /* each of its beginnings is something or nothing, and is read no further than it goes */
    for (size_t length = 0; length < strlen(text); length++) {
        free(describe((struct slice){text, length}));
    }
}

static void assert_bad(const char *text)
{
    assert_packet(text, "bad");
}

static void test_connect(void **state)
{
    (void)state;
    assert_packet("0", "0 / ");
    assert_packet("0{}", "0 / {}");
    assert_packet("0{\"token\":\"123\"}", "0 / {\"token\":\"123\"}");
    assert_packet("0/custom,{\"a\":[1]} ", "0 /custom {\"a\":[1]}");
    assert_packet("0/custom", "0 /custom ");
    assert_packet("0/custom,", "0 /custom ");
    assert_packet("1", "1 / ");
    assert_packet("1/custom", "1 /custom ");
    static const char *const BAD[] = {
        "",   "abc",     "7", "0[]", "0\"a\"", "0{", "0{}{}", "0{}x", "0null", "1{}", "4{\"message\":\"x\"}",
        " 0", "0{\"a\"}"};
    for (size_t i = 0; i < sizeof BAD / sizeof BAD[0]; i++) {
        assert_bad(BAD[i]);
    }
}

static void test_events(void **state)
{
    (void)state;
    assert_packet("2[\"message\"]", "2 / message()");
    assert_packet("2[\"message\",1,\"2\",{\"3\":[true]}]", "2 / message(1|\"2\"|{\"3\":[true]})");
    assert_packet("2 [ \"message\" , null ,\n-0.5e+3 ] ", "2 / message(null|-0.5e+3)");
    assert_packet("2456[\"x\",[]]", "2 / #456 x([])");
    assert_packet("2/custom,7[\"x\"]", "2 /custom #7 x()");
    assert_packet("2999999999999999[\"x\"]", "2 / #999999999999999 x()");
    assert_packet("2[5,\"x\"]", "2 / 5(\"x\")");
    assert_packet("2[\"a\\u00e9\\n\\ud83d\\ude00\\/\"]", "2 / a\xc3\xa9\n\xf0\x9f\x98\x80/()");
    assert_packet("2[\"x\",{\"_placeholder\":true,\"num\":9}]", "2 / x({\"_placeholder\":true,\"num\":9})");
    static const char *const BAD[] = {"2",
                                      "2{}",
                                      "2[]",
                                      "2[null]",
                                      "2[true]",
                                      "2[[]]",
                                      "2[{}]",
                                      "2[\"a\"",
                                      "2[\"a\",]",
                                      "2[\"a\" 1]",
                                      "2[\"a\"]x",
                                      "2abc[\"a\"]",
                                      "2-1[\"a\"]",
                                      "2[\"connect\"]",
                                      "2[\"disconnect\"]",
                                      "2[\"connect_error\"]",
                                      "2[\"newListener\"]",
                                      "2[\"removeListener\"]",
                                      "2[\"disconnecting\"]",
                                      "21000000000000000[\"x\"]",
                                      "2[\"\\ud83d\"]",
                                      "2[\"\\ud83dx\"]",
                                      "2[\"\\ude00\"]",
                                      "2[\"\\x\"]",
                                      "2[\"\\u12g4\"]",
                                      "2[\"conn\\u0065ct\"]"};
    for (size_t i = 0; i < sizeof BAD / sizeof BAD[0]; i++) {
        assert_bad(BAD[i]);
    }
}

static void test_json_is_strict(void **state)
{
    (void)state;
    static const char *const GOOD[] = {"0",           "-0",          "1.5", "1e5", "10E-2",       "true",
                                       "\"\\u0000\"", "\"\\ud800\"", "[ ]", "{ }", "[1,[2,[3]]]", "{\"a\":{\"a\":1}}",
                                       "\"\x7f\""};
    static const char *const BAD[] = {"01",     "+1",       ".5",        "1.",    "1e",       "1e+",       "-",
                                      "nul",    "True",     "'a'",       "[1,]",  "{\"a\":}", "{a:1}",     "{,}",
                                      "\"\t\"", "\"\\",     "\"\\u12\"", "[1 2]", "NaN",      "{\"a\" 1}", "[",
                                      "{",      "{\"a\":1", "{\"a\":1,", "//"};
    char text[64], expected[64];
    for (size_t i = 0; i < sizeof GOOD / sizeof GOOD[0]; i++) {
        snprintf(text, sizeof text, "2[\"x\",%s]", GOOD[i]);
        snprintf(expected, sizeof expected, "2 / x(%s)", GOOD[i]);
        assert_packet(text, expected);
    }
    for (size_t i = 0; i < sizeof BAD / sizeof BAD[0]; i++) {
        snprintf(text, sizeof text, "2[\"x\",%s]", BAD[i]);
        assert_bad(text);
    }
}

static void test_nesting_has_a_cap(void **state)
{
    (void)state;
    for (int depth = JSON_DEPTH_MAX - 1; depth <= JSON_DEPTH_MAX; depth++) {
        struct buffer text = buffer_init(1 << 16);
        buffer_append_text(&text, "2[\"x\","); /* this array is the first level */
        for (int i = 0; i < depth; i++) {
            buffer_append_text(&text, "[");
        }
        for (int i = 0; i <= depth; i++) {
            buffer_append_text(&text, "]");
        }
        char *found = describe(buffer_slice(&text));
        assert_int_equal(strcmp(found, "bad") == 0, depth == JSON_DEPTH_MAX);
        free(found);
        buffer_dispose(&text);
    }
}

static void test_counts_have_caps(void **state)
{
    (void)state;
    for (int arguments = SIO_ARGUMENTS_MAX; arguments <= SIO_ARGUMENTS_MAX + 1; arguments++) {
        struct buffer text = buffer_init(1 << 16);
        buffer_append_text(&text, "2[\"x\"");
        for (int i = 0; i < arguments; i++) {
            buffer_append_text(&text, ",1");
        }
        buffer_append_text(&text, "]");
        char *found = describe(buffer_slice(&text));
        assert_int_equal(strcmp(found, "bad") == 0, arguments > SIO_ARGUMENTS_MAX);
        free(found);
        buffer_dispose(&text);
    }
    char name[SIO_NAMESPACE_MAX_BYTES + 16] = "0/";
    memset(name + 2, 'a', SIO_NAMESPACE_MAX_BYTES);
    name[SIO_NAMESPACE_MAX_BYTES + 1] = '\0';
    char *found = describe(slice_of(name));
    assert_string_not_equal(found, "bad");
    free(found);
    name[SIO_NAMESPACE_MAX_BYTES + 1] = 'a';
    assert_bad(name);
}

static void test_acks(void **state)
{
    (void)state;
    assert_packet("35[]", "3 / #5 []");
    assert_packet("3/custom,5[1,{}]", "3 /custom #5 [1,{}]");
    assert_packet("61-5[{\"_placeholder\":true,\"num\":0}]", "6 / #5 +1 [{\"_placeholder\":true,\"num\":0}]");
    assert_bad("3[]");
    assert_bad("35");
    assert_bad("35{}");
    assert_bad("35[");
}

static void test_attachments(void **state)
{
    (void)state;
    assert_packet("51-[\"x\",{\"_placeholder\":true,\"num\":0}]", "5 / +1 x({\"_placeholder\":true,\"num\":0})");
    assert_packet("52-/custom,9[\"x\",{\"num\":1,\"_placeholder\":true},[{\"_placeholder\":true,\"num\":0}]]",
                  "5 /custom #9 +2 x({\"num\":1,\"_placeholder\":true}|[{\"_placeholder\":true,\"num\":0}])");
    assert_packet("50-[\"x\"]", "5 / x()");
    assert_packet("51-[\"x\",{\"_placeholder\":false,\"num\":7}]", "5 / +1 x({\"_placeholder\":false,\"num\":7})");
    static const char *const BAD[] = {"5[\"x\"]",
                                      "5-[\"x\"]",
                                      "51[\"x\"]",
                                      "51",
                                      "517-[\"x\"]",
                                      "5100-[\"x\"]",
                                      "5a-[\"x\"]",
                                      "51-[\"x\",{\"_placeholder\":true,\"num\":1}]",
                                      "51-[\"x\",{\"_placeholder\":true,\"num\":-1}]",
                                      "51-[\"x\",{\"_placeholder\":true,\"num\":0.0}]",
                                      "51-[\"x\",{\"_placeholder\":true,\"num\":\"0\"}]",
                                      "51-[\"x\",{\"_placeholder\":true}]",
                                      "50-[\"x\",{\"_placeholder\":true,\"num\":0}]",
                                      "51-[\"x\",[{\"a\":{\"_placeholder\":true,\"num\":99999}}]]"};
    for (size_t i = 0; i < sizeof BAD / sizeof BAD[0]; i++) {
        assert_bad(BAD[i]);
    }
}

static void assert_encoded(struct sio_packet_parts parts, const char *expected)
{
    struct sio_frame *frame = sio_packet_encode(&parts);
    assert_non_null(frame);
    assert_int_equal(frame->opcode, WS_OPCODE_TEXT);
    assert_true(slice_equals(frame_payload(frame), slice_of(expected)));
    struct slice wire = frame_wire(frame);
    assert_int_equal(wire.length, strlen(expected) + 2);
    assert_memory_equal(wire.data, ((uint8_t[]){0x81, (uint8_t)strlen(expected)}), 2);
    sio_frame_unref(frame);
}

static void test_encoding(void **state)
{
    (void)state;
    assert_encoded((struct sio_packet_parts){.type = SIO_EVENT, .name = SLICE("x"), .json = SLICE("1,2"), .ack_id = -1},
                   "42[\"x\",1,2]");
    assert_encoded((struct sio_packet_parts){.type = SIO_EVENT, .name = SLICE("a\"\n"), .ack_id = -1},
                   "42[\"a\\\"\\n\"]");
    assert_encoded((struct sio_packet_parts){.type = SIO_CONNECT, .json = SLICE("{}"), .ack_id = -1}, "40{}");
    assert_encoded((struct sio_packet_parts){.type = SIO_ACK, .name_space = SLICE("/c"), .ack_id = 0}, "43/c,0[]");
    assert_encoded((struct sio_packet_parts){.type = SIO_DISCONNECT, .name_space = SLICE("/c"), .ack_id = -1}, "41/c,");
    assert_encoded((struct sio_packet_parts){.type = SIO_BINARY_ACK,
                                             .name_space = SLICE("/"),
                                             .json = SLICE("{\"_placeholder\":true,\"num\":0}"),
                                             .attachment_count = 1,
                                             .ack_id = 12},
                   "461-12[{\"_placeholder\":true,\"num\":0}]");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_connect),          cmocka_unit_test(test_events),
        cmocka_unit_test(test_json_is_strict),   cmocka_unit_test(test_nesting_has_a_cap),
        cmocka_unit_test(test_counts_have_caps), cmocka_unit_test(test_acks),
        cmocka_unit_test(test_attachments),      cmocka_unit_test(test_encoding),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
