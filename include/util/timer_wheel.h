/* A hierarchical timing wheel (Varghese & Lauck, 1987): timers embedded in their owners, started and stopped in O(1),
 * due to the millisecond. Ten levels of 64 slots reach TIMER_WHEEL_END_MS, so that none ever wraps around; the time to
 * the next timer is found by bit scans. One thread. */
#ifndef STONECHAT_UTIL_TIMER_WHEEL_H
#define STONECHAT_UTIL_TIMER_WHEEL_H

#include <stdbool.h>
#include <stdint.h>

enum { TIMER_WHEEL_LEVELS = 10, TIMER_WHEEL_SLOTS = 64 };

/* 36 million years: the wheel's time is below, and what is due later is due then. */
#define TIMER_WHEEL_END_MS ((1ull << 60) - 1)

struct timer {
    void (*on_fire)(struct timer *timer);
    /* private */
    struct timer *next, **link; /* `link` points at what points at this timer; NULL when not started */
    uint64_t due_ms;
    uint16_t slot; /* level * 64 + index */
};

struct timer_wheel {
    uint64_t now_ms;
    uint64_t occupied[TIMER_WHEEL_LEVELS]; /* a bit a slot */
    struct timer *slots[TIMER_WHEEL_LEVELS * TIMER_WHEEL_SLOTS];
};

void timer_wheel_init(struct timer_wheel *wheel, uint64_t now_ms);

/* Starts the timer, or moves it, to fire at `due_ms`, at the earliest one millisecond from the wheel's time. */
void timer_wheel_start(struct timer_wheel *wheel, struct timer *timer, uint64_t due_ms);
/* Nothing happens if it is not started. */
void timer_wheel_stop(struct timer_wheel *wheel, struct timer *timer);

/* Fires what is due up to `now_ms`, in order of time. Timers may be started and stopped inside the callbacks. */
void timer_wheel_advance(struct timer_wheel *wheel, uint64_t now_ms);

/* When the wheel wants to be advanced next (at or before the earliest timer), or UINT64_MAX without timers. */
uint64_t timer_wheel_next_ms(const struct timer_wheel *wheel);

#endif
