/* Addresses and networks, as users write them, as proxies do, and as nobody should. */
#include "util/ip_address.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <string.h>

static struct ip_address address_of(const char *text)
{
    struct ip_address address;
    if (!ip_address_parse(slice_of(text), &address)) {
        fail_msg("%s is refused", text);
    }
    return address;
}

static void test_texts(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"192.0.2.1", "192.0.2.1"},
        {"0.0.0.0", "0.0.0.0"},
        {"::ffff:192.0.2.1", "192.0.2.1"},
        {"::FFFF:c000:201", "192.0.2.1"},
        {"2001:DB8:0:0::1", "2001:db8::1"},
        {"::1", "::1"},
        {"::", "::"},
        {"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[IP_ADDRESS_TEXT_SIZE];
        struct ip_address address = address_of(rows[i][0]);
        ip_address_format(&address, text);
        assert_string_equal(text, rows[i][1]);
    }
}

static void test_what_is_no_address(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "",      "x",         "unknown", "192.0.2",    "192.0.2.256", "192.0.2.1 ", " 192.0.2.1",      "192.0.2.1.1",
        "1:2",   "::1%lo",    "[::1]",   "192.0.2.1:", ":::",         "fe80::1::2", "192.0.2.1:80x",   "0x7f.1",
        "[::1x", "[::1]:8:8", "_hidden", "[::1]80",    "[]:80",       ":80",        "192.0.2.1:123456"};
    struct ip_address address = {{7}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_false(ip_address_parse(slice_of(rows[i]), &address));
        bool is_bracketed = strcmp(rows[i], "[::1]") == 0;
        assert_int_equal(ip_address_parse_with_port(slice_of(rows[i]), &address), is_bracketed);
    }
    assert_false(ip_address_parse((struct slice){"1.2.3.4\0", 8}, &address));
    assert_false(ip_address_parse((struct slice){NULL, 0}, &address));
    assert_false(ip_address_parse_with_port((struct slice){NULL, 0}, &address));
}

static void test_addresses_with_ports(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"192.0.2.1:4711", "192.0.2.1"},  {"192.0.2.1", "192.0.2.1"},     {"[2001:db8::1]:80", "2001:db8::1"},
        {"[2001:db8::1]", "2001:db8::1"}, {"2001:db8::1", "2001:db8::1"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct ip_address address, expected = address_of(rows[i][1]);
        assert_true(ip_address_parse_with_port(slice_of(rows[i][0]), &address));
        assert_memory_equal(&address, &expected, sizeof address);
    }
}

static void test_sockets(void **state)
{
    (void)state;
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0xc0000201)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    struct sockaddr other = {.sa_family = AF_UNIX};
    struct ip_address address, expected = address_of("192.0.2.1");
    assert_true(ip_address_of_socket((struct sockaddr *)&v4, &address));
    assert_memory_equal(&address, &expected, sizeof address);
    inet_pton(AF_INET6, "::ffff:192.0.2.1", &v6.sin6_addr); /* as IPv4 looks on an IPv6 socket */
    assert_true(ip_address_of_socket((struct sockaddr *)&v6, &address));
    assert_memory_equal(&address, &expected, sizeof address);
    assert_false(ip_address_of_socket(&other, &address));
}

static void test_limit_keys(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b;
        bool is_same;
    } rows[] = {
        {"2001:db8::1", "2001:db8::ffff:ffff:ffff:ffff", true},
        {"2001:db8::1", "2001:db8:0:1::1", false},
        {"192.0.2.1", "192.0.2.1", true},
        {"192.0.2.1", "192.0.2.2", false},
        {"192.0.2.1", "::ffff:192.0.2.1", true},
        {"::1", "::2", true},
        {"::1", "127.0.0.1", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct ip_address a = address_of(rows[i].a), b = address_of(rows[i].b);
        struct ip_address key_a = ip_address_limit_key(&a), key_b = ip_address_limit_key(&b);
        assert_int_equal(memcmp(&key_a, &key_b, sizeof key_a) == 0, rows[i].is_same);
    }
}

static void test_networks(void **state)
{
    (void)state;
    static const struct {
        const char *network, *address;
        bool holds;
    } rows[] = {
        {"10.0.0.0/8", "10.255.0.1", true},
        {"10.0.0.0/8", "11.0.0.1", false},
        {"192.0.2.128/25", "192.0.2.200", true},
        {"192.0.2.128/25", "192.0.2.127", false},
        {"192.0.2.1", "192.0.2.1", true},
        {"192.0.2.1", "192.0.2.2", false},
        {"0.0.0.0/0", "203.0.113.9", true},
        {"0.0.0.0/0", "2001:db8::1", false},
        {"::/0", "203.0.113.9", true},
        {"2001:db8::/33", "2001:db8:7fff::1", true},
        {"2001:db8::/33", "2001:db8:8000::1", false},
        {"::1", "::1", true},
        {"::1/128", "::2", false},
        {"::ffff:10.0.0.0/104", "10.1.2.3", true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct ip_network network;
        struct ip_address address = address_of(rows[i].address);
        assert_true(ip_network_parse(slice_of(rows[i].network), &network));
        struct ip_networks networks = {&network, 1};
        assert_int_equal(ip_networks_hold(&networks, &address), rows[i].holds);
    }
    struct ip_address address = address_of("::1");
    assert_false(ip_networks_hold(&(struct ip_networks){NULL, 0}, &address));
}

static void test_what_is_no_network(void **state)
{
    (void)state;
    static const char *const rows[] = {"",
                                       "/8",
                                       "10.0.0.0/",
                                       "10.0.0.0/33",
                                       "10.0.0.0/-1",
                                       "10.0.0.0/8x",
                                       "10.0.0.1/8",
                                       "10.0.0.0/255.0.0.0",
                                       "::/129",
                                       "2001:db8::1/64",
                                       "10/8",
                                       "*",
                                       "10.0.0.0/8/8",
                                       "localhost"};
    struct ip_network network;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_false(ip_network_parse(slice_of(rows[i]), &network));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_what_is_no_address),
        cmocka_unit_test(test_addresses_with_ports),
        cmocka_unit_test(test_sockets),
        cmocka_unit_test(test_limit_keys),
        cmocka_unit_test(test_networks),
        cmocka_unit_test(test_what_is_no_network),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
