/* A connection to Redis: what is asked is answered exactly once, what is lost comes back by itself, and what is no
 * Redis is told so. Skipped where STONECHAT_TEST_REDIS_URL does not name one. */
#include "cache/redis.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <hiredis/hiredis.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "util/buffer.h"
#include "util/log.h"

enum { PATIENCE_MS = 20000 };

struct end {
    struct redis *redis;
    int connected, lost, messages, replies, losses;
    long long client_id;
    struct buffer heard; /* channel=payload; */
};

static struct redis_options options;
static struct loop *loop;
static bool (*is_enough)(void);
static struct timer ticker;
static struct end one, other;

/* --- the loop, until something is so --- */

static void on_tick(struct timer *timer)
{
    if (is_enough()) {
        loop_stop(loop);
    } else {
        loop_timer_start(loop, timer, 1);
    }
}

static void on_late(struct timer *timer)
{
    (void)timer;
    fail_msg("waited %d ms", PATIENCE_MS);
}

/* A loop runs once: the connections live in one run, which walks through the steps of a test. */
static void run(bool (*until)(void))
{
    struct timer late = {.on_fire = on_late};
    is_enough = until;
    ticker.on_fire = on_tick;
    loop_timer_start(loop, &late, PATIENCE_MS);
    loop_timer_start(loop, &ticker, 0);
    loop_run(loop);
    loop_timer_stop(loop, &late);
}

static void on_connected(void *data)
{
    ((struct end *)data)->connected++;
}

static void on_lost(void *data)
{
    struct end *end = data;
    assert_false(redis_is_connected(end->redis));
    end->lost++;
}

static void on_message(void *data, struct slice channel, struct slice payload)
{
    struct end *end = data;
    end->messages++;
    buffer_append_slice(&end->heard, channel);
    buffer_append_char(&end->heard, '=');
    buffer_append_slice(&end->heard, payload);
    buffer_append_char(&end->heard, ';');
}

static const struct redis_callbacks CALLBACKS = {on_connected, on_lost, on_message};

static void on_reply(void *data, const struct redisReply *reply)
{
    struct end *end = data;
    end->replies += reply != NULL;
    end->losses += reply == NULL;
    if (reply != NULL && reply->type == REDIS_REPLY_INTEGER) {
        end->client_id = reply->integer;
    }
}

static bool command(struct end *end, const char *a, const char *b, const char *c)
{
    const struct slice arguments[] = {slice_of(a), slice_of(b), slice_of(c)};
    return redis_command(end->redis, arguments, c != NULL ? 3 : b != NULL ? 2 : 1, on_reply, end);
}

static int set_up(void **state)
{
    (void)state;
    const char *url = getenv("STONECHAT_TEST_REDIS_URL");
    if (url == NULL) {
        skip();
    }
    options = (struct redis_options){.use = "test"};
    assert_true(redis_address_parse(url, &options.address));
    loop = loop_create();
    one = other = (struct end){0};
    one.heard = other.heard = buffer_init(1 << 20);
    return 0;
}

static void connect_both(void)
{
    one.redis = redis_create(loop, &options, &CALLBACKS, &one);
    other.redis = redis_create(loop, &options, &CALLBACKS, &other);
    assert_false(command(&one, "PING", NULL, NULL));
}

static void tear_down(void)
{
    redis_destroy(one.redis);
    redis_destroy(other.redis);
    loop_destroy(loop);
    buffer_dispose(&one.heard);
    buffer_dispose(&other.heard);
}

static void assert_heard(const struct end *end, const char *text)
{
    assert_int_equal(end->heard.length, strlen(text));
    assert_memory_equal(end->heard.data, text, strlen(text));
}

/* --- messages --- */

static int step;

static void subscribe(struct end *end)
{
    redis_subscribe(end->redis, SLICE("stonechat:test:a"));
    redis_subscribe(end->redis, SLICE("stonechat:test:b"));
    redis_subscribe(end->redis, SLICE("stonechat:test:a"));
    assert_true(command(end, "PING", NULL, NULL));
}

static bool talk(void)
{
    switch (step) {
    case 0:
        if (one.connected == 1 && other.connected == 1) {
            subscribe(&other);
            step++;
        }
        return false;
    case 1:
        if (other.replies == 1) {
            command(&one, "PUBLISH", "stonechat:test:a", "1 \r\n$5\r\n");
            command(&one, "PUBLISH", "stonechat:test:b", "2");
            command(&one, "PUBLISH", "stonechat:test:c", "3");
            step++;
        }
        return false;
    case 2:
        if (other.messages == 2 && one.replies == 3) {
            redis_unsubscribe(other.redis, SLICE("stonechat:test:a"));
            assert_true(command(&other, "PING", NULL, NULL));
            step++;
        }
        return false;
    case 3:
        if (other.replies == 2) {
            command(&one, "PUBLISH", "stonechat:test:a", "4");
            command(&one, "PUBLISH", "stonechat:test:b", "5");
            step++;
        }
        return false;
    default:
        return other.messages == 3;
    }
}

