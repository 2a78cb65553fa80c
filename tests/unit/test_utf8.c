/* UTF-8: what is well-formed and what is not, by the table of the Unicode standard. */
#include "util/utf8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_well_formed(void **state)
{
    (void)state;
    static const struct {
        struct slice text;
        size_t count;
    } rows[] = {
        {{"", 0}, 0},
        {{"\0", 1}, 1},
        {{"plain ASCII of more than eight bytes", 36}, 36},
        {{"\xc2\x80", 2}, 1},
        {{"\xdf\xbf", 2}, 1},
        {{"\xe0\xa0\x80", 3}, 1},
        {{"\xed\x9f\xbf", 3}, 1},
        {{"\xee\x80\x80", 3}, 1},
        {{"\xf0\x90\x80\x80", 4}, 1},
        {{"\xf4\x8f\xbf\xbf", 4}, 1},
        {{"12345678\xc3\xa4"
          "12345678",
          18},
         17},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_true(utf8_is_valid(rows[i].text));
        assert_int_equal(utf8_count(rows[i].text), rows[i].count);
    }
}

static void test_ill_formed(void **state)
{
    (void)state;
    static const struct slice rows[] = {
        {"\x80", 1},     /* continuation alone */
        {"\xc0\x80", 2}, /* overlong */
        {"\xc1\xbf", 2},
        {"\xe0\x9f\xbf", 3},
        {"\xf0\x8f\xbf\xbf", 4},
        {"\xed\xa0\x80", 3}, /* surrogates */
        {"\xed\xbf\xbf", 3},
        {"\xf4\x90\x80\x80", 4}, /* past U+10FFFF */
        {"\xf5\x80\x80\x80", 4},
        {"\xff", 1},
        {"\xc3", 1}, /* broken off */
        {"\xe2\x82", 2},
        {"\xf0\x9f\x98", 3},
        {"\xe2\x28\xa1", 3},
        {"\xf0\x9f\x28\x80", 4},
        {"12345678\xc3", 9},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_false(utf8_is_valid(rows[i]));
    }
}

static void test_cuts_between_characters(void **state)
{
    (void)state;
    struct slice text = SLICE("a\xe2\x82\xac\xf0\x9f\x98\x80z"); /* 1 + 3 + 4 + 1 bytes */
    static const size_t expected[] = {0, 1, 1, 1, 4, 4, 4, 4, 8, 9, 9};
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        assert_int_equal(utf8_cut(text, i).length, expected[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_well_formed),
        cmocka_unit_test(test_ill_formed),
        cmocka_unit_test(test_cuts_between_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
