/* PROXY headers of both versions: whom they name, and what is none. */
#include "http/proxy_header.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define FROM_192_0_2_1 "\xc0\x00\x02\x01\x0a\x00\x00\x01\x12\x34\x01\xbb"
#define ZEROES_32 "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
#define FROM_2001_DB8_1 "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01" ZEROES_32

static const struct slice REQUEST = {"GET / HTTP/1.1\r\n\r\n\r\n\0\r\nQUIT\n", 29};

/* The bytes in memory of their own length, so that a sanitizer sees what is read behind them. */
static enum proxy_header_verdict read_copy(struct slice bytes, struct proxy_header *ret_header)
{
    char *copy = test_malloc(bytes.length + 1);
    memcpy(copy + 1, bytes.data, bytes.length);
    enum proxy_header_verdict verdict = proxy_header_read((struct slice){copy + 1, bytes.length}, ret_header);
    test_free(copy);
    return verdict;
}

/* Good when it is whole, whatever follows, and incomplete before that. `client` is NULL where none is named. */
static void assert_good(struct slice header, const char *client)
{
    struct proxy_header read;
    char text[IP_ADDRESS_TEXT_SIZE] = "";
    for (size_t length = 0; length < header.length; length++) {
        assert_int_equal(read_copy((struct slice){header.data, length}, &read), PROXY_HEADER_INCOMPLETE);
    }
    assert_int_equal(read_copy(header, &read), PROXY_HEADER_GOOD);
    assert_int_equal(read.length, header.length);
    assert_int_equal(read.has_client, client != NULL);
    if (client != NULL) {
        ip_address_format(&read.client, text);
        assert_string_equal(text, client);
    }
    char *all = test_malloc(header.length + REQUEST.length);
    memcpy(all, header.data, header.length);
    memcpy(all + header.length, REQUEST.data, REQUEST.length);
    struct proxy_header again;
    assert_int_equal(proxy_header_read((struct slice){all, header.length + REQUEST.length}, &again), PROXY_HEADER_GOOD);
    assert_int_equal(again.length, header.length);
    test_free(all);
}

static void assert_verdict(struct slice bytes, enum proxy_header_verdict expected)
{
    struct proxy_header read = {.length = 7};
    int verdict = (int)read_copy(bytes, &read);
    if (verdict != (int)expected) {
        fail_msg("verdict %d, not %d: %.*s", verdict, (int)expected, (int)bytes.length, bytes.data);
    }
    assert_int_equal(read.length, 7);
}

static void test_lines(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"PROXY TCP4 192.0.2.1 10.0.0.1 56324 443\r\n", "192.0.2.1"},
        {"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", "255.255.255.255"},
        {"PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n", "0.0.0.0"},
        {"PROXY TCP6 2001:DB8::1 ::1 1 2\r\n", "2001:db8::1"},
        {"PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
         "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
        {"PROXY TCP6 ::ffff:192.0.2.1 ::1 1 2\r\n", "192.0.2.1"},
        {"PROXY UNKNOWN\r\n", NULL},
        {"PROXY UNKNOWN \r\n", NULL},
        {"PROXY UNKNOWN 192.0.2.1 10.0.0.1 56324 443\r\n", NULL},
        {"PROXY UNKNOWN anything \r at \n all \x7f\xff\r\n", NULL},
        {"PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 "
         "65535\r\n",
         NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_good(slice_of(rows[i][0]), rows[i][1]);
    }
}

