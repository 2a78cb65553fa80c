/* What may come from one connection, by the second. */
#include "realtime/rate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_twice_as_much_at_once(void **state)
{
    (void)state;
    struct rate rate = {0};
    for (int i = 0; i < 20; i++) {
        assert_true(rate_take(&rate, 10, 1, 5000));
    }
    assert_false(rate_take(&rate, 10, 1, 5000));
}

static void test_so_much_a_second(void **state)
{
    (void)state;
    struct rate rate = {0};
    assert_true(rate_take(&rate, 10, 20, 5000));
    for (uint64_t now_ms = 5100; now_ms < 100000; now_ms += 100) {
        assert_true(rate_take(&rate, 10, 1, now_ms));
    }
    assert_false(rate_take(&rate, 10, 2, 100000 + 99));
    assert_true(rate_take(&rate, 10, 20, 200000));
}

static void test_no_limit(void **state)
{
    (void)state;
    struct rate rate = {0};
    assert_true(rate_take(&rate, 0, UINT32_MAX, 1));
    assert_true(rate_take(&rate, 0, UINT32_MAX, 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_twice_as_much_at_once),
        cmocka_unit_test(test_so_much_a_second),
        cmocka_unit_test(test_no_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
