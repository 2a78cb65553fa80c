/* UUIDs: version and variant, order, uniqueness across threads, and the text form. */
#include "util/uuid.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static void test_version_7(void **state)
{
    (void)state;
    uint64_t before_ms = (uint64_t)time(NULL) * 1000;
    struct uuid uuid = uuid_generate();
    uint64_t ms = 0;
    for (int i = 0; i < 6; i++) {
        ms = ms << 8 | uuid.bytes[i];
    }
    assert_int_equal(uuid.bytes[6] >> 4, 7);
    assert_int_equal(uuid.bytes[8] >> 6, 2);
    assert_true(ms >= before_ms);
    assert_true(ms <= ((uint64_t)time(NULL) + 1) * 1000);
    assert_false(uuid_is_nil(uuid));
}

/* More than the counter holds in a millisecond, so that it overflows too. */
static void test_ascending_in_a_thread(void **state)
{
    (void)state;
    struct uuid last = uuid_generate();
    for (int i = 0; i < 100000; i++) {
        struct uuid next = uuid_generate();
        assert_true(memcmp(last.bytes, next.bytes, sizeof next.bytes) < 0);
        last = next;
    }
}

enum { THREADS = 4, PER_THREAD = 20000 };

static void *generate_many(void *context)
{
    struct uuid *uuids = context;
    for (int i = 0; i < PER_THREAD; i++) {
        uuids[i] = uuid_generate();
    }
    return NULL;
}

static int compare(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct uuid));
}

static void test_unique_across_threads(void **state)
{
    (void)state;
    struct uuid *uuids = calloc(THREADS * PER_THREAD, sizeof *uuids);
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, generate_many, uuids + (size_t)i * PER_THREAD), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    qsort(uuids, THREADS * PER_THREAD, sizeof *uuids, compare);
    for (int i = 1; i < THREADS * PER_THREAD; i++) {
        assert_false(uuid_equals(uuids[i - 1], uuids[i]));
    }
    free(uuids);
}

static void test_text_form(void **state)
{
    (void)state;
    const struct slice text = SLICE("0123abcd-4567-89ef-0011-aabbccddeeff");
    struct uuid uuid, upper;
    char out[UUID_TEXT_LENGTH];
    assert_true(uuid_parse(text, &uuid));
    uuid_format(uuid, out);
    assert_memory_equal(out, text.data, UUID_TEXT_LENGTH);
    assert_true(uuid_parse(SLICE("0123ABCD-4567-89EF-0011-AABBCCDDEEFF"), &upper));
    assert_true(uuid_equals(uuid, upper));
}

static void test_what_is_no_uuid(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "",
        "0123abcd-4567-89ef-0011-aabbccddeef",
        "0123abcd-4567-89ef-0011-aabbccddeefff",
        "0123abcd-4567-89ef-0011-aabbccddeefg",
        "0123abcd_4567-89ef-0011-aabbccddeeff",
        "0123abcd-4567-89ef-00110aabbccddeeff",
        "{123abcd-4567-89ef-0011-aabbccddeef}",
        "0123abcd-4567-89ef-0011-aabbccdd\303\244ff",
        "0123abcd4567-89ef-0011-aabbccddeeff-",
        "@123abcd-4567-89ef-0011-aabbccddeeff",
        "`123abcd-4567-89ef-0011-aabbccddeeff",
        ":123abcd-4567-89ef-0011-aabbccddeeff",
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct uuid uuid = {{42}};
        assert_false(uuid_parse(slice_of(rows[i]), &uuid));
        assert_int_equal(uuid.bytes[0], 42);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_version_7),
        cmocka_unit_test(test_ascending_in_a_thread),
        cmocka_unit_test(test_unique_across_threads),
        cmocka_unit_test(test_text_form),
        cmocka_unit_test(test_what_is_no_uuid),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
