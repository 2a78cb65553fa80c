/* Buffers: they grow, keep their cap, and remember a failure. */
#include "util/buffer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#define assert_buffer(buffer, text) assert_true(slice_equals(buffer_slice(buffer), slice_of(text)))

static void test_appends(void **state)
{
    (void)state;
    struct buffer buffer = buffer_init(1000);
    buffer_append(&buffer, "ab", 2);
    buffer_append_text(&buffer, "cd");
    buffer_append_char(&buffer, 'e');
    buffer_append_slice(&buffer, SLICE("fg"));
    buffer_append_slice(&buffer, (struct slice){NULL, 0});
    buffer_printf(&buffer, "-%d-%s", 42, "x");
    assert_buffer(&buffer, "abcdefg-42-x");
    assert_false(buffer.failed);
    buffer_dispose(&buffer);
    assert_int_equal(buffer.length, 0);
    buffer_append_text(&buffer, "again");
    assert_buffer(&buffer, "again");
    buffer_dispose(&buffer);
}

static void test_the_cap_is_exact(void **state)
{
    (void)state;
    struct buffer buffer = buffer_init(100);
    for (int i = 0; i < 100; i++) {
        buffer_append_char(&buffer, 'x');
    }
    assert_false(buffer.failed);
    assert_int_equal(buffer.length, 100);
    assert_true(buffer.capacity <= 100);
    buffer_append_char(&buffer, 'y');
    assert_true(buffer.failed);
    assert_int_equal(buffer.length, 100);
    buffer_dispose(&buffer);
}

static void test_nothing_follows_a_failure(void **state)
{
    (void)state;
    struct buffer buffer = buffer_init(4);
    buffer_append_text(&buffer, "ab");
    buffer_append_text(&buffer, "cde");
    buffer_append_text(&buffer, "f");
    assert_true(buffer.failed);
    assert_buffer(&buffer, "ab");
    assert_null(buffer_reserve(&buffer, 1));
    buffer_dispose(&buffer);
    assert_false(buffer.failed);
}

static void test_absurd_lengths(void **state)
{
    (void)state;
    struct buffer buffer = buffer_init(64);
    buffer_append_text(&buffer, "abc");
    assert_null(buffer_reserve(&buffer, SIZE_MAX));
    buffer_dispose(&buffer);
    struct buffer none = buffer_init(0);
    buffer_append_char(&none, 'x');
    assert_true(none.failed);
    buffer_dispose(&none);
}

static void test_reserve_and_consume(void **state)
{
    (void)state;
    struct buffer buffer = buffer_init(1000);
    char *end = buffer_reserve(&buffer, 6);
    memcpy(end, "abcdef", 6);
    buffer.length += 6;
    buffer_consume(&buffer, 0);
    assert_buffer(&buffer, "abcdef");
    buffer_consume(&buffer, 4);
    assert_buffer(&buffer, "ef");
    buffer_consume(&buffer, 2);
    assert_int_equal(buffer.length, 0);
    buffer_append_text(&buffer, "g");
    assert_buffer(&buffer, "g");
    buffer_dispose(&buffer);
}

static void test_long_printf(void **state)
{
    (void)state;
    struct buffer buffer = buffer_init(5000);
    buffer_printf(&buffer, "%01000d|", 7);
    assert_int_equal(buffer.length, 1001);
    assert_int_equal(buffer.data[999], '7');
    assert_int_equal(buffer.data[1000], '|');
    buffer_dispose(&buffer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_appends),
        cmocka_unit_test(test_the_cap_is_exact),
        cmocka_unit_test(test_nothing_follows_a_failure),
        cmocka_unit_test(test_absurd_lengths),
        cmocka_unit_test(test_reserve_and_consume),
        cmocka_unit_test(test_long_printf),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
