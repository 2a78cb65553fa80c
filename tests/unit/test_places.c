/* Places for connections: in all and for each client, taken and given back. */
#include "util/places.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const struct ip_address ALICE = {{1}}, BOB = {{2}};

static void test_all(void **state)
{
    (void)state;
    struct places *places = places_create(3, 0);
    struct place *taken[] = {places_take(places, &ALICE), places_take(places, &ALICE), places_take(places, NULL)};
    assert_null(places_take(places, &BOB));
    assert_null(places_take(places, NULL));
    place_give_back(taken[0]);
    taken[0] = places_take(places, &BOB);
    assert_null(places_take(places, &ALICE));
    for (int i = 0; i < 3; i++) {
        assert_non_null(taken[i]);
        place_give_back(taken[i]);
    }
    place_give_back(NULL);
    places_destroy(places);
    places_destroy(NULL);
}

static void test_each_client(void **state)
{
    (void)state;
    struct places *places = places_create(0, 2);
    struct place *one = places_take(places, &ALICE), *two = places_take(places, &ALICE);
    assert_true(one != NULL && two != NULL);
    assert_null(places_take(places, &ALICE));
    struct place *bob = places_take(places, &BOB), *many[10];
    assert_non_null(bob);
    for (int i = 0; i < 10; i++) {
        many[i] = places_take(places, NULL);
        assert_non_null(many[i]);
    }
    place_give_back(one);
    one = places_take(places, &ALICE);
    assert_non_null(one);
    assert_null(places_take(places, &ALICE));
    place_give_back(one);
    place_give_back(two);
    place_give_back(bob);
    for (int i = 0; i < 10; i++) {
        place_give_back(many[i]);
    }
    places_destroy(places);
}

static void test_places_that_get_a_client_later(void **state)
{
    (void)state;
    struct places *places = places_create(4, 2);
    struct place *taken[] = {places_take(places, &ALICE), places_take(places, NULL), places_take(places, NULL)};
    assert_true(place_assign(taken[1], &ALICE));
    assert_false(place_assign(taken[2], &ALICE));
    assert_null(places_take(places, &ALICE));
    place_give_back(taken[2]); /* has not been hers */
    assert_null(places_take(places, &ALICE));
    place_give_back(taken[1]);
    taken[1] = places_take(places, NULL);
    assert_true(place_assign(taken[1], &ALICE));
    taken[2] = places_take(places, &BOB);
    struct place *last = places_take(places, NULL);
    assert_true(taken[2] != NULL && last != NULL);
    assert_true(place_assign(last, &BOB)); /* it is one of the four all the time */
    assert_null(places_take(places, NULL));
    place_give_back(last);
    for (int i = 0; i < 3; i++) {
        place_give_back(taken[i]);
    }
    places_destroy(places);
}

/* A customer of a provider has a /64 for himself. */
static void test_networks(void **state)
{
    (void)state;
    struct places *places = places_create(0, 1);
    struct ip_address v6 = {{0x20, 0x01, 0x0d, 0xb8, [15] = 1}}, same = v6, next = v6;
    struct ip_address v4 = {{[10] = 0xff, [11] = 0xff, [12] = 192, [15] = 1}}, other_v4 = v4;
    same.bytes[15] = 2;
    next.bytes[7] = 1;
    other_v4.bytes[15] = 2;
    struct place *taken[] = {places_take(places, &v6), places_take(places, &next), places_take(places, &v4),
                             places_take(places, &other_v4)};
    assert_null(places_take(places, &same));
    assert_null(places_take(places, &v4));
    for (int i = 0; i < 4; i++) {
        assert_non_null(taken[i]);
        place_give_back(taken[i]);
    }
    taken[0] = places_take(places, &same);
    assert_non_null(taken[0]);
    place_give_back(taken[0]);
    places_destroy(places);
}

static void test_places_that_come_back_late(void **state)
{
    (void)state;
    struct places *places = places_create(0, 1);
    struct place *place = places_take(places, &ALICE);
    places_destroy(places);
    place_give_back(place); /* a sanitizer tells whether it was freed too early, or not at all */
}

static void test_many_clients(void **state)
{
    (void)state;
    enum { CLIENTS = 20000 };
    static struct place *taken[CLIENTS];
    struct places *places = places_create(0, 1);
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < CLIENTS; i++) {
            struct ip_address client = {{(uint8_t)i, (uint8_t)(i >> 8)}};
            taken[i] = places_take(places, &client);
            assert_non_null(taken[i]);
            assert_null(places_take(places, &client));
        }
        for (int i = 0; i < CLIENTS; i++) {
            place_give_back(taken[i]);
        }
    }
    places_destroy(places);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all),
        cmocka_unit_test(test_each_client),
        cmocka_unit_test(test_networks),
        cmocka_unit_test(test_places_that_get_a_client_later),
        cmocka_unit_test(test_places_that_come_back_late),
        cmocka_unit_test(test_many_clients),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
