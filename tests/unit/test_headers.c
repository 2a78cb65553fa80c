/* What stands in the head of a request: lists, tokens, types, ids and query parameters, well-formed and not. */
#include "http/headers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

static void test_lists(void **state)
{
    (void)state;
    static const struct {
        const char *list;
        bool holds;
    } rows[] = {
        {"upgrade", true},
        {"Upgrade", true},
        {"keep-alive, Upgrade", true},
        {"keep-alive,\tUPGRADE ,x", true},
        {"upgrade;q=1", true},
        {"", false},
        {",", false},
        {"upgrade-insecure", false},
        {"x-upgrade", false},
        {"no upgrade", false},
        {"x;upgrade", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(headers_list_holds(slice_of(rows[i].list), "upgrade"), rows[i].holds);
    }
    assert_false(headers_list_holds((struct slice){NULL, 0}, "upgrade"));
}

static void test_json_types(void **state)
{
    (void)state;
    static const char *const good[] = {"application/json", "Application/JSON", "application/json; charset=utf-8",
                                       "application/json ;charset=utf-8"};
    static const char *const bad[] = {"", "text/plain", "application/jsonp", "application/json, text/plain",
                                      "text/plain; application/json"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_true(headers_is_json(slice_of(good[i])));
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(headers_is_json(slice_of(bad[i])));
    }
    assert_false(headers_is_json((struct slice){NULL, 0}));
}

static void test_request_ids(void **state)
{
    (void)state;
    assert_true(headers_is_request_id(SLICE("0Az-_.:+/="), 10));
    assert_false(headers_is_request_id(SLICE("0Az-_.:+/=a"), 10));
    assert_false(headers_is_request_id(SLICE(""), 10));
    assert_false(headers_is_request_id(SLICE("a b"), 10));
    assert_false(headers_is_request_id(SLICE("a\0b"), 10));
    assert_false(headers_is_request_id(SLICE("a\r\nb"), 10));
    assert_false(headers_is_request_id(SLICE("\"a\""), 10));
}

static void test_query_parameters(void **state)
{
    (void)state;
    static const struct {
        const char *query, *value; /* NULL: not to be had */
    } rows[] = {
        {"sid=abc", "abc"},
        {"EIO=4&sid=a%20b+c", "a b c"},
        {"sid=", ""},
        {"sid=1&sid=2", "1"},
        {"sid=a=b", "a=b"},
        {"sid=12345678", "12345678"},
        {"sid=123456789", NULL}, /* too long */
        {"sid", NULL},
        {"", NULL},
        {"xsid=1", NULL},
        {"sidx=1", NULL},
        {"sid=%", NULL},
        {"sid=%4", NULL},
        {"sid=%4g", NULL},
        {"sid=a%00b", NULL},
        {"&&sid=1&", "1"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char out[9] = "unset";
        assert_int_equal(headers_query_parameter(slice_of(rows[i].query), "sid", out, sizeof out),
                         rows[i].value != NULL);
        if (rows[i].value != NULL) {
            assert_string_equal(out, rows[i].value);
        }
    }
    char none[1];
    assert_false(headers_query_parameter(SLICE("sid=a"), "sid", none, sizeof none));
    assert_true(headers_query_parameter(SLICE("sid="), "sid", none, sizeof none));
    assert_false(headers_query_parameter((struct slice){NULL, 0}, "sid", none, sizeof none));
}

static void test_unambiguous_heads(void **state)
{
    (void)state;
    static const struct {
        const char *head;
        bool is_good;
    } rows[] = {
        {"GET / HTTP/1.1\r\nHost: a\r\n\r\n", true},
        {"GET / HTTP/1.1\r\n\r\n", false},
        {"GET / HTTP/1.1\nhOST:a\n\n", true},
        {"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\nHost: b", true},
        {"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", false},
        {"GET /Host: HTTP/1.1\r\nX-Host: a\r\n\r\n", false},
        {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nContent-Length: 1\r\n", true},
        {"POST / HTTP/1.1\r\nHost: a\r\ncontent-length: 1\r\nContent-Length: 1\r\n\r\nx", false},
        {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", false},
        {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n", false},
        {"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nHost: a\r\n\r\n", true},
        {"", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(headers_are_unambiguous(slice_of(rows[i].head), true), rows[i].is_good);
    }
    assert_true(headers_are_unambiguous(SLICE("GET / HTTP/1.0\r\n\r\n"), false));
    assert_false(headers_are_unambiguous(SLICE("GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n"), false));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unambiguous_heads), cmocka_unit_test(test_lists),
        cmocka_unit_test(test_json_types),        cmocka_unit_test(test_request_ids),
        cmocka_unit_test(test_query_parameters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
