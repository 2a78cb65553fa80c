/* The header traceparent: which ones are continued, and how. */
#include "http/trace_context.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#define TRACE "4bf92f3577b34da6a3ce929d0e0e4736"
#define PARENT "00f067aa0ba902b7"
#define ZEROES "00000000000000000000000000000000"

static void is_continued(void **state)
{
    (void)state;
    struct trace_context trace;
    char header[TRACEPARENT_LENGTH + 1];
    assert_true(trace_context_read(SLICE("00-" TRACE "-" PARENT "-01"), &trace));
    assert_string_equal(trace.trace_id, TRACE);
    assert_string_equal(trace.parent_id, PARENT);
    trace_context_write(&trace, header);
    assert_int_equal(strlen(header), TRACEPARENT_LENGTH);
    assert_memory_equal(header, "00-" TRACE "-", 36);
    assert_string_equal(header + 52, "-01");
    assert_memory_equal(header + 36, trace.span_id, SPAN_ID_LENGTH);
    assert_string_not_equal(trace.span_id, PARENT);
}

static void each_request_is_a_span_of_its_own(void **state)
{
    (void)state;
    struct trace_context one, other;
    assert_true(trace_context_read(SLICE("00-" TRACE "-" PARENT "-00"), &one));
    assert_true(trace_context_read(SLICE("00-" TRACE "-" PARENT "-00"), &other));
    assert_string_not_equal(one.span_id, other.span_id);
}

static void later_versions_may_go_on(void **state)
{
    (void)state;
    struct trace_context trace;
    assert_true(trace_context_read(SLICE("01-" TRACE "-" PARENT "-01"), &trace));
    assert_true(trace_context_read(SLICE("cc-" TRACE "-" PARENT "-01-more"), &trace));
    assert_false(trace_context_read(SLICE("cc-" TRACE "-" PARENT "-01more"), &trace));
}

static void others_are_not(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "00",
                                      "00-" TRACE "-" PARENT,
                                      "00-" TRACE "-" PARENT "-0",
                                      "00-" TRACE "-" PARENT "-01-",
                                      "00-" TRACE "-" PARENT "-01 ",
                                      " 00-" TRACE "-" PARENT "-01",
                                      "ff-" TRACE "-" PARENT "-01",
                                      "0g-" TRACE "-" PARENT "-01",
                                      "00_" TRACE "-" PARENT "-01",
                                      "00-" ZEROES "-" PARENT "-01",
                                      "00-" TRACE "-0000000000000000-01",
                                      "00-4BF92F3577B34DA6A3CE929D0E0E4736-" PARENT "-01",
                                      "00-" TRACE "-" PARENT "-0x"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct trace_context trace = {.trace_id = "untouched"};
        assert_false(trace_context_read(slice_of(bad[i]), &trace));
        assert_string_equal(trace.trace_id, "untouched");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_continued),
        cmocka_unit_test(each_request_is_a_span_of_its_own),
        cmocka_unit_test(later_versions_may_go_on),
        cmocka_unit_test(others_are_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
