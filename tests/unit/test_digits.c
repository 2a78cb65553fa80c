/* Numbers of digits, and what is none. */
#include "util/digits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_taking(void **state)
{
    (void)state;
    int64_t number = -1;
    struct slice rest = SLICE("007-5");
    assert_true(digits_take(&rest, 3, &number));
    assert_int_equal(number, 7);
    assert_true(slice_equals(rest, SLICE("-5")));
    number = -1;
    assert_false(digits_take(&rest, 3, &number));
    rest = SLICE("1234");
    assert_false(digits_take(&rest, 3, &number));
    assert_true(slice_equals(rest, SLICE("1234")));
    rest = (struct slice){NULL, 0};
    assert_false(digits_take(&rest, 3, &number));
    assert_int_equal(number, -1);
}

static void test_reading(void **state)
{
    (void)state;
    int64_t number = -1;
    static const char *const bad[] = {"", "-1", "+1", " 1", "1 ", "1.0", "0x1", "1000"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(digits_read(slice_of(bad[i]), 3, &number));
    }
    assert_int_equal(number, -1);
    assert_true(digits_read(SLICE("0"), 3, &number));
    assert_int_equal(number, 0);
    assert_true(digits_read(SLICE("999999999999999999"), DIGITS_MAX, &number));
    assert_int_equal(number, 999999999999999999);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_taking),
        cmocka_unit_test(test_reading),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
