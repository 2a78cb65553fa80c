/* Presence: who is here, who is elsewhere, and what is told of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "realtime/presence.h"

/* A hub and its sessions are real; the loop is run until something has been told. */

enum { GRACE_MS = 20, NEWS_MAX = 16 };

static const struct uuid ALICE = {{1}}, BOB = {{2}}, NODE = {{100}}, OTHER_NODE = {{101}};

static struct loop *loop;
static struct hub *hubs[1];
static struct presence *presence;
static struct presence_worker *worker;
static struct {
    struct uuid user_id;
    bool is_here, is_elsewhere;
} news[NEWS_MAX];
static int news_count;

static void on_change(void *data, struct uuid user_id, bool is_here, bool is_elsewhere)
{
    (void)data;
    assert_true(news_count < NEWS_MAX);
    news[news_count].user_id = user_id;
    news[news_count].is_here = is_here;
    news[news_count++].is_elsewhere = is_elsewhere;
    if (!is_here) {
        loop_stop(loop);
    }
}

static int set_up(void **state)
{
    (void)state;
    news_count = 0;
    loop = loop_create();
    hubs[0] = hub_create(&(struct hub_options){.loop = loop, .hubs = hubs, .index = 0, .count = 1});
    presence = presence_create(GRACE_MS);
    worker = presence_watch(presence, loop, hubs[0], on_change, NULL);
    return worker == NULL;
}

static int tear_down(void **state)
{
    (void)state;
    presence_unwatch(worker);
    presence_destroy(presence);
    hub_destroy(hubs[0]);
    loop_destroy(loop);
    return 0;
}

static struct session *come(struct uuid user_id)
{
    struct session *session = calloc(1, sizeof *session);
    assert_non_null(session);
    session->user_id = user_id;
    assert_true(hub_join(hubs[0], session));
    return session;
}

static void go(struct session *session)
{
    hub_leave(session);
    free(session);
}

static void assert_news(int index, struct uuid user_id, bool is_here, bool is_elsewhere)
{
    assert_true(index < news_count);
    assert_true(uuid_equals(news[index].user_id, user_id));
    assert_int_equal(news[index].is_here, is_here);
    assert_int_equal(news[index].is_elsewhere, is_elsewhere);
}

static void test_the_first_and_the_last(void **state)
{
    (void)state;
    struct session *phone = come(ALICE), *laptop = come(ALICE);
    assert_int_equal(news_count, 1);
    assert_news(0, ALICE, true, false);
    go(phone);
    go(laptop);
    assert_true(presence_is_online(presence, ALICE)); /* for the grace time */
    loop_run(loop);
    assert_int_equal(news_count, 2);
    assert_news(1, ALICE, false, false);
    assert_false(presence_is_online(presence, ALICE));
}

/* Who is back in time has never been away: the farewell of the first visit ends nothing. */
static void test_back_in_time(void **state)
{
    (void)state;
    go(come(ALICE));
    struct session *again = come(ALICE);
    go(come(BOB)); /* whose farewell comes later */
    loop_run(loop);
    assert_int_equal(news_count, 3);
    assert_news(2, BOB, false, false);
    assert_true(presence_is_online(presence, ALICE));
    go(again);
}

static void test_elsewhere(void **state)
{
    (void)state;
    assert_true(presence_set_remote(presence, NODE, ALICE, true));
    assert_false(presence_set_remote(presence, NODE, ALICE, true)); /* said twice */
    assert_false(presence_set_remote(presence, OTHER_NODE, ALICE, true));
    assert_true(presence_is_online(presence, ALICE));
    assert_false(presence_is_here(presence, ALICE));
    struct session *session = come(ALICE);
    assert_news(0, ALICE, true, true);
    go(session);
    loop_run(loop);
    assert_news(1, ALICE, false, true);
    assert_false(presence_set_remote(presence, NODE, ALICE, false));
    assert_true(presence_set_remote(presence, OTHER_NODE, ALICE, false));
    assert_false(presence_is_online(presence, ALICE));
    assert_false(presence_set_remote(presence, OTHER_NODE, ALICE, false));
}

static void count_node(void *data, struct uuid node_id)
{
    (void)node_id;
    ++*(int *)data;
}

static void test_a_node_goes(void **state)
{
    (void)state;
    struct session *session = come(BOB);
    int nodes = 0;
    presence_set_remote(presence, NODE, ALICE, true);
    presence_set_remote(presence, NODE, BOB, true);
    presence_set_remote(presence, OTHER_NODE, ALICE, true);
    presence_for_each_node(presence, count_node, &nodes);
    assert_int_equal(nodes, 2);
    presence_forget_node(presence, NODE);
    assert_false(presence_knows_node(presence, NODE));
    assert_true(presence_is_online(presence, ALICE));
    assert_true(presence_is_online(presence, BOB));
    presence_forget_node(presence, OTHER_NODE);
    presence_forget_node(presence, OTHER_NODE);
    assert_false(presence_is_online(presence, ALICE));
    assert_true(presence_is_online(presence, BOB));
    go(session);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_the_first_and_the_last, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_back_in_time, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_elsewhere, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_node_goes, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
