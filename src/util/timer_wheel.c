#include "util/timer_wheel.h"

#include <assert.h>
#include <string.h>

/* A timer sits on the level of the highest bit in which its time differs from the wheel's, so all timers of a lower
 * level are due before any of a higher one, and a slot of a higher level is spread over lower ones when its time
 * begins. */

enum { BITS = 6, SLOT_NONE = TIMER_WHEEL_LEVELS * TIMER_WHEEL_SLOTS };

void timer_wheel_init(struct timer_wheel *wheel, uint64_t now_ms)
{
    memset(wheel, 0, sizeof *wheel);
    wheel->now_ms = now_ms;
}

static void push(struct timer **head, struct timer *timer)
{
    timer->next = *head;
    if (timer->next != NULL) {
        timer->next->link = &timer->next;
    }
    timer->link = head;
    *head = timer;
}

static void insert(struct timer_wheel *wheel, struct timer *timer)
{
    uint64_t difference = wheel->now_ms ^ timer->due_ms;
    int level = difference == 0 ? 0 : (63 - __builtin_clzll(difference)) / BITS;
    int index = (int)(timer->due_ms >> (BITS * level)) & (TIMER_WHEEL_SLOTS - 1);
    timer->slot = (uint16_t)(level * TIMER_WHEEL_SLOTS + index);
    wheel->occupied[level] |= 1ull << index;
    push(&wheel->slots[timer->slot], timer);
}

void timer_wheel_stop(struct timer_wheel *wheel, struct timer *timer)
{
    if (timer->link == NULL) {
        return;
    }
    *timer->link = timer->next;
    if (timer->next != NULL) {
        timer->next->link = timer->link;
    }
    timer->link = NULL;
    if (timer->slot != SLOT_NONE && wheel->slots[timer->slot] == NULL) {
        wheel->occupied[timer->slot / TIMER_WHEEL_SLOTS] &= ~(1ull << (timer->slot % TIMER_WHEEL_SLOTS));
    }
}

void timer_wheel_start(struct timer_wheel *wheel, struct timer *timer, uint64_t due_ms)
{
    assert(timer->on_fire != NULL);
    timer_wheel_stop(wheel, timer);
    timer->due_ms = due_ms > wheel->now_ms ? due_ms : wheel->now_ms + 1;
    if (timer->due_ms > TIMER_WHEEL_END_MS) {
        timer->due_ms = TIMER_WHEEL_END_MS;
    }
    insert(wheel, timer);
}

/* The earliest occupied slot and the time at which it begins; UINT64_MAX without one. */
static uint64_t first_slot(const struct timer_wheel *wheel, int *ret_level, int *ret_index)
{
    for (int level = 0; level < TIMER_WHEEL_LEVELS; level++) {
        if (wheel->occupied[level] == 0) {
            continue;
        }
        int shift = BITS * level;
        int index = __builtin_ctzll(wheel->occupied[level]);
        *ret_level = level;
        *ret_index = index;
        return (wheel->now_ms >> (shift + BITS) << (shift + BITS)) | ((uint64_t)index << shift);
    }
    return UINT64_MAX;
}

uint64_t timer_wheel_next_ms(const struct timer_wheel *wheel)
{
    int level, index;
    return first_slot(wheel, &level, &index);
}

/* Takes the timers of a slot out of the wheel and fires them, or files them anew one level down. */
static void open_slot(struct timer_wheel *wheel, int level, int index)
{
    struct timer **slot = &wheel->slots[level * TIMER_WHEEL_SLOTS + index];
    struct timer *taken = *slot;
    *slot = NULL;
    wheel->occupied[level] &= ~(1ull << index);
    if (taken != NULL) {
        taken->link = &taken;
    }
    for (struct timer *timer = taken; timer != NULL; timer = timer->next) {
        timer->slot = SLOT_NONE;
    }
    while (taken != NULL) {
        struct timer *timer = taken;
        timer_wheel_stop(wheel, timer); /* callbacks may stop the others: the list stays theirs */
        if (timer->due_ms <= wheel->now_ms) {
            timer->on_fire(timer);
        } else {
            insert(wheel, timer);
        }
    }
}

void timer_wheel_advance(struct timer_wheel *wheel, uint64_t now_ms)
{
    for (;;) {
        int level = 0, index = 0;
        uint64_t start_ms = first_slot(wheel, &level, &index);
        if (start_ms > now_ms) {
            break;
        }
        if (start_ms > wheel->now_ms) {
            wheel->now_ms = start_ms;
        }
        open_slot(wheel, level, index);
    }
    if (now_ms > wheel->now_ms) {
        wheel->now_ms = now_ms;
    }
}
