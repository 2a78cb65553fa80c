/* Two buses in one: who is told what by which, as the other nodes are heard or not. */
#include "realtime/bus.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <unistd.h>

/* --- two buses that only count --- */

struct fake {
    struct bus bus; /* first */
    struct bus_options options;
    int events, news, follows;
    bool is_alive;
};

static struct fake sure, fast;
static struct bus *pair;
static struct loop *loop;
static struct uuid peers[2];
static int peer_count, connections, losses, events, news_count;

static void fake_publish(struct bus *bus, const struct hub_event *event)
{
    (void)event;
    ((struct fake *)bus)->events++;
}

static void fake_tell(struct bus *bus, enum bus_news news, struct uuid node_id, struct uuid user_id)
{
    (void)news, (void)node_id, (void)user_id;
    ((struct fake *)bus)->news++;
}

static void fake_follow(struct bus *bus, struct uuid user_id, bool is_followed)
{
    (void)user_id, (void)is_followed;
    ((struct fake *)bus)->follows++;
}

static void fake_destroy(struct bus *bus)
{
    ((struct fake *)bus)->is_alive = false;
}

static const struct bus_operations FAKE = {fake_publish, fake_tell, fake_follow, fake_destroy};

static struct bus *create(struct fake *fake, const struct bus_options *options)
{
    *fake = (struct fake){.bus.operations = &FAKE, .options = *options, .is_alive = true};
    return &fake->bus;
}

static struct bus *create_sure(const struct bus_options *options)
{
    return create(&sure, options);
}

static struct bus *create_fast(const struct bus_options *options)
{
    return create(&fast, options);
}

static struct bus *create_none(const struct bus_options *options)
{
    (void)options;
    return NULL;
}

/* --- the node --- */

static void on_event(void *data, const struct hub_event *event)
{
    (void)data, (void)event;
    events++;
}

static void on_news(void *data, enum bus_news news, struct uuid node_id, struct uuid user_id)
{
    (void)data, (void)news, (void)node_id, (void)user_id;
    news_count++;
}

static void on_connected(void *data)
{
    (void)data;
    connections++;
}

static void on_lost(void *data)
{
    (void)data;
    losses++;
}

static void for_each_local(void *data, void (*visit)(void *visitor, struct uuid user_id), void *visitor)
{
    (void)data, (void)visit, (void)visitor;
}

static void for_each_peer(void *data, void (*visit)(void *visitor, struct uuid node_id), void *visitor)
{
    (void)data;
    for (int i = 0; i < peer_count; i++) {
        visit(visitor, peers[i]);
    }
}

static const struct bus_callbacks CALLBACKS = {on_event, on_news, on_connected, on_lost, for_each_local, for_each_peer};

static struct bus_options options;

static int set_up(void **state)
{
    (void)state;
    peer_count = connections = losses = events = news_count = 0;
    peers[0] = uuid_generate();
    peers[1] = uuid_generate();
    loop = loop_create();
    options = (struct bus_options){.loop = loop, .node_id = uuid_generate(), .callbacks = &CALLBACKS};
    pair = bus_pair_create(&options, create_sure, create_fast);
    assert_non_null(pair);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    bus_destroy(pair);
    assert_false(sure.is_alive || fast.is_alive);
    loop_destroy(loop);
    return 0;
}

static void say(const struct fake *from, enum bus_news news, struct uuid node_id)
{
    from->options.callbacks->on_news(from->options.data, news, node_id, node_id);
}

static void connect(const struct fake *fake)
{
    fake->options.callbacks->on_connected(fake->options.data);
}

/* Publishes an event; which of the two have got it? */
static void assert_goes_by(int64_t seq, int by_sure, int by_fast)
{
    const struct hub_recipient recipient = {peers[0], seq};
    sure.events = fast.events = 0;
    bus_publish(pair,
                &(struct hub_event){
                    .type = SLICE("typing"), .payload = SLICE("{}"), .recipients = &recipient, .recipient_count = 1});
    assert_int_equal(sure.events, by_sure);
    assert_int_equal(fast.events, by_fast);
}

static void test_durable(void **state)
{
    (void)state;
    assert_goes_by(1, 1, 1);
    connect(&fast);
    assert_goes_by(2, 1, 1);
}

static void test_ephemeral(void **state)
{
    (void)state;
    assert_goes_by(0, 1, 0); /* fast is not connected */
    connect(&fast);
    assert_goes_by(0, 0, 1); /* nobody else is there */
    peer_count = 2;
    say(&sure, BUS_NEWS_HELLO, peers[0]);
    assert_goes_by(0, 1, 0); /* but not on fast */
    say(&fast, BUS_NEWS_HELLO, peers[0]);
    assert_goes_by(0, 1, 0); /* the other one is not */
    say(&fast, BUS_NEWS_ENTERS, peers[1]);
    assert_goes_by(0, 1, 0);
    say(&fast, BUS_NEWS_HELLO, peers[1]);
    assert_goes_by(0, 0, 1);
    fast.options.callbacks->on_lost(fast.options.data);
    assert_goes_by(0, 1, 0);
    connect(&fast);
    say(&fast, BUS_NEWS_HELLO, peers[0]);
    assert_goes_by(0, 1, 0); /* what was heard before does not count */
    say(&fast, BUS_NEWS_HELLO, peers[1]);
    assert_goes_by(0, 0, 1);
    assert_int_equal(losses, 1);
    assert_int_equal(connections, 2);
}