static void test_wrong_lines(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "PROXY \r\n",
        "PROXY TCP4\r\n",
        "PROXY TCP5 192.0.2.1 10.0.0.1 56324 443\r\n",
        "PROXY tcp4 192.0.2.1 10.0.0.1 56324 443\r\n",
        "PROXY UNKNOWNS\r\n",
        "PROXY  TCP4 192.0.2.1 10.0.0.1 56324 443\r\n",
        "PROXY TCP4  192.0.2.1 10.0.0.1 56324 443\r\n",
        "PROXY TCP4 192.0.2.1 10.0.0.1 56324  443\r\n",
        "PROXY TCP4 192.0.2.1 10.0.0.1 56324 443 \r\n",
        "PROXY TCP4 192.0.2.1 10.0.0.1 56324 443 1\r\n",
        "PROXY TCP4 192.0.2.1 10.0.0.1 56324\r\n",
        "PROXY TCP4 192.0.2.1 10.0.0.1 56324 \r\n",
        "PROXY TCP4 192.0.2.1 10.0.0.1 \r\n",
        "PROXY TCP4 192.0.2.1 56324 443\r\n",
        "PROXY TCP4 192.0.2.01 10.0.0.1 56324 443\r\n",
        "PROXY TCP4 192.0.2.256 10.0.0.1 56324 443\r\n",
        "PROXY TCP4 192.0.2 10.0.0.1 56324 443\r\n",
        "PROXY TCP4 192.0.2.1 10.0.0.x 56324 443\r\n",
        "PROXY TCP4 2001:db8::1 ::1 56324 443\r\n",
        "PROXY TCP4 192.0.2.1 ::1 56324 443\r\n",
        "PROXY TCP6 192.0.2.1 10.0.0.1 56324 443\r\n",
        "PROXY TCP6 ::1 10.0.0.1 56324 443\r\n",
        "PROXY TCP6 ::1%lo ::1 56324 443\r\n",
        "PROXY TCP6 [::1] ::1 56324 443\r\n",
        "PROXY TCP4 192.0.2.1 10.0.0.1 65536 443\r\n",
        "PROXY TCP4 192.0.2.1 10.0.0.1 56324 65536\r\n",
        "PROXY TCP4 192.0.2.1 10.0.0.1 056324 443\r\n",
        "PROXY TCP4 192.0.2.1 10.0.0.1 56324 00\r\n",
        "PROXY TCP4 192.0.2.1 10.0.0.1 +5632 443\r\n",
        "PROXY TCP4 192.0.2.1 10.0.0.1 4294967297 443\r\n",
        "PROXY TCP4 192.0.2.1 10.0.0.1 56324 443\n\r\n",
        "PROXY TCP4 192.0.2.1 10.0.0.1 56324 443\r\r\n",
        "PROXY TCP4 192.0.2.1 10.0.0.1 56324 443\nGET / HTTP/1.1\r\n",
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_verdict(slice_of(rows[i]), PROXY_HEADER_WRONG);
    }
    static const char nul[] = "PROXY TCP4 192.0.2.1\0 10.0.0.1 56324 443\r\n";
    assert_verdict((struct slice){nul, sizeof nul - 1}, PROXY_HEADER_WRONG);
}

static void test_lines_that_are_too_long(void **state)
{
    (void)state;
    char line[PROXY_HEADER_LINE_MAX_BYTES + 2];
    memset(line, 'x', sizeof line);
    memcpy(line, "PROXY UNKNOWN ", 14);
    assert_verdict((struct slice){line, PROXY_HEADER_LINE_MAX_BYTES - 1}, PROXY_HEADER_INCOMPLETE);
    assert_verdict((struct slice){line, PROXY_HEADER_LINE_MAX_BYTES}, PROXY_HEADER_TOO_LONG);
    memcpy(line + PROXY_HEADER_LINE_MAX_BYTES - 2, "\r\n", 2);
    assert_good((struct slice){line, PROXY_HEADER_LINE_MAX_BYTES}, NULL);
    memcpy(line + PROXY_HEADER_LINE_MAX_BYTES - 2, "x\r\n", 3);
    assert_verdict((struct slice){line, PROXY_HEADER_LINE_MAX_BYTES + 1}, PROXY_HEADER_TOO_LONG);
}

