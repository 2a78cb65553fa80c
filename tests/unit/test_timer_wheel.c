/* The timer wheel against a model that looks at every timer: what fires, when, and in which order; cascades through all
 * levels; timers started, stopped and moved inside callbacks. */
#include "util/timer_wheel.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "support/prng.h"

enum { TIMERS = 200 };

struct entry {
    struct timer timer; /* first: a timer is its entry */
    uint64_t due_ms;
    bool is_started;
    int fired;
    struct entry *victim; /* stopped when this one fires */
    uint64_t again_ms;    /* started again so much later; 0: not */
};

static struct timer_wheel wheel;
static struct entry entries[TIMERS];
static uint64_t last_due_ms, fired;

/* Nothing that was due earlier is left behind, and times only grow. */
static void on_fire(struct timer *timer)
{
    struct entry *entry = (struct entry *)timer;
    assert_true(entry->is_started);
    assert_int_equal(wheel.now_ms, entry->due_ms);
    assert_true(entry->due_ms >= last_due_ms);
    last_due_ms = entry->due_ms;
    entry->is_started = false;
    entry->fired++;
    fired++;
    if (entry->victim != NULL) {
        timer_wheel_stop(&wheel, &entry->victim->timer);
        entry->victim->is_started = false;
    }
    if (entry->again_ms > 0) {
        entry->due_ms = wheel.now_ms + entry->again_ms;
        entry->is_started = true;
        timer_wheel_start(&wheel, &entry->timer, entry->due_ms);
    }
}

static int reset(void **state)
{
    (void)state;
    memset(entries, 0, sizeof entries);
    for (int i = 0; i < TIMERS; i++) {
        entries[i].timer.on_fire = on_fire;
    }
    last_due_ms = fired = 0;
    return 0;
}

static void start(struct entry *entry, uint64_t due_ms)
{
    entry->due_ms = due_ms > wheel.now_ms ? due_ms : wheel.now_ms + 1;
    entry->is_started = true;
    timer_wheel_start(&wheel, &entry->timer, due_ms);
}

static uint64_t earliest(void)
{
    uint64_t due_ms = UINT64_MAX;
    for (int i = 0; i < TIMERS; i++) {
        if (entries[i].is_started && entries[i].due_ms < due_ms) {
            due_ms = entries[i].due_ms;
        }
    }
    return due_ms;
}

/* After each step the wheel agrees with the model. */
static void check(void)
{
    uint64_t due_ms = earliest(), next_ms = timer_wheel_next_ms(&wheel);
    if (due_ms == UINT64_MAX) {
        assert_true(next_ms == UINT64_MAX);
    } else {
        assert_true(next_ms <= due_ms);
        assert_true(due_ms > wheel.now_ms);
    }
    for (int i = 0; i < TIMERS; i++) {
        assert_int_equal(entries[i].timer.link != NULL, entries[i].is_started);
    }
}

/* A delay of any order of magnitude, up to years. */
static uint64_t random_delay(struct prng *prng)
{
    return prng_below(prng, 1ull << prng_below(prng, 42));
}

static void test_against_a_model(void **state)
{
    (void)state;
    struct prng prng = prng_init(1);
    for (int round = 0; round < 20; round++) {
        reset(NULL);
        timer_wheel_init(&wheel, prng_below(&prng, 1ull << 45));
        last_due_ms = 0;
        for (int step = 0; step < 2000; step++) {
            struct entry *entry = &entries[prng_below(&prng, TIMERS)];
            switch (prng_below(&prng, 8)) {
            case 0:
                timer_wheel_stop(&wheel, &entry->timer);
                entry->is_started = false;
                break;
            case 1:
            case 2: {
                uint64_t delay_ms = random_delay(&prng), next_ms = timer_wheel_next_ms(&wheel);
                uint64_t to_ms = step % 3 == 0 && next_ms != UINT64_MAX ? next_ms : wheel.now_ms + delay_ms;
                timer_wheel_advance(&wheel, to_ms);
                assert_true(wheel.now_ms >= to_ms);
                assert_true(earliest() > to_ms);
                break;
            }
            default:
                entry->again_ms = prng_below(&prng, 4) == 0 ? 1ull << 40 : 0;
                start(entry, wheel.now_ms + random_delay(&prng));
                break;
            }
            check();
        }
    }
    assert_true(fired > 1000);
}

