/* Session ids: what is packed into one comes out again, ids differ, and what is no id is refused. */
#include "realtime/engineio_private.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

static void test_node_and_worker(void **state)
{
    (void)state;
    static const int nodes[] = {0, 1, 255, 256, 4660, 65535}, workers[] = {0, 1, 127, 255};
    for (size_t n = 0; n < sizeof nodes / sizeof *nodes; n++) {
        for (size_t w = 0; w < sizeof workers / sizeof *workers; w++) {
            uint8_t made[15], parsed[15];
            char text[EIO_SID_LENGTH + 1];
            eio_make_id(made, nodes[n], workers[w], text);
            assert_int_equal(strlen(text), EIO_SID_LENGTH);
            assert_true(eio_sid_parse(text, parsed));
            assert_memory_equal(made, parsed, sizeof made);
            assert_int_equal(eio_sid_node(parsed), nodes[n]);
            assert_int_equal(eio_sid_worker(parsed), workers[w]);
        }
    }
}

/* All bits but those of node and worker are drawn: each of them is seen as 0 and as 1. */
static void test_random_bits(void **state)
{
    (void)state;
    uint8_t ones[15] = {0}, zeros[15] = {0};
    for (int i = 0; i < 200; i++) {
        uint8_t sid[15];
        char text[EIO_SID_LENGTH + 1];
        eio_make_id(sid, 1, 1, text);
        for (int b = 0; b < 15; b++) {
            ones[b] |= sid[b];
            zeros[b] |= (uint8_t)~sid[b];
        }
    }
    int bits = 0;
    for (int b = 0; b < 15; b++) {
        bits += __builtin_popcount(ones[b] & zeros[b]);
    }
    assert_int_equal(bits, 96);
}

static void test_text(void **state)
{
    (void)state;
    uint8_t sid[15];
    static const char *const bad[] = {"",
                                      "A",
                                      "AAAAAAAAAAAAAAAAAAA",
                                      "AAAAAAAAAAAAAAAAAAAAA",
                                      "AAAAAAAAAAAAAAAAAAA+",
                                      "AAAAAAAAAAAAAAAAAAA ",
                                      "éAAAAAAAAAAAAAAAAAA"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_false(eio_sid_parse(bad[i], sid));
    }
    char text[EIO_SID_LENGTH + 1];
    assert_true(eio_sid_parse("ABCDEFghij0123456-_z", sid));
    eio_sid_format(sid, text);
    assert_string_equal(text, "ABCDEFghij0123456-_z");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_node_and_worker),
        cmocka_unit_test(test_random_bits),
        cmocka_unit_test(test_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
