/* base64url without padding: what is written is read again, and nothing else is read. */
#include "util/base64url.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_every_digit(void **state)
{
    (void)state;
    static const char ALL[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    uint8_t bytes[48];
    char text[sizeof ALL];
    assert_true(base64url_decode(slice_of(ALL), bytes, sizeof bytes));
    base64url_encode(bytes, sizeof bytes, text);
    assert_string_equal(text, ALL);
}

/* Of RFC 4648, section 10. */
static void test_known_texts(void **state)
{
    (void)state;
    static const uint8_t FOOBAR[] = {'f', 'o', 'o', 'b', 'a', 'r'};
    uint8_t bytes[sizeof FOOBAR];
    char text[BASE64URL_LENGTH(sizeof FOOBAR) + 1];
    base64url_encode(FOOBAR, sizeof FOOBAR, text);
    assert_string_equal(text, "Zm9vYmFy");
    assert_true(base64url_decode(SLICE("Zm9vYmFy"), bytes, sizeof bytes));
    assert_memory_equal(bytes, FOOBAR, sizeof FOOBAR);
    base64url_encode(FOOBAR, 0, text);
    assert_string_equal(text, "");
}

static void test_what_is_none(void **state)
{
    (void)state;
    uint8_t bytes[3];
    static const struct slice BAD[] = {{"", 0},
                                       {"AAA", 3},
                                       {"AAAAA", 5},
                                       {"AAA=", 4},
                                       {"AA+A", 4},
                                       {"/AAA", 4},
                                       {" AAA", 4},
                                       {"AAA\n", 4},
                                       {"AAA\0", 4},
                                       {"\xc3\xa4"
                                        "AA",
                                        4}};
    for (size_t i = 0; i < sizeof BAD / sizeof BAD[0]; i++) {
        assert_false(base64url_decode(BAD[i], bytes, sizeof bytes));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_digit),
        cmocka_unit_test(test_known_texts),
        cmocka_unit_test(test_what_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
