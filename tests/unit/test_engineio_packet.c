/* Engine.IO packets and bodies: what passes, what does not, and that writing and reading a body agree. */
#include "realtime/engineio_packet.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

/* For initialisers. */
#define RAW_SLICE(literal)                                                                                             \
    {                                                                                                                  \
        (literal), sizeof(literal) - 1                                                                                 \
    }

/* The packets of a body as text: `4:hello b:<bytes> !` (a wrong one, which ends it). */
static char *describe(struct slice body)
{
    struct buffer out = buffer_init(1 << 16), bytes = buffer_init(1 << 16);
    char *copy = malloc(body.length + 1);
    struct slice rest = {copy, body.length};
    bool is_last = false;
    memcpy(copy, body.data, body.length);
    while (!is_last) {
        struct eio_packet packet;
        buffer_append_text(&out, out.length > 0 ? " " : "");
        if (!eio_payload_next(&rest, &is_last, &bytes, &packet)) {
            buffer_append_char(&out, '!');
            break;
        }
        if (packet.is_binary) {
            assert_int_equal(packet.type, EIO_MESSAGE);
        }
        buffer_append_char(&out, packet.is_binary ? 'b' : (char)('0' + (int)packet.type));
        buffer_append_char(&out, ':');
        buffer_append_slice(&out, packet.data);
    }
    buffer_append_char(&out, '\0');
    buffer_dispose(&bytes);
    free(copy);
    return out.data;
}

static void assert_body(struct slice body, const char *expected)
{
    char *text = describe(body);
    assert_string_equal(text, expected);
    free(text);
}

static void test_packets(void **state)
{
    (void)state;
    struct eio_packet packet;
    assert_true(eio_packet_decode(SLICE("2probe"), &packet));
    assert_int_equal(packet.type, EIO_PING);
    assert_true(slice_equals(packet.data, SLICE("probe")));
    assert_true(eio_packet_decode(SLICE("6"), &packet));
    assert_int_equal(packet.type, EIO_NOOP);
    assert_false(eio_packet_decode(SLICE(""), &packet));
    assert_false(eio_packet_decode(SLICE("7"), &packet));
    assert_false(eio_packet_decode(SLICE("abc"), &packet));
    assert_false(eio_packet_decode(SLICE("bAQID"), &packet));
    assert_false(eio_packet_decode(SLICE("/"), &packet));
}

static void test_bodies(void **state)
{
    (void)state;
    assert_body(SLICE("4hello"), "4:hello");
    assert_body(SLICE("3\x1e"
                      "4a\x1e"
                      "4"),
                "3: 4:a 4:");
    assert_body(SLICE("4hello\x1e"
                      "bAQIDBA=="),
                "4:hello b:\1\2\3\4");
    assert_body(SLICE("b"), "b:");
    assert_body(SLICE(""), "!");
    assert_body(SLICE("\x1e"), "!");
    assert_body(SLICE("4a\x1e"), "4:a !");
    assert_body(SLICE("4a\x1e\x1e"
                      "4b"),
                "4:a !");
    assert_body(SLICE("abc"), "!");
}

static void test_base64(void **state)
{
    (void)state;
    static const struct {
        struct slice body;
        const char *expected;
    } CASES[] = {
        {RAW_SLICE("bYQ=="), "b:a"},   {RAW_SLICE("bYWI="), "b:ab"}, {RAW_SLICE("bYWJj"), "b:abc"},
        {RAW_SLICE("bPz8/"), "b:???"}, {RAW_SLICE("bYQ"), "!"},      {RAW_SLICE("bYQ="), "!"},
        {RAW_SLICE("bYR=="), "!"}, /* bits that belong to nothing */
        {RAW_SLICE("bYWJ="), "!"},     {RAW_SLICE("bY==="), "!"},    {RAW_SLICE("b===="), "!"},
        {RAW_SLICE("bYQ==YQ=="), "!"}, {RAW_SLICE("bYW J"), "!"},    {RAW_SLICE("bYW-_"), "!"},
        {RAW_SLICE("bY\0Jj"), "!"},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        assert_body(CASES[i].body, CASES[i].expected);
    }
}

/* Bytes of every length and value come back as they were. */
static void test_round_trip(void **state)
{
    (void)state;
    char bytes[300];
    for (size_t length = 0; length < sizeof bytes; length++) {
        struct buffer body = buffer_init(1 << 16), decoded = buffer_init(1 << 16);
        struct eio_packet packet;
        bool is_last;
        for (size_t i = 0; i < length; i++) {
            bytes[i] = (char)(i * 7 + length);
        }
        eio_payload_append(&body, SLICE("4first"), false);
        eio_payload_append(&body, (struct slice){bytes, length}, true);
        eio_payload_append(&body, SLICE("2"), false);
        struct slice rest = buffer_slice(&body);
        assert_true(eio_payload_next(&rest, &is_last, &decoded, &packet));
        assert_true(slice_equals(packet.data, SLICE("first")));
        assert_true(eio_payload_next(&rest, &is_last, &decoded, &packet));
        assert_true(packet.is_binary && slice_equals(packet.data, (struct slice){bytes, length}));
        assert_false(is_last);
        assert_true(eio_payload_next(&rest, &is_last, &decoded, &packet));
        assert_int_equal(packet.type, EIO_PING);
        assert_true(is_last);
        buffer_dispose(&body);
        buffer_dispose(&decoded);
    }
}

static void test_a_cap_is_kept(void **state)
{
    (void)state;
    struct buffer bytes = buffer_init(3);
    struct eio_packet packet;
    bool is_last;
    struct slice rest = SLICE("bAQIDBA==");
    assert_false(eio_payload_next(&rest, &is_last, &bytes, &packet));
    assert_true(bytes.failed);
    buffer_dispose(&bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_packets),    cmocka_unit_test(test_bodies),        cmocka_unit_test(test_base64),
        cmocka_unit_test(test_round_trip), cmocka_unit_test(test_a_cap_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
