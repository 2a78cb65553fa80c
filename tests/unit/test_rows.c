/* Results handed out to the members of a group, and members' values as binary arrays: what a server would never send is
 * refused, and memory lives until the last member is done. */
#include "db/rows.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <endian.h>

#include "db/encode.h"

enum { MEMBERS = 3 };

static struct db_call calls[MEMBERS];

/* A result with the binary columns ordinal (bigint) and text, a row an ordinal. */
static PGresult *make_result(const int64_t *ordinals, int count)
{
    PGresult *result = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);
    PGresAttDesc columns[2] = {{.name = (char *)"ord", .format = 1, .typid = 20, .typlen = 8},
                               {.name = (char *)"value", .format = 1, .typid = 25, .typlen = -1}};
    assert_true(PQsetResultAttrs(result, 2, columns));
    for (int i = 0; i < count; i++) {
        uint64_t ordinal = htobe64((uint64_t)ordinals[i]);
        char text[2] = {(char)('a' + i), '\0'};
        assert_true(PQsetvalue(result, i, 0, (char *)&ordinal, sizeof ordinal));
        assert_true(PQsetvalue(result, i, 1, text, 1));
    }
    memset(calls, 0, sizeof calls);
    for (int i = 0; i + 1 < MEMBERS; i++) {
        calls[i].next = &calls[i + 1];
    }
    return result;
}

static void assert_rows(int member, const char *texts)
{
    const struct db_rows *rows = &calls[member].rows;
    assert_int_equal(db_rows_count(rows), strlen(texts));
    for (int i = 0; texts[i] != '\0'; i++) {
        assert_true(slice_equals(db_text(rows, i, 0), (struct slice){&texts[i], 1}));
        assert_false(db_is_null(rows, i, 0));
    }
}

static void test_distribution(void **state)
{
    (void)state;
    static const int64_t ordinals[] = {3, 1, 3, 1, 3};
    assert_true(rows_distribute(make_result(ordinals, 5), calls, MEMBERS));
    assert_rows(0, "bd");
    assert_rows(1, "");
    rows_unref(&calls[0].rows);
    rows_unref(&calls[1].rows);
    rows_unref(&calls[1].rows); /* given back already */
    assert_rows(2, "ace");
    rows_unref(&calls[2].rows);
}

static void test_no_rows(void **state)
{
    (void)state;
    assert_true(rows_distribute(make_result(NULL, 0), calls, MEMBERS));
    for (int i = 0; i < MEMBERS; i++) {
        assert_rows(i, "");
        rows_unref(&calls[i].rows);
    }
}

static void test_ordinals_of_nobody(void **state)
{
    (void)state;
    static const int64_t wrong[] = {0, -1, MEMBERS + 1, INT64_MAX, INT64_MIN};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        int64_t ordinals[] = {1, wrong[i], 2};
        assert_false(rows_distribute(make_result(ordinals, 3), calls, MEMBERS));
        assert_null(calls[0].rows.result);
    }
}

static void test_arrays(void **state)
{
    (void)state;
    static const char expected[] =
        "\0\0\0\1\0\0\0\1\0\0\0\x19\0\0\0\3\0\0\0\1" /* one dimension, NULLs, text, 3 from 1 */
        "\0\0\0\2hi"
        "\xff\xff\xff\xff"
        "\0\0\0\0";
    memset(calls, 0, sizeof calls);
    calls[0] = (struct db_call){.values = {DB_INT(7), DB_TEXT(SLICE("hi"))}, .next = &calls[1]};
    calls[1] = (struct db_call){.values = {DB_INT(7), DB_NULL}, .next = &calls[2]};
    calls[2] = (struct db_call){.values = {DB_INT(7), DB_TEXT(((struct slice){NULL, 0}))}};
    struct buffer out = buffer_init(1000);
    encode_array(&out, 't', calls, MEMBERS, 1);
    assert_int_equal(out.length, sizeof expected - 1);
    assert_memory_equal(out.data, expected, out.length);
    buffer_dispose(&out);
}

/* At whatever byte the room ends, the buffer says so and holds no more than it may. */
static void test_arrays_without_room(void **state)
{
    (void)state;
    memset(calls, 0, sizeof calls);
    calls[0].values[0] = DB_TEXT(SLICE("some text"));
    for (size_t room = 0; room < 33; room++) {
        struct buffer out = buffer_init(room);
        encode_array(&out, 't', calls, 1, 0);
        assert_true(out.failed);
        assert_true(out.length <= room);
        buffer_dispose(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_distribution),        cmocka_unit_test(test_no_rows),
        cmocka_unit_test(test_ordinals_of_nobody),  cmocka_unit_test(test_arrays),
        cmocka_unit_test(test_arrays_without_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