static void test_bytes(void **state)
{
    (void)state;
    assert_good(SLICE(SIGNATURE "\x21\x11\0\x0c" FROM_192_0_2_1), "192.0.2.1");
    assert_good(SLICE(SIGNATURE "\x21\x12\0\x0c" FROM_192_0_2_1), "192.0.2.1");
    assert_good(SLICE(SIGNATURE "\x21\x11\0\x10" FROM_192_0_2_1 "\x04\0\x01x"), "192.0.2.1");
    assert_good(SLICE(SIGNATURE "\x21\x11\0\x0e" FROM_192_0_2_1 "\x04\xff"), "192.0.2.1"); /* no vector */
    _Static_assert(sizeof FROM_2001_DB8_1 == 16 + 32 + 1, "the two addresses, and more than the ports");
    assert_good(SLICE(SIGNATURE "\x21\x21\0\x30" FROM_2001_DB8_1), "2001:db8::1");
    assert_good(SLICE(SIGNATURE "\x21\x22\0\x30" FROM_2001_DB8_1), "2001:db8::1");
    assert_good(SLICE(SIGNATURE "\x21\0\0\0"), NULL);
    assert_good(SLICE(SIGNATURE "\x21\0\0\x0c" FROM_192_0_2_1), NULL);
    assert_good(SLICE(SIGNATURE "\x20\x11\0\x0c" FROM_192_0_2_1), NULL);
    assert_good(SLICE(SIGNATURE "\x20\xff\0\x02xx"), NULL);
    assert_good(PROXY_HEADER_LOCAL, NULL);
    char path[16 + 216] = SIGNATURE "\x21\x31\0\xd8/run/x";
    assert_good((struct slice){path, sizeof path}, NULL);
}

static void test_wrong_bytes(void **state)
{
    (void)state;
    static const uint8_t commands[] = {0x00, 0x01, 0x11, 0x22, 0x2f, 0x31, 0xf1};
    static const uint8_t families[] = {0x01, 0x03, 0x10, 0x13, 0x20, 0x23, 0x30, 0x33, 0x41, 0xff};
    char header[] = SIGNATURE "\x21\x11\0\x0c" FROM_192_0_2_1;
    for (size_t i = 0; i < sizeof commands; i++) {
        header[12] = (char)commands[i];
        assert_verdict((struct slice){header, sizeof header - 1}, PROXY_HEADER_WRONG);
    }
    header[12] = 0x21;
    for (size_t i = 0; i < sizeof families; i++) {
        header[13] = (char)families[i];
        assert_verdict((struct slice){header, sizeof header - 1}, PROXY_HEADER_WRONG);
    }
    assert_verdict(SLICE(SIGNATURE "\x21\x11\0\x0b" FROM_192_0_2_1), PROXY_HEADER_WRONG);
    assert_verdict(SLICE(SIGNATURE "\x21\x11\0\0"), PROXY_HEADER_WRONG);
    assert_verdict(SLICE(SIGNATURE "\x21\x21\0\x23" FROM_2001_DB8_1), PROXY_HEADER_WRONG);
    char path[16 + 215] = SIGNATURE "\x21\x31\0\xd7/run/x";
    assert_verdict((struct slice){path, sizeof path}, PROXY_HEADER_WRONG);
}

static void test_bytes_that_are_too_many(void **state)
{
    (void)state;
    static char header[PROXY_HEADER_MAX_BYTES + 1] = SIGNATURE "\x21\x11\x0f\xf0" FROM_192_0_2_1;
    assert_good((struct slice){header, PROXY_HEADER_MAX_BYTES}, "192.0.2.1");
    header[15] = (char)0xf1;
    assert_verdict((struct slice){header, PROXY_HEADER_MAX_BYTES + 1}, PROXY_HEADER_TOO_LONG);
    assert_verdict((struct slice){header, 16}, PROXY_HEADER_TOO_LONG); /* nobody waits for the rest */
    assert_verdict(SLICE(SIGNATURE "\x20\0\xff\xff"), PROXY_HEADER_TOO_LONG);
}

static void test_what_is_no_header(void **state)
{
    (void)state;
    static const char *const rows[] = {"G",      "GET / HTTP/1.1\r\n", "PRI * HTTP/2.0\r\n\r\n", "PROXY\t", "PROXYS",
                                       "proxy ", " PROXY UNKNOWN\r\n", "\r\n\r\nPROXY",          "\n",      "\x16\x03"};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_verdict(slice_of(rows[i]), PROXY_HEADER_MISSING);
    }
    assert_verdict(SLICE("\r\n\r\n\0\r\nQUIT\r"), PROXY_HEADER_MISSING);
    assert_int_equal(proxy_header_read((struct slice){NULL, 0}, NULL), PROXY_HEADER_INCOMPLETE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_wrong_lines),
        cmocka_unit_test(test_lines_that_are_too_long),
        cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_wrong_bytes),
        cmocka_unit_test(test_bytes_that_are_too_many),
        cmocka_unit_test(test_what_is_no_header),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
