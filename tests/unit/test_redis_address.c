/* The URL of a Redis: its parts, and what is refused. */
#include "util/redis_address.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

static void assert_parts(const char *url, const struct redis_address *expected)
{
    struct redis_address address = {0};
    if (!redis_address_parse(url, &address)) {
        fail_msg("%s is refused", url);
    }
    assert_string_equal(address.host, expected->host);
    assert_int_equal(address.port, expected->port);
    assert_string_equal(address.username, expected->username);
    assert_string_equal(address.password, expected->password);
    assert_int_equal(address.database, expected->database);
    assert_int_equal(address.has_tls, expected->has_tls);
}

static void test_parts(void **state)
{
    (void)state;
    assert_parts("redis://cache", &(struct redis_address){.host = "cache", .port = 6379});
    assert_parts("redis://cache/", &(struct redis_address){.host = "cache", .port = 6379});
    assert_parts("REDISS://cache.example.org:6380/12",
                 &(struct redis_address){.host = "cache.example.org", .port = 6380, .database = 12, .has_tls = true});
    assert_parts("redis://:p%40ss%2f@10.0.0.1:1",
                 &(struct redis_address){.host = "10.0.0.1", .port = 1, .password = "p@ss/"});
    assert_parts("redis://chat:a:b@c@host/0",
                 &(struct redis_address){.host = "host", .port = 6379, .username = "chat", .password = "a:b@c"});
    assert_parts("redis://chat@cache", &(struct redis_address){.host = "cache", .port = 6379, .username = "chat"});
    assert_parts("redis://[::1]", &(struct redis_address){.host = "::1", .port = 6379});
    assert_parts("redis://[fe80::1]:65535/3", &(struct redis_address){.host = "fe80::1", .port = 65535, .database = 3});
}

static void test_refusals(void **state)
{
    (void)state;
    static const char *const urls[] = {
        "",
        "cache",
        "http://cache",
        "redis:cache",
        "redis://",
        "redis://:6379",
        "redis://cache:",
        "redis://cache:0",
        "redis://cache:65536",
        "redis://cache:6379x",
        "redis://cache:-1",
        "redis://cache/x",
        "redis://cache/0/1",
        "redis://cache/-1",
        "redis://cache/99999999999999999999",
        "redis://cache?db=1",
        "redis://::1",
        "redis://[::1",
        "redis://a b",
        "redis://%zz:x@cache",
        "redis://:x%4@cache",
        "redis://:x%@cache",
        "redis://:x%00@cache",
        "redis://cache\n",
        "redis://[]",
        "redis://cache%41",
    };
    char untouched[sizeof(struct redis_address)], address[sizeof(struct redis_address)];
    memset(untouched, 7, sizeof untouched);
    for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
        memset(address, 7, sizeof address);
        if (redis_address_parse(urls[i], (struct redis_address *)(void *)address)) {
            fail_msg("%s is taken", urls[i]);
        }
        assert_memory_equal(address, untouched, sizeof address);
    }
}

static void test_too_long(void **state)
{
    (void)state;
    struct redis_address address;
    char url[1200] = "redis://";
    memset(url + 8, 'h', 255);
    assert_true(redis_address_parse(url, &address));
    memset(url + 8, 'h', 256);
    assert_false(redis_address_parse(url, &address));
    memset(url, 0, sizeof url);
    strcpy(url, "redis://:");
    memset(url + 9, 'p', 512);
    strcat(url, "@host");
    assert_false(redis_address_parse(url, &address));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parts),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_too_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
