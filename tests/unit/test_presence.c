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

/* True when that changes whether she or he is online. */
static bool say(struct uuid node, struct uuid user, bool is_there)
{
    return presence_set_remote(presence, node, user, is_there, 1000).has_changed;
}

static void test_elsewhere(void **state)
{
    (void)state;
    assert_true(say(NODE, ALICE, true));
    assert_false(say(NODE, ALICE, true)); /* said twice */
    assert_false(say(OTHER_NODE, ALICE, true));
    assert_true(presence_is_online(presence, ALICE));
    assert_false(presence_is_here(presence, ALICE));
    struct session *session = come(ALICE);
    assert_news(0, ALICE, true, true);
    go(session);
    loop_run(loop);
    assert_news(1, ALICE, false, true);
    assert_false(say(NODE, ALICE, false));
    assert_true(say(OTHER_NODE, ALICE, false));
    assert_false(presence_is_online(presence, ALICE));
    assert_false(say(OTHER_NODE, ALICE, false));
}

/* Whoever left while others held him was told to nobody; whoever is back, or never was here, needs no telling. */
static void test_left_untold(void **state)
{
    (void)state;
    say(NODE, ALICE, true);
    say(NODE, BOB, true);
    say(OTHER_NODE, ALICE, true);
    go(come(ALICE));
    loop_run(loop);
    assert_news(1, ALICE, false, true);
    assert_false(presence_set_remote(presence, OTHER_NODE, ALICE, false, 1000).has_left_untold); /* NODE has her */
    assert_true(presence_set_remote(presence, NODE, ALICE, false, 1000).has_left_untold);
    assert_false(presence_set_remote(presence, NODE, ALICE, false, 1000).has_left_untold);
    assert_false(presence_set_remote(presence, NODE, BOB, false, 1000).has_left_untold);
}

static void test_back_before_the_others_leave(void **state)
{
    (void)state;
    say(NODE, ALICE, true);
    go(come(ALICE));
    loop_run(loop);
    struct session *session = come(ALICE);
    struct presence_change change = presence_set_remote(presence, NODE, ALICE, false, 1000);
    assert_false(change.has_changed);
    assert_false(change.has_left_untold);
    go(session);
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
    say(NODE, ALICE, true);
    say(NODE, BOB, true);
    say(OTHER_NODE, ALICE, true);
    presence_for_each_node(presence, count_node, &nodes);
    assert_int_equal(nodes, 2);
    presence_forget_node(presence, NODE, NULL, NULL);
    assert_false(presence_knows_node(presence, NODE));
    assert_true(presence_is_online(presence, ALICE));
    assert_true(presence_is_online(presence, BOB));
    presence_forget_node(presence, OTHER_NODE, NULL, NULL);
    presence_forget_node(presence, OTHER_NODE, NULL, NULL);
    assert_false(presence_is_online(presence, ALICE));
    assert_true(presence_is_online(presence, BOB));
    go(session);
}

static struct uuid silent;

static void on_silent(void *data, struct uuid node_id)
{
    ++*(int *)data;
    silent = node_id;
    presence_forget_node(presence, node_id, NULL, NULL);
}

static void note_untold(void *data, struct uuid user_id)
{
    assert_true(uuid_equals(user_id, ALICE));
    ++*(int *)data;
}

/* The others say nothing of them any more, or are silent themselves. */
static void test_left_untold_and_lost(void **state)
{
    (void)state;
    static const struct presence_losses losses = {on_silent, note_untold};
    int count = 0;
    say(NODE, ALICE, true);
    say(NODE, BOB, true);
    go(come(ALICE));
    loop_run(loop);
    assert_true(presence_add_node(presence, NODE, 2000));
    presence_sweep(presence, 2000, &losses, &count);
    assert_int_equal(count, 1);
    assert_false(presence_is_online(presence, BOB));
}

static void test_left_untold_to_a_node_that_is_forgotten(void **state)
{
    (void)state;
    int count = 0;
    say(NODE, ALICE, true);
    say(NODE, BOB, true);
    go(come(ALICE));
    loop_run(loop);
    presence_forget_node(presence, NODE, note_untold, &count);
    assert_int_equal(count, 1);
}

static void test_what_is_not_said_again(void **state)
{
    (void)state;
    enum { CROWD = 1000 };
    struct uuid crowd[CROWD];
    static const struct presence_losses losses = {on_silent, note_untold};
    int silent_count = 0;
    for (int i = 0; i < CROWD; i++) {
        crowd[i] = uuid_generate();
        presence_set_remote(presence, NODE, crowd[i], true, 1000);
    }
    presence_set_remote(presence, OTHER_NODE, BOB, true, 1000);
    for (int i = 0; i < CROWD; i += 3) {
        presence_set_remote(presence, NODE, crowd[i], true, 2000);
    }
    presence_sweep(presence, 1000, &losses, &silent_count); /* all was said since */
    assert_int_equal(silent_count, 0);
    presence_sweep(presence, 1001, &losses, &silent_count);
    for (int i = 0; i < CROWD; i++) {
        assert_int_equal(presence_is_online(presence, crowd[i]), i % 3 == 0);
    }
    assert_int_equal(silent_count, 1);
    assert_true(uuid_equals(silent, OTHER_NODE));
    assert_false(presence_knows_node(presence, OTHER_NODE));
    assert_true(presence_add_node(presence, NODE, 3000)); /* is there, and holds nobody of them */
    presence_sweep(presence, 3000, &losses, &silent_count);
    assert_int_equal(silent_count, 1);
    assert_false(presence_is_online(presence, crowd[0]));
    assert_true(presence_knows_node(presence, NODE));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_the_first_and_the_last, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_back_in_time, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_elsewhere, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_left_untold, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_back_before_the_others_leave, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_node_goes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_left_untold_and_lost, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_left_untold_to_a_node_that_is_forgotten, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_is_not_said_again, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
