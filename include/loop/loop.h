/* The event loop as the rest of the program sees it: timers, watched file descriptors, tasks from other threads, and
 * things put off to the end of the turn. One loop a thread; everything here but loop_post belongs to the loop's thread.
 */
#ifndef STONECHAT_LOOP_LOOP_H
#define STONECHAT_LOOP_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "util/timer_wheel.h"

struct loop;

/* NULL without memory. Created and destroyed by the thread that starts and joins the loop's thread. */
struct loop *loop_create(void);
void loop_destroy(struct loop *loop);

/* Runs turns until loop_stop. */
void loop_run(struct loop *loop);
/* Ends loop_run after this turn. Any thread. */
void loop_stop(struct loop *loop);
/* When loop_run has returned for good: runs the tasks that were posted since, and what was put off, but no timers. True
 * when there was something: it may have posted to other loops. On any one thread. */
bool loop_settle(struct loop *loop);

/* True on the thread that runs the loop (and before any thread runs it). */
bool loop_is_current(const struct loop *loop);

/* Milliseconds of a clock that never goes back, read once a turn. */
uint64_t loop_now_ms(struct loop *loop);

/* --- timers: one-shot, embedded in their owner (util/timer_wheel.h) --- */

/* Starts the timer, or moves it. It never fires inside this call. `on_fire` must be set. */
void loop_timer_start(struct loop *loop, struct timer *timer, uint64_t delay_ms);
/* Nothing happens if it is not started. */
void loop_timer_stop(struct loop *loop, struct timer *timer);

/* --- tasks: from any thread to the loop's --- */
struct loop_task {
    void (*run)(struct loop_task *task);
    struct loop_task *next; /* private */
};

/* Runs `task` on the loop's thread in a later turn; tasks from one thread run in the order of posting. The loop owns
 * the task until it runs; `run` may free it. Tasks still waiting when the loop is destroyed are run then. Any thread.
 */
void loop_post(struct loop *loop, struct loop_task *task);

/* --- put off to the end of this turn (or the next, when called between turns) --- */
struct loop_deferred {
    void (*run)(struct loop_deferred *deferred);
    struct loop_deferred *next; /* private */
    bool queued;                /* private */
};

/* Runs it once, before the loop sleeps; queueing what is queued already changes nothing. */
void loop_defer(struct loop *loop, struct loop_deferred *deferred);
/* Takes it out of the queue again, as before it is freed. Nothing happens if it is not queued. */
void loop_defer_cancel(struct loop *loop, struct loop_deferred *deferred);

/* --- watched file descriptors (libpq, hiredis, signalfd): the descriptor is duplicated, the caller keeps its own ---
 */
struct loop_watch;

/* `on_readable` is called each time there is something to read. NULL without memory or descriptors. */
struct loop_watch *loop_watch_create(struct loop *loop, int fd, void (*on_readable)(void *data), void *data);
/* Calls `on_writable` once, when the descriptor can be written. */
void loop_watch_writable(struct loop_watch *watch, void (*on_writable)(void *data));
void loop_watch_destroy(struct loop_watch *watch);

#endif
