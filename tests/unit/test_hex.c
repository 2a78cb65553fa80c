/* Hexadecimal digits, read and written. */
#include "util/hex.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

static void test_values(void **state)
{
    (void)state;
    static const char LOWER[] = "0123456789abcdef", UPPER[] = "0123456789ABCDEF";
    for (int c = 0; c < 256; c++) {
        const char *lower = c != 0 ? strchr(LOWER, c) : NULL, *upper = c != 0 ? strchr(UPPER, c) : NULL;
        int expected = lower != NULL ? (int)(lower - LOWER) : upper != NULL ? (int)(upper - UPPER) : -1;
        assert_int_equal(hex_value((char)c), expected);
    }
}

static void test_bytes(void **state)
{
    (void)state;
    for (int byte = 0; byte < 256; byte++) {
        char text[3] = "";
        hex_write(&(uint8_t){(uint8_t)byte}, 1, text);
        assert_int_equal(hex_byte(text[0], text[1]), byte);
    }
    assert_int_equal(hex_byte('0', 'g'), -1);
    assert_int_equal(hex_byte('g', '0'), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
