/* Names are looked up while the loop goes on. */
#include "loop/lookup.h"

#include <dirent.h>
#include <dlfcn.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* --- a name server that answers when it may --- */

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t has_changed = PTHREAD_COND_INITIALIZER;
static bool is_silent;

static void set_silent(bool silent)
{
    pthread_mutex_lock(&mutex);
    is_silent = silent;
    pthread_cond_broadcast(&has_changed);
    pthread_mutex_unlock(&mutex);
}

/* In place of libc's: "here.test" is 127.0.0.1, and no other name is known. */
int getaddrinfo(const char *restrict host, const char *restrict port, const struct addrinfo *restrict hints,
                struct addrinfo **restrict ret)
{
    int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **) =
        (__typeof__(real))dlsym(RTLD_NEXT, "getaddrinfo");
    if ((hints->ai_flags & AI_NUMERICHOST) != 0) {
        return real(host, port, hints, ret);
    }
    pthread_mutex_lock(&mutex);
    while (is_silent) {
        pthread_cond_wait(&has_changed, &mutex);
    }
    pthread_mutex_unlock(&mutex);
    return strcmp(host, "here.test") == 0 ? real("127.0.0.1", port, hints, ret) : EAI_NONAME;
}

/* --- who waits for it --- */

static struct loop *loop;
static int done_count;
static char address[NI_MAXHOST], service[NI_MAXSERV];
static const char *reason;

static void on_done(void *data, struct addrinfo *addresses, const char *error)
{
    assert_ptr_equal(data, &done_count);
    assert_true(loop_is_current(loop));
    done_count++;
    reason = error;
    assert_true((addresses == NULL) == (error != NULL));
    if (addresses != NULL) {
        getnameinfo(addresses->ai_addr, addresses->ai_addrlen, address, sizeof address, service, sizeof service,
                    NI_NUMERICHOST | NI_NUMERICSERV);
        assert_int_equal(addresses->ai_socktype, SOCK_STREAM);
        freeaddrinfo(addresses);
    }
    loop_stop(loop);
}

static struct lookup *look_up(const char *host)
{
    struct lookup *lookup = lookup_start(loop, host, 5432, on_done, &done_count);
    assert_non_null(lookup);
    assert_int_equal(done_count, 0); /* not before it returns */
    return lookup;
}

static int set_up(void **state)
{
    (void)state;
    loop = loop_create();
    done_count = 0;
    address[0] = service[0] = '\0';
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    loop_destroy(loop);
    return 0;
}

/* --- the tests --- */

static void check_address(const char *host)
{
    look_up(host);
    loop_run(loop);
    assert_int_equal(done_count, 1);
    assert_string_equal(address, host);
    assert_string_equal(service, "5432");
}

static void test_address(void **state)
{
    (void)state;
    check_address("127.0.0.1");
}

static void test_address_of_version_6(void **state)
{
    (void)state;
    check_address("::1");
}

static void on_tick(struct timer *timer)
{
    (void)timer;
    assert_int_equal(done_count, 0);
    set_silent(false);
}

static void test_slow_name(void **state)
{
    (void)state;
    struct timer tick = {.on_fire = on_tick};
    set_silent(true);
    look_up("here.test");
    loop_timer_start(loop, &tick, 10); /* fires only if the loop goes on meanwhile */
    loop_run(loop);
    assert_int_equal(done_count, 1);
    assert_string_equal(address, "127.0.0.1");
}

static void test_no_such_name(void **state)
{
    (void)state;
    look_up("nowhere.test");
    loop_run(loop);
    assert_int_equal(done_count, 1);
    assert_string_equal(reason, gai_strerror(EAI_NONAME));
}

static void stop(struct timer *timer)
{
    (void)timer;
    loop_stop(loop);
}

static void test_cancelled_when_found(void **state)
{
    (void)state;
    struct timer soon = {.on_fire = stop};
    lookup_cancel(look_up("127.0.0.1"));
    lookup_cancel(NULL);
    loop_timer_start(loop, &soon, 10);
    loop_run(loop);
    assert_int_equal(done_count, 0);
}

static int count_threads(void)
{
    int count = -2; /* . and .. */
    DIR *directory = opendir("/proc/self/task");
    while (readdir(directory) != NULL) {
        count++;
    }
    closedir(directory);
    return count;
}

/* The loop is gone when the name server answers at last. */
static void test_cancelled_while_it_waits(void **state)
{
    (void)state;
    int before = count_threads();
    set_silent(true);
    lookup_cancel(look_up("here.test"));
    assert_int_equal(count_threads(), before + 1);
    loop_destroy(loop);
    set_silent(false);
    while (count_threads() > before) {
        usleep(1000);
    }
    assert_int_equal(done_count, 0);
    loop = loop_create();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_address, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_address_of_version_6, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_slow_name, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_no_such_name, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_cancelled_when_found, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_cancelled_while_it_waits, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
