/* The table of outcomes: every status has a code, an HTTP status and a message, and codes lead back to a status. */
#include "util/status.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

static void test_every_status_is_complete(void **state)
{
    (void)state;
    for (int i = 0; i < STATUS_COUNT; i++) {
        assert_true(strlen(status_code((enum status)i)) > 0);
        assert_true(strlen(status_message((enum status)i)) > 0);
        assert_in_range(status_http((enum status)i), 200, 599);
    }
}

static void test_known_rows(void **state)
{
    (void)state;
    assert_string_equal(status_code(STATUS_NOT_FOUND), "NOT_FOUND");
    assert_int_equal(status_http(STATUS_NOT_FOUND), 404);
    assert_string_equal(status_message(STATUS_VALIDATION_ERROR), "Validation error");
    assert_int_equal(status_http(STATUS_CREATED), 201);
}

static void test_codes_lead_back(void **state)
{
    (void)state;
    for (int i = 0; i < STATUS_COUNT; i++) {
        const char *code = status_code((enum status)i);
        assert_string_equal(status_code(status_of_code(code)), code);
    }
    assert_int_equal(status_of_code("FORBIDDEN"), STATUS_FORBIDDEN);
    assert_int_equal(status_of_code("INVALID_PAYLOAD"), STATUS_INVALID_PAYLOAD);
    assert_int_equal(status_of_code("NO_SUCH_CODE"), STATUS_INTERNAL);
    assert_int_equal(status_of_code(""), STATUS_INTERNAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_status_is_complete),
        cmocka_unit_test(test_known_rows),
        cmocka_unit_test(test_codes_lead_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
