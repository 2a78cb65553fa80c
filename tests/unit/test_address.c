/* The address that a server gives out for itself. */
#include "server/address.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

static void assert_url(const char *host, bool has_tls, const char *expected)
{
    char url[SERVER_URL_LENGTH];
    address_format_url(host, 5000, has_tls, url);
    assert_string_equal(url, expected);
}

static void test_one_address(void **state)
{
    (void)state;
    assert_url("127.0.0.1", false, "http://127.0.0.1:5000");
    assert_url("10.0.0.7", true, "https://10.0.0.7:5000");
    assert_url("::1", false, "http://[::1]:5000");
}

/* Whatever it is, it is not the address that means all. */
static void test_all_addresses(void **state)
{
    (void)state;
    static const char *const everywhere[] = {"0.0.0.0", "::", "0:0:0:0:0:0:0:0"};
    for (size_t i = 0; i < sizeof everywhere / sizeof *everywhere; i++) {
        char url[SERVER_URL_LENGTH];
        address_format_url(everywhere[i], 5000, false, url);
        assert_memory_equal(url, "http://", 7);
        assert_null(strstr(url, "//0.0.0.0"));
        assert_null(strstr(url, "[::]"));
        assert_string_equal(strrchr(url, ':'), ":5000");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_address),
        cmocka_unit_test(test_all_addresses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
