/* Calls that wait: which of them make a group, and which have to let others go first. */
#include "db/queue.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

static const struct db_statement WRITE = {"write", "uUtU", ""}, READ = {"read", "ut", ""};

enum { CALLS = 1000 };

static struct db_call calls[CALLS];
static struct queue queue;
static struct concerns held, own;

static int set_up(void **state)
{
    (void)state;
    queue = (struct queue){.last = &queue.first};
    held = own = (struct concerns){0};
    memset(calls, 0, sizeof calls);
    return 0;
}

/* Somebody; the same one for the same number. */
static struct uuid someone(int number)
{
    struct uuid id = {{0}};
    id.bytes[14] = (uint8_t)(number >> 8), id.bytes[15] = (uint8_t)number;
    return id;
}

/* A call that concerns one or two; 0 is nobody. */
static struct db_call *push(int index, const struct db_statement *statement, int one, int other)
{
    struct db_call *call = &calls[index];
    *call = (struct db_call){.statement = statement};
    call->values[0] = DB_UUID(someone(7777));
    call->values[1] = one > 0 ? DB_UUID(someone(one)) : DB_NULL;
    call->values[3] = other > 0 ? DB_UUID(someone(other)) : DB_NULL;
    queue_push(&queue, call);
    return call;
}

/* The group that is taken has exactly these, in this order; they end with -1. */
static void assert_group(int max, const int *expected)
{
    int count, i = 0;
    const struct db_call *call = queue_take_group(&queue, max, &held, &own, &count);
    for (; call != NULL; call = call->next, i++) {
        assert_int_equal(call - calls, expected[i]);
    }
    assert_int_equal(expected[i], -1);
    assert_int_equal(count, i);
}

#define ASSERT_GROUP(max, ...) assert_group(max, (const int[]){__VA_ARGS__, -1})
#define ASSERT_NO_GROUP() assert_group(64, (const int[]){-1})

static void test_a_run_of_one_statement(void **state)
{
    (void)state;
    for (int i = 0; i < 6; i++) {
        push(i, i == 3 ? &READ : &WRITE, i + 1, 0);
    }
    ASSERT_GROUP(2, 0, 1);
    ASSERT_GROUP(64, 2);
    ASSERT_GROUP(64, 3);
    ASSERT_GROUP(64, 4, 5);
    ASSERT_NO_GROUP();
    push(6, &WRITE, 1, 0);
    ASSERT_GROUP(64, 6);
}

/* On one connection the same person's calls go one behind the other, in one group or in several. */
static void test_what_one_sends_himself_holds_nobody(void **state)
{
    (void)state;
    push(0, &WRITE, 1, 2);
    push(1, &WRITE, 2, 1);
    push(2, &WRITE, 1, 2);
    ASSERT_GROUP(2, 0, 1);
    ASSERT_GROUP(2, 2);
    assert_true(concerns_have(&own, &calls[0]));
}

/* Who is held keeps those behind from overtaking, whomever of the two they concern, and nobody else. */
static void test_order(void **state)
{
    (void)state;
    concerns_add(&held, push(0, &WRITE, 1, 0)); /* as if one of 1's were under way */
    push(1, &WRITE, 2, 1);
    push(2, &WRITE, 3, 4);
    push(3, &WRITE, 0, 2);
    push(4, &WRITE, 5, 2);
    push(5, &WRITE, 5, 6);
    push(6, &WRITE, 4, 3);
    push(7, &READ, 0, 0);
    ASSERT_GROUP(64, 2, 6);
    ASSERT_GROUP(64, 7);
    ASSERT_NO_GROUP();
    push(8, &WRITE, 9, 0); /* behind the last of those that wait */
    ASSERT_GROUP(64, 8);
    held = (struct concerns){0};
    ASSERT_GROUP(64, 0, 1, 3, 4, 5);
}

/* The last one is taken, and others wait before it. */
static void test_the_end_of_the_queue(void **state)
{
    (void)state;
    concerns_add(&held, push(0, &WRITE, 1, 0));
    push(1, &WRITE, 2, 0);
    ASSERT_GROUP(64, 1);
    push(2, &WRITE, 3, 0);
    ASSERT_GROUP(64, 2);
    int count;
    assert_ptr_equal(queue_take_all(&queue, &count), &calls[0]);
    assert_int_equal(count, 1);
    push(3, &WRITE, 3, 0);
    queue_push_front(&queue, &calls[2]);
    ASSERT_GROUP(64, 2, 3);
    queue_push_front(&queue, &calls[1]);
    push(4, &WRITE, 4, 0);
    ASSERT_GROUP(64, 1, 4);
}

/* However long the queue is, a turn ends. */
static void test_a_long_queue_of_one_conversation(void **state)
{
    (void)state;
    for (int i = 0; i < CALLS - 1; i++) {
        push(i, &WRITE, 1, 2);
    }
    push(CALLS - 1, &WRITE, 3, 4);
    concerns_add(&held, &calls[0]);
    ASSERT_NO_GROUP();
    held = (struct concerns){0};
    int count;
    queue_take_group(&queue, 600, &held, &own, &count);
    assert_in_range(count, 64, 600);
    queue_take_all(&queue, &count);
    assert_in_range(count, CALLS - 600, CALLS);
}

static void test_sets(void **state)
{
    (void)state;
    struct concerns others = {0};
    concerns_add(&others, push(0, &WRITE, 1, 0));
    push(1, &WRITE, 0, 1);
    push(2, &WRITE, 2, 0);
    push(3, &READ, 1, 1);
    push(4, &WRITE, 0, 0);
    assert_false(concerns_have(&held, &calls[1]));
    concerns_add_all(&held, &others);
    assert_true(concerns_have(&held, &calls[1]));
    for (int i = 2; i < 5; i++) {
        assert_false(concerns_have(&held, &calls[i]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_a_run_of_one_statement, set_up),
        cmocka_unit_test_setup(test_what_one_sends_himself_holds_nobody, set_up),
        cmocka_unit_test_setup(test_order, set_up),
        cmocka_unit_test_setup(test_the_end_of_the_queue, set_up),
        cmocka_unit_test_setup(test_a_long_queue_of_one_conversation, set_up),
        cmocka_unit_test_setup(test_sets, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