/* One timer just before, on and after each border between levels: each fires at its very millisecond. */
static void test_cascades(void **state)
{
    (void)state;
    timer_wheel_init(&wheel, 12345);
    int count = 0;
    for (int level = 3; level < TIMER_WHEEL_LEVELS; level++) {
        for (int64_t offset = -1; offset <= 1; offset++) {
            start(&entries[count++], (uint64_t)((int64_t)(1ull << (6 * level)) + offset));
        }
    }
    int advances = 0;
    while (timer_wheel_next_ms(&wheel) != UINT64_MAX) {
        uint64_t next_ms = timer_wheel_next_ms(&wheel);
        timer_wheel_advance(&wheel, next_ms);
        check();
        assert_true(++advances < 1000);
    }
    for (int i = 0; i < count; i++) {
        assert_int_equal(entries[i].fired, 1);
    }
}

/* After years of uptime the highest bits change too. */
static void test_no_border_is_the_last(void **state)
{
    (void)state;
    for (int bit = 30; bit < 59; bit++) {
        reset(NULL);
        timer_wheel_init(&wheel, (1ull << bit) - 5);
        start(&entries[0], (1ull << bit) + 5);
        start(&entries[1], UINT64_MAX);
        entries[1].due_ms = TIMER_WHEEL_END_MS;
        timer_wheel_advance(&wheel, (1ull << bit) + 4);
        assert_int_equal(entries[0].fired, 0);
        timer_wheel_advance(&wheel, (1ull << bit) + 5);
        assert_int_equal(entries[0].fired, 1);
        check();
    }
}

static void test_never_inside_start(void **state)
{
    (void)state;
    timer_wheel_init(&wheel, 1000);
    start(&entries[0], 0);
    start(&entries[1], 1000);
    assert_int_equal(fired, 0);
    timer_wheel_advance(&wheel, 1000);
    assert_int_equal(fired, 0);
    timer_wheel_advance(&wheel, 1001);
    assert_int_equal(fired, 2);
    timer_wheel_advance(&wheel, 500); /* time does not go back */
    assert_int_equal(wheel.now_ms, 1001);
}

/* Of two that are due at once the first to fire stops the other, wherever it stands in the slot. */
static void test_stop_in_a_callback(void **state)
{
    (void)state;
    timer_wheel_init(&wheel, 0);
    for (int i = 0; i < 10; i++) {
        entries[i].victim = &entries[i ^ 1];
        start(&entries[i], 70);
    }
    timer_wheel_advance(&wheel, 100);
    for (int i = 0; i < 10; i += 2) {
        assert_int_equal(entries[i].fired + entries[i + 1].fired, 1);
    }
    assert_true(timer_wheel_next_ms(&wheel) == UINT64_MAX);
}

/* A timer that starts itself again fires each time it is due, also when the wheel was not looked at for long. */
static void test_start_in_a_callback(void **state)
{
    (void)state;
    timer_wheel_init(&wheel, 5);
    entries[0].again_ms = 10;
    entries[1].again_ms = 64;
    start(&entries[0], 15);
    start(&entries[1], 69);
    timer_wheel_advance(&wheel, 6405);
    assert_int_equal(entries[0].fired, 640);
    assert_int_equal(entries[1].fired, 100);
    timer_wheel_stop(&wheel, &entries[0].timer);
    timer_wheel_stop(&wheel, &entries[1].timer);
    timer_wheel_stop(&wheel, &entries[1].timer);
    assert_true(timer_wheel_next_ms(&wheel) == UINT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_against_a_model, reset),
        cmocka_unit_test_setup(test_cascades, reset),
        cmocka_unit_test_setup(test_no_border_is_the_last, reset),
        cmocka_unit_test_setup(test_never_inside_start, reset),
        cmocka_unit_test_setup(test_stop_in_a_callback, reset),
        cmocka_unit_test_setup(test_start_in_a_callback, reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
