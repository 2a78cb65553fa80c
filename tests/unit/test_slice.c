/* Texts that are taken apart. */
#include "util/slice.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void assert_slice(struct slice slice, const char *expected)
{
    assert_true(slice_equals(slice, slice_of(expected)));
}

static void test_taking(void **state)
{
    (void)state;
    struct slice rest = SLICE("a,,bc");
    assert_slice(slice_take_until(&rest, ','), "a");
    assert_slice(slice_take_until(&rest, ','), "");
    assert_slice(rest, "bc");
    assert_slice(slice_take_until(&rest, ','), "bc");
    assert_int_equal(rest.length, 0);
    assert_slice(slice_take_until(&rest, ','), "");
    rest = SLICE("a,");
    assert_slice(slice_take_until(&rest, ','), "a");
    assert_int_equal(rest.length, 0);
    rest = (struct slice){NULL, 0};
    assert_int_equal(slice_take_until(&rest, ',').length, 0);
    assert_null(rest.data);
}

static void test_trimming(void **state)
{
    (void)state;
    assert_slice(slice_trim(SLICE(" \ta b\t ")), "a b");
    assert_slice(slice_trim(SLICE("\na")), "\na");
    assert_slice(slice_trim(SLICE(" \t ")), "");
    assert_slice(slice_trim((struct slice){NULL, 0}), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_taking),
        cmocka_unit_test(test_trimming),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
