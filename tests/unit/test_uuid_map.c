/* The table of UUIDs against an array that is searched: many keys, keys whose places collide, and every order of adding
 * and taking out. */
#include "util/uuid_map.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "support/prng.h"

enum { KEYS = 400 };

struct model {
    struct uuid keys[KEYS];
    void *values[KEYS];
};

static void check(const struct uuid_map *map, const struct model *model)
{
    size_t count = 0, seen = 0, cursor = 0;
    for (int i = 0; i < KEYS; i++) {
        assert_ptr_equal(uuid_map_get(map, model->keys[i]), model->values[i]);
        count += model->values[i] != NULL;
    }
    assert_int_equal(map->count, count);
    while (uuid_map_next(map, &cursor) != NULL) {
        seen++;
    }
    assert_int_equal(seen, count);
}

static void run(struct model *model, uint64_t seed)
{
    struct prng prng = prng_init(seed);
    struct uuid_map map = {0};
    static char values[8];
    check(&map, model);
    for (int step = 0; step < 20000; step++) {
        /* growing at first, then shrinking, and so on */
        bool is_adding = prng_below(&prng, 100) < (step / 2000 % 2 == 0 ? 70u : 30u);
        size_t i = prng_below(&prng, KEYS);
        if (is_adding) {
            model->values[i] = &values[prng_below(&prng, sizeof values)];
            assert_true(uuid_map_put(&map, model->keys[i], model->values[i]));
        } else {
            assert_ptr_equal(uuid_map_remove(&map, model->keys[i]), model->values[i]);
            model->values[i] = NULL;
        }
        if (step % 100 == 0) {
            check(&map, model);
        }
    }
    check(&map, model);
    uuid_map_dispose(&map);
    assert_null(uuid_map_get(&map, model->keys[0]));
    assert_null(uuid_map_remove(&map, model->keys[0]));
}

static void test_random_keys(void **state)
{
    (void)state;
    struct model model = {0};
    for (int i = 0; i < KEYS; i++) {
        model.keys[i] = uuid_generate();
    }
    run(&model, 1);
}

/* All keys want one of few places, near the end of the table: long runs that wrap around. */
static void test_colliding_keys(void **state)
{
    (void)state;
    struct model model = {0};
    struct prng prng = prng_init(2);
    for (int i = 0; i < KEYS;) {
        struct uuid uuid = {{0}};
        uint64_t random = prng_next(&prng);
        memcpy(uuid.bytes, &random, sizeof random);
        if ((uuid_hash(uuid) >> 20 & 1023) >= 1016) {
            model.keys[i++] = uuid;
        }
    }
    run(&model, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_keys),
        cmocka_unit_test(test_colliding_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
