/* Whose X-Forwarded-For counts, and how far. */
#include "http/client_address.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

/* The client that is found, with 10.0.0.0/8 and ::1 trusted; the headers are in the order in which they came. */
static void assert_client(const char *peer, const char *const *headers, size_t count, const char *expected)
{
    struct ip_network rows[2];
    struct ip_networks trusted = {rows, 2};
    struct ip_address address;
    char text[IP_ADDRESS_TEXT_SIZE];
    assert_true(ip_network_parse(SLICE("10.0.0.0/8"), &rows[0]) && ip_network_parse(SLICE("::1"), &rows[1]));
    assert_true(ip_address_parse(slice_of(peer), &address));
    while (count > 0 && client_address_walk(&trusted, slice_of(headers[count - 1]), &address)) {
        count--;
    }
    ip_address_format(&address, text);
    assert_string_equal(text, expected);
}

static void test_one_header(void **state)
{
    (void)state;
    static const char *const rows[][3] = {
        {"192.0.2.1", "203.0.113.9", "192.0.2.1"}, /* not a proxy of ours */
        {"10.0.0.1", "203.0.113.9", "203.0.113.9"},
        {"10.0.0.1", "", "10.0.0.1"},
        {"10.0.0.1", "198.51.100.7, 203.0.113.9", "203.0.113.9"}, /* the first is invented, or as good as that */
        {"10.0.0.1", "203.0.113.9, 10.0.0.2", "203.0.113.9"},
        {"10.0.0.1", "198.51.100.7,203.0.113.9,10.0.0.3\t, 10.0.0.2", "203.0.113.9"},
        {"10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"},
        {"10.0.0.1", "203.0.113.9, unknown", "10.0.0.1"},
        {"10.0.0.1", "203.0.113.9,", "10.0.0.1"},
        {"10.0.0.1", ",", "10.0.0.1"},
        {"10.0.0.1", "203.0.113.9, x, 10.0.0.2", "10.0.0.2"},
        {"10.0.0.1", "203.0.113.9:4711", "203.0.113.9"},
        {"::1", "[2001:db8::1]:4711", "2001:db8::1"},
        {"::ffff:10.0.0.1", "203.0.113.9", "203.0.113.9"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_client(rows[i][0], &rows[i][1], 1, rows[i][2]);
    }
}

static void test_several_headers_are_one_list(void **state)
{
    (void)state;
    static const char *const proxies[] = {"198.51.100.7", "203.0.113.9", "10.0.0.3, 10.0.0.2"};
    static const char *const invented[] = {"10.0.0.9", "203.0.113.9"};
    assert_client("10.0.0.1", proxies, 3, "203.0.113.9");
    assert_client("10.0.0.1", invented, 2, "203.0.113.9");
    assert_client("192.0.2.1", proxies, 3, "192.0.2.1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_header),
        cmocka_unit_test(test_several_headers_are_one_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
