/* Each allocation of reading a body or a query fails in turn: the answer is then STATUS_UNAVAILABLE, and nothing leaks.
 */
#include "util/fields.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "unit/failmalloc.h"

static const struct field table[] = {
    {"content", FIELD_TEXT, 1, 1 << 20, FIELD_REQUIRED, NULL},
    {"limit", FIELD_INTEGER, 1, 100, FIELD_REQUIRED, NULL},
    {0},
};

/* Returns how many allocations had to be granted until the outcome was `expected`. */
static int fail_in_turn(struct slice input, enum status expected,
                        bool (*read)(const struct field *, struct slice, struct field_values *))
{
    for (int granted = 0; granted < 100; granted++) {
        struct field_values values;
        fields_init(&values);
        allocations_left = granted;
        bool is_good = read(table, input, &values);
        allocations_left = -1;
        enum status status = fields_status(&values);
        assert_int_equal(is_good, status == STATUS_OK);
        fields_dispose(&values);
        if (status == expected) {
            return granted;
        }
        assert_int_equal(status, STATUS_UNAVAILABLE);
    }
    fail_msg("never came to an end");
    return -1;
}

static void test_json(void **state)
{
    (void)state;
    /* one allocation is what a good body may cost */
    assert_int_equal(fail_in_turn(SLICE("{\"content\":\"a\\nb\",\"limit\":5}"), STATUS_OK, fields_read_json), 1);
    assert_in_range(fail_in_turn(SLICE("{\"content\":\"\",\"x\":5}"), STATUS_VALIDATION_ERROR, fields_read_json), 2,
                    20);
}

static void test_long_json(void **state)
{
    (void)state;
    struct buffer json = buffer_init(100000);
    buffer_append_text(&json, "{\"limit\":5,\"content\":\"");
    for (int i = 0; i < 10000; i++) {
        buffer_append_text(&json, "\\n");
    }
    buffer_append_text(&json, "\"}");
    assert_int_equal(fail_in_turn(buffer_slice(&json), STATUS_OK, fields_read_json), 2);
    buffer_dispose(&json);
}

static void test_query(void **state)
{
    (void)state;
    assert_int_equal(fail_in_turn(SLICE("content=a%20b&limit=5"), STATUS_OK, fields_read_query), 2);
    assert_in_range(fail_in_turn(SLICE("content=&limit=0"), STATUS_VALIDATION_ERROR, fields_read_query), 3, 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_long_json),
        cmocka_unit_test(test_query),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
