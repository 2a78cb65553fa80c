/* Lists of hosts, with the addresses of names, begun with another one. */
#include "db/hosts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void test_rotate(void **state)
{
    (void)state;
    static const struct {
        const char *list;
        unsigned turn;
        const char *rotated;
    } cases[] = {
        {"a,b,c", 0, "a,b,c"},       {"a,b,c", 1, "b,c,a"},       {"a,b,c", 2, "c,a,b"},
        {"a,b,c", 3, "a,b,c"},       {"alone", 7, "alone"},       {"", 1, ""},
        {",5433", 1, "5433,"},       {"a,,c", 1, ",c,a"},         {"a,b,", 2, ",a,b"},
        {"/run/x,b", 1, "b,/run/x"}, {"a,b", 4294967295u, "b,a"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *rotated = hosts_rotate(cases[i].list, cases[i].turn);
        assert_string_equal(rotated, cases[i].rotated);
        free(rotated);
    }
}

/* Each name has the addresses that are written behind it: "a=10.0.0.1 a=::1". */
static void resolve_all(struct hosts *hosts, const char *addresses)
{
    for (const char *name; (name = hosts_unresolved(hosts)) != NULL;) {
        struct addrinfo *first = NULL, **last = &first,
                        hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST};
        size_t length = strlen(name);
        for (const char *at = addresses; (at = strstr(at, name)) != NULL; at += length) {
            char text[64];
            assert_true(at[length] == '=' && sscanf(at + length + 1, "%63s", text) == 1);
            assert_int_equal(getaddrinfo(text, NULL, &hints, last), 0);
            last = &(*last)->ai_next;
        }
        hosts_resolve(hosts, first, "nobody knows it");
        if (first != NULL) {
            freeaddrinfo(first);
        }
    }
}

struct expected {
    const char *host, *hostaddr, *port; /* NULL: as libpq has it when nothing is said */
};

static void check_hosts(const char *url, const char *addresses, unsigned turn, struct expected expected)
{
    struct hosts *hosts = hosts_create(url);
    resolve_all(hosts, addresses);
    assert_null(hosts_error(hosts));
    PGconn *connection = hosts_connect(hosts, url, turn);
    PQconninfoOption *options = PQconninfo(connection);
    for (const PQconninfoOption *option = options; option->keyword != NULL; option++) {
        if (strcmp(option->keyword, "host") == 0 && expected.host != NULL) {
            assert_string_equal(option->val, expected.host);
        } else if (strcmp(option->keyword, "hostaddr") == 0) {
            assert_string_equal(option->val != NULL ? option->val : "", expected.hostaddr);
        } else if (strcmp(option->keyword, "port") == 0) {
            assert_string_equal(option->val, expected.port);
        } else if (strcmp(option->keyword, "dbname") == 0) {
            assert_string_equal(option->val, "chat");
        }
    }
    PQconninfoFree(options);
    PQfinish(connection);
    hosts_destroy(hosts);
}

static void test_connect(void **state)
{
    (void)state;
    check_hosts("postgresql://127.0.0.1:1,127.0.0.2:2/chat", "", 0,
                (struct expected){"127.0.0.1,127.0.0.2", ",", "1,2"});
    check_hosts("postgresql://127.0.0.1:1,127.0.0.2:2/chat", "", 1,
                (struct expected){"127.0.0.2,127.0.0.1", ",", "2,1"});
    check_hosts("host=/nowhere,127.0.0.2 port=1 dbname=chat", "", 3, (struct expected){"127.0.0.2,/nowhere", ",", "1"});
    check_hosts("postgresql:///chat", "", 2, (struct expected){NULL, "", "5432"});
    check_hosts("host=a hostaddr=127.0.0.3 port=1 dbname=chat", "", 0, (struct expected){"a", "127.0.0.3", "1"});
}

static void test_names(void **state)
{
    (void)state;
    static const char both[] = "one.test=127.0.0.1 two.test=127.0.0.2 one.test=::1 ";
    check_hosts("postgresql://one.test/chat", both, 0, (struct expected){"one.test,one.test", "127.0.0.1,::1", "5432"});
    check_hosts("postgresql://one.test:1,[::2]:2,two.test:3/chat", both, 0,
                (struct expected){"one.test,one.test,::2,two.test", "127.0.0.1,::1,,127.0.0.2", "1,1,2,3"});
    check_hosts("postgresql://one.test:1,two.test:3/chat", both, 2,
                (struct expected){"two.test,one.test,one.test", "127.0.0.2,127.0.0.1,::1", "3,1,1"});
    check_hosts("host=gone.test,two.test port=7 dbname=chat", both, 0, (struct expected){"two.test", "127.0.0.2", "7"});
}

static void test_no_address(void **state)
{
    (void)state;
    struct hosts *hosts = hosts_create("postgresql://gone.test,away.test/chat");
    resolve_all(hosts, "");
    assert_string_equal(hosts_error(hosts), "could not translate host name \"away.test\" to address: nobody knows it");
    hosts_destroy(hosts);
    hosts_destroy(NULL);
}

static void test_nonsense(void **state)
{
    (void)state;
    static const char *const urls[] = {"postgresql://[", "host=a,b port=1,2,3 dbname=chat", "=", ""};
    for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
        struct hosts *hosts = hosts_create(urls[i]);
        assert_null(hosts_unresolved(hosts)); /* libpq says what is wrong */
        assert_null(hosts_error(hosts));
        hosts_destroy(hosts);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_rotate), cmocka_unit_test(test_connect),
                                       cmocka_unit_test(test_names), cmocka_unit_test(test_no_address),
                                       cmocka_unit_test(test_nonsense)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
