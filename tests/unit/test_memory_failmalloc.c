/* Each allocation of the buffer, the JSON writer, the arrays for PostgreSQL and the UUID table fails in turn: it is
 * said, nothing half done is taken for whole, and nothing leaks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "db/encode.h"
#include "util/json.h"
#include "util/uuid_map.h"

#include "unit/failmalloc.h"

static char long_text[3000];

static void write_json(struct buffer *out)
{
    json_string(out, (struct slice){long_text, sizeof long_text});
    buffer_append_char(out, ',');
    json_integer(out, INT64_MIN);
    json_uuid(out, (struct uuid){{1}});
    json_time(out, 0);
    json_boolean(out, true);
    buffer_printf(out, "%s", long_text + 100);
}

static void encode(struct buffer *out)
{
    struct db_call second = {.values = {DB_TEXT(((struct slice){long_text, sizeof long_text}))}};
    struct db_call first = {.values = {DB_TEXT(SLICE("x"))}, .next = &second};
    encode_array(out, 't', &first, 2, 0);
}

/* Whatever is refused, what was written is the beginning of the whole, and later writes add nothing. */
static void fail_in_turn(void (*write)(struct buffer *out))
{
    struct buffer whole = buffer_init(100000);
    write(&whole);
    assert_false(whole.failed);
    for (int granted = 0;; granted++) {
        struct buffer out = buffer_init(100000);
        assert_true(granted < 100);
        allocations_left = granted;
        write(&out);
        allocations_left = -1;
        assert_true(out.failed || out.length == whole.length);
        assert_memory_equal(out.data != NULL ? out.data : "", whole.data, out.length);
        size_t length = out.length;
        buffer_append_text(&out, "more");
        assert_int_equal(out.length, out.failed ? length : length + 4);
        bool was_whole = !out.failed;
        buffer_dispose(&out);
        if (was_whole) {
            break;
        }
    }
    buffer_dispose(&whole);
}

static void test_json(void **state)
{
    (void)state;
    memset(long_text, '"', 50);
    memset(long_text + 50, 'a', sizeof long_text - 51);
    fail_in_turn(write_json);
}

static void test_arrays(void **state)
{
    (void)state;
    fail_in_turn(encode);
}

/* Growing fails: the table is as it was. */
static void test_uuid_map(void **state)
{
    (void)state;
    struct uuid_map map = {0};
    struct uuid keys[100];
    allocations_left = 0;
    keys[0] = uuid_generate();
    assert_false(uuid_map_put(&map, keys[0], &map));
    assert_null(uuid_map_get(&map, keys[0]));
    for (int i = 0; i < 100; i++) {
        keys[i] = uuid_generate();
        allocations_left = 0;
        if (!uuid_map_put(&map, keys[i], &keys[i])) {
            assert_int_equal(map.count, i);
            allocations_left = -1;
            assert_true(uuid_map_put(&map, keys[i], &keys[i]));
        }
    }
    allocations_left = -1;
    for (int i = 0; i < 100; i++) {
        assert_ptr_equal(uuid_map_get(&map, keys[i]), &keys[i]);
    }
    uuid_map_dispose(&map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_arrays),
        cmocka_unit_test(test_uuid_map),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
