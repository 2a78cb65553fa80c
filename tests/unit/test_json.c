/* Writing JSON: escapes, numbers, and times against the C library's calendar. */
#include "util/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static void assert_written(struct buffer *out, const char *expected)
{
    assert_int_equal(out->length, strlen(expected));
    assert_memory_equal(out->data, expected, out->length);
    buffer_dispose(out);
}

static void test_strings(void **state)
{
    (void)state;
    static const struct {
        struct slice text;
        const char *json;
    } rows[] = {
        {{"", 0}, "\"\""},
        {{NULL, 0}, "\"\""},
        {{"hello", 5}, "\"hello\""},
        {{"a\"b\\c", 5}, "\"a\\\"b\\\\c\""},
        {{"\b\f\n\r\t", 5}, "\"\\b\\f\\n\\r\\t\""},
        {{"\0\x01\x1f ", 4}, "\"\\u0000\\u0001\\u001f \""},
        {{"\x7f/\xc3\xa4\xf0\x9f\x98\x80", 8}, "\"\x7f/\xc3\xa4\xf0\x9f\x98\x80\""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct buffer out = buffer_init(1000);
        json_string(&out, rows[i].text);
        assert_written(&out, rows[i].json);
    }
}

static void test_a_string_is_whole_or_missing(void **state)
{
    (void)state;
    struct buffer out = buffer_init(5);
    json_string(&out, SLICE("abc\n"));
    assert_true(out.failed);
    assert_int_equal(out.length, 0);
    buffer_dispose(&out);
}

static void test_integers(void **state)
{
    (void)state;
    static const int64_t rows[] = {0,  1,   9,     10,         99,        100,       101,
                                   -1, -10, 12345, -987654321, INT64_MAX, INT64_MIN, 1000000000000};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char expected[32];
        snprintf(expected, sizeof expected, "%lld", (long long)rows[i]);
        struct buffer out = buffer_init(100);
        json_integer(&out, rows[i]);
        assert_written(&out, expected);
    }
}

static void test_booleans_and_uuids(void **state)
{
    (void)state;
    struct buffer out = buffer_init(100);
    json_boolean(&out, true);
    json_boolean(&out, false);
    assert_written(&out, "truefalse");
    json_uuid(&out, (struct uuid){{0x01, 0x23, 0xab, 0xcd}});
    assert_written(&out, "\"0123abcd-0000-0000-0000-000000000000\"");
}

/* A prime step visits every month, leap days and ends of centuries many times over. */
static void test_times_as_the_c_library_has_them(void **state)
{
    (void)state;
    for (int64_t s = -62167219200; s <= 253402300799; s += 7776007) {
        time_t seconds = (time_t)s;
        struct tm tm;
        gmtime_r(&seconds, &tm);
        char expected[64], written[JSON_TIME_LENGTH + 1] = {0};
        int ms = (int)((s + 62167219200) % 1000);
        snprintf(expected, sizeof expected, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", tm.tm_year + 1900, tm.tm_mon + 1,
                 tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, ms);
        json_time_format(s * 1000000 + ms * 1000 + 999, written);
        assert_string_equal(written, expected);
    }
}

static void test_times_at_the_edges(void **state)
{
    (void)state;
    static const struct {
        int64_t unix_us;
        const char *json;
    } rows[] = {
        {0, "\"1970-01-01T00:00:00.000Z\""},
        {-1, "\"1969-12-31T23:59:59.999Z\""},
        {951782400000000, "\"2000-02-29T00:00:00.000Z\""},
        {1709251199999999, "\"2024-02-29T23:59:59.999Z\""},
        {INT64_MIN, "\"0000-01-01T00:00:00.000Z\""},
        {INT64_MAX, "\"9999-12-31T23:59:59.999Z\""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct buffer out = buffer_init(100);
        json_time(&out, rows[i].unix_us);
        assert_written(&out, rows[i].json);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_strings),
        cmocka_unit_test(test_a_string_is_whole_or_missing),
        cmocka_unit_test(test_integers),
        cmocka_unit_test(test_booleans_and_uuids),
        cmocka_unit_test(test_times_as_the_c_library_has_them),
        cmocka_unit_test(test_times_at_the_edges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