/* Of hellos by `fast`, the first tells that somebody is there; more of them are its heart that beats. */
static void assert_goes_on(const struct fake *from, enum bus_news news, struct uuid node_id, int times)
{
    news_count = 0;
    say(from, news, node_id);
    assert_int_equal(news_count, times);
}

static void test_beats(void **state)
{
    (void)state;
    connect(&fast);
    assert_goes_on(&fast, BUS_NEWS_HELLO, peers[0], 1);
    assert_goes_on(&fast, BUS_NEWS_HELLO, peers[0], 1); /* the node still knows nobody */
    peer_count = 1;
    for (int i = 0; i < 3; i++) {
        assert_goes_on(&fast, BUS_NEWS_HELLO, peers[0], 0);
        assert_goes_on(&fast, BUS_NEWS_ENTERS, peers[0], 1);
        assert_goes_on(&sure, BUS_NEWS_HELLO, peers[0], 1);
    }
    peer_count = 2;
    assert_goes_on(&fast, BUS_NEWS_HELLO, peers[1], 1); /* known by `sure` until now */
    assert_goes_on(&fast, BUS_NEWS_HELLO, peers[1], 0);
    assert_goes_on(&fast, BUS_NEWS_HELLO, peers[0], 0);
    peer_count = 1; /* the node has buried the other one, which only stood still */
    assert_goes_on(&fast, BUS_NEWS_HELLO, peers[1], 1);
    assert_goes_by(0, 0, 1); /* and each of them counted as heard */
    fast.options.callbacks->on_lost(fast.options.data);
    connect(&fast);
    assert_goes_on(&fast, BUS_NEWS_HELLO, peers[0], 1);
    assert_goes_on(&fast, BUS_NEWS_HELLO, peers[0], 0);
}

/* A node that is not heard any more hears nothing, for all that is known. */
static struct timer stop;

static void on_stop(struct timer *timer)
{
    (void)timer;
    if (fast.news >= 5) {
        loop_stop(loop);
    } else {
        loop_timer_start(loop, &stop, 10);
    }
}

static void test_silence(void **state)
{
    (void)state;
    peer_count = 1;
    connect(&fast);
    say(&fast, BUS_NEWS_HELLO, peers[0]);
    assert_goes_by(0, 0, 1);
    stop.on_fire = on_stop;
    loop_timer_start(loop, &stop, 10);
    loop_run(loop); /* five beats */
    assert_int_equal(sure.news, 0);
    assert_goes_by(0, 1, 0);
    assert_goes_on(&fast, BUS_NEWS_HELLO, peers[0], 1);
    assert_goes_on(&fast, BUS_NEWS_HELLO, peers[0], 0);
}

/* This node has not moved itself: what the others say is the first that it hears, before its own timers run. */
static void on_message(struct loop_task *task)
{
    (void)task;
    assert_goes_on(&fast, BUS_NEWS_HELLO, peers[0], 1);
    assert_goes_on(&fast, BUS_NEWS_HELLO, peers[0], 0);
    loop_stop(loop);
}

static void on_standstill(struct timer *timer)
{
    static struct loop_task message;
    (void)timer;
    message.run = on_message;
    usleep(3600 * 1000);
    loop_post(loop, &message);
}

static void test_standstill(void **state)
{
    (void)state;
    peer_count = 1;
    connect(&fast);
    say(&fast, BUS_NEWS_HELLO, peers[0]);
    stop.on_fire = on_standstill;
    loop_timer_start(loop, &stop, 1);
    loop_run(loop);
    assert_int_equal(news_count, 0); /* the last that was said */
}

static void test_the_rest(void **state)
{
    (void)state;
    bus_tell(pair, BUS_NEWS_ENTERS, options.node_id, peers[0]);
    bus_follow(pair, peers[0], true);
    assert_int_equal(sure.news + fast.news, 2);
    assert_int_equal(fast.follows, 1);
    say(&sure, BUS_NEWS_LEAVES, peers[0]);
    say(&fast, BUS_NEWS_LEAVES, peers[0]);
    assert_int_equal(news_count, 2);
    connect(&sure);
    assert_int_equal(connections, 1);
    const struct hub_event event = {.type = SLICE("typing")};
    sure.options.callbacks->on_event(sure.options.data, &event);
    fast.options.callbacks->on_event(fast.options.data, &event);
    assert_int_equal(events, 2);
}

static void test_half_built(void **state)
{
    (void)state;
    struct loop *other_loop = loop_create();
    options = (struct bus_options){.loop = other_loop, .callbacks = &CALLBACKS};
    assert_null(bus_pair_create(&options, create_none, create_fast));
    assert_false(fast.is_alive);
    assert_null(bus_pair_create(&options, create_sure, create_none));
    assert_false(sure.is_alive);
    loop_destroy(other_loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_durable, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_ephemeral, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_beats, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_silence, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_standstill, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_the_rest, set_up, tear_down),
        cmocka_unit_test(test_half_built),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