static void test_messages(void **state)
{
    set_up(state);
    connect_both();
    step = 0;
    run(talk);
    assert_heard(&other, "stonechat:test:a=1 \r\n$5\r\n;stonechat:test:b=2;stonechat:test:b=5;");
    assert_int_equal(one.messages + one.lost + other.lost + one.losses + other.losses, 0);
    tear_down();
}

/* --- what is lost --- */

static void kill_other(void)
{
    char id[32];
    snprintf(id, sizeof id, "%lld", other.client_id);
    const struct slice arguments[] = {SLICE("CLIENT"), SLICE("KILL"), SLICE("ID"), slice_of(id)};
    redis_command(one.redis, arguments, 4, on_reply, &one);
}

/* It is killed with a command under way that takes forever, and others behind it. */
static bool lose_other(void)
{
    switch (step) {
    case 0:
        if (one.connected == 1 && other.connected == 1) {
            command(&other, "CLIENT", "ID", NULL);
            step++;
        }
        return false;
    case 1:
        if (other.client_id != 0) {
            command(&other, "BLPOP", "stonechat:test:nothing", "0");
            command(&other, "PING", NULL, NULL);
            command(&other, "PING", NULL, NULL);
            step++;
        }
        return false;
    case 2:
        kill_other();
        step++;
        return false;
    default:
        return other.connected == 2;
    }
}

static void test_loss(void **state)
{
    set_up(state);
    connect_both();
    step = 0;
    run(lose_other);
    assert_int_equal(other.lost, 1);
    assert_int_equal(other.replies, 1);
    assert_int_equal(other.losses, 3);
    assert_true(command(&other, "BLPOP", "stonechat:test:nothing", "0"));
    tear_down();
    assert_int_equal(other.losses, 4);
    assert_int_equal(other.lost, 1);
}

/* What does not fit is refused, and nothing breaks. */
static bool is_connected(void)
{
    return one.connected == 1;
}

static bool all_are_answered(void)
{
    return one.replies + one.losses == step;
}

static void test_too_much(void **state)
{
    set_up(state);
    connect_both();
    run(is_connected);
    char *large = calloc(1, (1 << 20) + 1);
    memset(large, 'x', 1 << 20);
    step = 0;
    while (command(&one, "ECHO", large, NULL)) {
        step++;
    }
    free(large);
    assert_in_range(step, 10, 16);
    tear_down();
    assert_int_equal(one.losses, step);
    assert_true(all_are_answered());
}

/* --- what is refused --- */

static bool is_away(void)
{
    return ++step > 300; /* some attempts later */
}

static void test_wrong_password(void **state)
{
    set_up(state);
    strcpy(options.address.password, "wrong");
    one.redis = redis_create(loop, &options, &CALLBACKS, &one);
    step = 0;
    run(is_away);
    assert_int_equal(one.connected + one.lost, 0);
    tear_down();
}

static void test_database(void **state)
{
    set_up(state);
    options.address.database = 3;
    one.redis = redis_create(loop, &options, &CALLBACKS, &one);
    run(is_connected);
    tear_down();
}

static void test_no_such_host(void **state)
{
    set_up(state);
    strcpy(options.address.host, "nowhere.invalid");
    one.redis = redis_create(loop, &options, &CALLBACKS, &one);
    step = 0;
    run(is_away);
    assert_int_equal(one.connected + one.lost, 0);
    tear_down();
}

/* --- what is no Redis: each connection is answered with one of these, then cut --- */

static const char *const ANSWERS[] = {"HTTP/1.1 400 Bad Request\r\n\r\n",
                                      "*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\nb\r\n", "$99999999999999999999\r\n",
                                      "+PONG\r\n+PONG\r\n", ""};

static void *answer(void *data)
{
    int listener = *(int *)data;
    for (size_t i = 0; i < sizeof ANSWERS / sizeof *ANSWERS; i++) {
        char bytes[256];
        int fd = accept(listener, NULL, NULL);
        ssize_t length = read(fd, bytes, sizeof bytes);
        length = length > 0 ? write(fd, ANSWERS[i], strlen(ANSWERS[i])) : length;
        if (i == 3) {
            length = read(fd, bytes, sizeof bytes); /* until it has had enough */
        }
        (void)length;
        close(fd);
    }
    return NULL;
}

static void test_no_redis(void **state)
{
    set_up(state);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    pthread_t thread;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(listener, 5), 0);
    getsockname(listener, (struct sockaddr *)&address, &length);
    pthread_create(&thread, NULL, answer, &listener);
    options.address.port = ntohs(address.sin_port);
    strcpy(options.address.host, "127.0.0.1");
    one.redis = redis_create(loop, &options, &CALLBACKS, &one);
    step = -2000;
    run(is_away);
    assert_in_range(one.connected, 0, 2);
    assert_int_equal(one.lost, one.connected);
    assert_int_equal(one.messages, 0);
    pthread_join(thread, NULL);
    close(listener);
    tear_down();
}

int main(void)
{
    log_configure(LOG_ERROR, LOG_TEXT);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_messages),       cmocka_unit_test(test_loss),     cmocka_unit_test(test_too_much),
        cmocka_unit_test(test_wrong_password), cmocka_unit_test(test_database), cmocka_unit_test(test_no_such_host),
        cmocka_unit_test(test_no_redis),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
