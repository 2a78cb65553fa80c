#include "loop/loop.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "loop/h2o_loop.h"
#include "util/clock.h"
#include "util/log.h"

/* A turn: libh2o waits for descriptors and calls back, then come the timers that are due, then what was put off, until
 * nothing is left to do before the next sleep. Tasks from other threads arrive through an eventfd.
 *
 * Timers and what was put off run as a callback of a libh2o timeout. libh2o wants every write to be made inside a
 * callback of its own: it looks afterwards which writes are done already, and tells their makers before it sleeps. A
 * write made outside is told only after the next event, and one that had to wait before can abort the process
 * (evloop.c, write_pending). */

enum { SLEEP_MAX_MS = 3600 * 1000, TELL_EVERY_MS = 10000 };

struct loop {
    h2o_evloop_t *h2o;
    h2o_timeout_t at_once; /* the timeout of `turn`: none */
    h2o_timeout_entry_t turn;
    bool is_ending; /* no timers any more */
    struct timer_wheel wheel;
    uint64_t now_ms;  /* 0: not read yet in this turn */
    uint64_t wall_ms; /* libh2o's own time, of the last turn */
    struct loop_deferred *deferred, **deferred_tail;
    struct loop_watch *wake;
    int wake_fd;
    _Atomic(struct loop_task *) tasks; /* newest first */
    atomic_bool is_stopping;
    _Atomic(pthread_t) thread;
    atomic_bool has_thread;
    int64_t refused; /* descriptors, by the kernel */
    uint64_t told_ms;
};

struct loop_watch {
    h2o_socket_t *socket;
    void (*on_readable)(void *data);
    void (*on_writable)(void *data);
    void *data;
};

static void run_tasks(struct loop *loop)
{
    struct loop_task *newest = atomic_exchange(&loop->tasks, NULL), *oldest = NULL;
    while (newest != NULL) {
        struct loop_task *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    while (oldest != NULL) {
        struct loop_task *task = oldest;
        oldest = oldest->next;
        task->run(task);
    }
}

static void on_wake(void *data)
{
    struct loop *loop = data;
    uint64_t count;
    if (read(loop->wake_fd, &count, sizeof count) < 0) {
        assert(errno == EAGAIN || errno == EINTR);
    }
    run_tasks(loop);
}

static void run_deferred(struct loop *loop)
{
    while (loop->deferred != NULL) {
        struct loop_deferred *deferred = loop->deferred;
        loop->deferred = deferred->next;
        if (loop->deferred == NULL) {
            loop->deferred_tail = &loop->deferred;
        }
        deferred->queued = false;
        deferred->run(deferred);
    }
}

static void on_turn(h2o_timeout_entry_t *entry)
{
    struct loop *loop = H2O_STRUCT_FROM_MEMBER(struct loop, turn, entry);
    if (!loop->is_ending) {
        timer_wheel_advance(&loop->wheel, loop->now_ms);
    }
    run_deferred(loop);
}

/* The timers that are due and what was put off, then the callbacks of libh2o that follow from it. These may put off
 * more. */
static void run_turn(struct loop *loop)
{
    h2o_timeout_link(loop->h2o, &loop->at_once, &loop->turn);
    h2o_timeout_run(loop->h2o, &loop->at_once, h2o_now(loop->h2o));
}

struct loop *loop_create(void)
{
    struct loop *loop = calloc(1, sizeof *loop);
    if (loop == NULL) {
        return NULL;
    }
    loop->deferred_tail = &loop->deferred;
    timer_wheel_init(&loop->wheel, clock_now_ms());
    loop->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (loop->wake_fd < 0) {
        free(loop);
        return NULL;
    }
    loop->h2o = h2o_evloop_create();
    h2o_timeout_init(loop->h2o, &loop->at_once, 0);
    loop->turn.cb = on_turn;
    loop->wake = loop_watch_create(loop, loop->wake_fd, on_wake, loop);
    if (loop->wake == NULL) {
        loop_destroy(loop);
        return NULL;
    }
    return loop;
}

bool loop_settle(struct loop *loop)
{
    bool has_run = false;
    atomic_store(&loop->has_thread, false);
    loop->is_ending = true;
    while (atomic_load(&loop->tasks) != NULL || loop->deferred != NULL) {
        has_run = true;
        run_tasks(loop);
        run_turn(loop);
    }
    return has_run;
}

void loop_destroy(struct loop *loop)
{
    if (loop == NULL) {
        return;
    }
    loop_settle(loop);
    loop_watch_destroy(loop->wake);
    close(loop->wake_fd);
    h2o_evloop_run(loop->h2o, 0); /* closed sockets are freed in the turn after */
    h2o_timeout_dispose(loop->h2o, &loop->at_once);
    h2o_evloop_destroy(loop->h2o);
    free(loop);
}

/* Until the next timer. Not at all when sockets were written to by timers or by what was put off: libh2o would see to
 * their completions only after its sleep. */
static int32_t sleep_ms(const struct loop *loop)
{
    uint64_t next_ms = timer_wheel_next_ms(&loop->wheel), now_ms = loop->wheel.now_ms;
    if (loop->deferred != NULL || next_ms <= now_ms) {
        return 0;
    }
    return (int32_t)(next_ms - now_ms < SLEEP_MAX_MS ? next_ms - now_ms : SLEEP_MAX_MS);
}

/* A kernel that watches no more descriptors (ENOSPC, ENOMEM) refuses one, and libh2o gives up in the middle of its list
 * of sockets to look at. When that was the last of them, the end of the list stays where it was, so that what is added
 * before the next look would never be found. */
static void proceed(struct loop *loop, int32_t wait_ms)
{
    h2o_evloop_t *h2o = loop->h2o;
    if (h2o_evloop_run(h2o, wait_ms) == 0 || errno == EINTR) {
        return;
    }
    uint64_t now_ms = clock_now_ms();
    if (h2o->_statechanged.head == NULL) {
        h2o->_statechanged.tail_ref = &h2o->_statechanged.head;
    }
    if (loop->refused++ == 0 || now_ms - loop->told_ms >= TELL_EVERY_MS) {
        loop->told_ms = now_ms;
        log_write(LOG_ERROR, "a descriptor cannot be watched: raise fs.epoll.max_user_watches, or give more memory",
                  LOG_STR("reason", strerror(errno)), LOG_INT("refused", loop->refused));
    }
}

/* libh2o's timeouts go by the wall clock, each list from its oldest entry on. When the clock was put back, what began
 * before would wait until it is there again, and so would all behind it: it begins now. */
static void follow_clock(struct loop *loop)
{
    h2o_evloop_t *h2o = loop->h2o;
    uint64_t before_ms = loop->wall_ms, now_ms = loop->wall_ms = h2o_now(h2o);
    if (now_ms >= before_ms) {
        return;
    }
    for (h2o_linklist_t *list = h2o->_timeouts.next; list != &h2o->_timeouts; list = list->next) {
        h2o_linklist_t *entries = &H2O_STRUCT_FROM_MEMBER(h2o_timeout_t, _link, list)->_entries;
        for (h2o_linklist_t *link = entries->next; link != entries; link = link->next) {
            h2o_timeout_entry_t *entry = H2O_STRUCT_FROM_MEMBER(h2o_timeout_entry_t, _link, link);
            entry->registered_at = entry->registered_at > now_ms ? now_ms : entry->registered_at;
        }
    }
}

void loop_run(struct loop *loop)
{
    atomic_store(&loop->thread, pthread_self());
    atomic_store(&loop->has_thread, true);
    while (!atomic_load(&loop->is_stopping)) {
        loop->now_ms = clock_now_ms();
        run_turn(loop);
        int32_t wait_ms = sleep_ms(loop);
        loop->now_ms = 0; /* it will be later when libh2o calls back */
        proceed(loop, wait_ms);
        follow_clock(loop);
    }
}

static void wake(struct loop *loop)
{
    uint64_t one = 1;
    while (write(loop->wake_fd, &one, sizeof one) < 0 && errno != EAGAIN) { /* EAGAIN: it is woken as it is */
        assert(errno == EINTR);
    }
}

void loop_stop(struct loop *loop)
{
    atomic_store(&loop->is_stopping, true);
    wake(loop);
}

h2o_loop_t *loop_h2o(struct loop *loop)
{
    return loop->h2o;
}

bool loop_is_current(const struct loop *loop)
{
    return !atomic_load(&loop->has_thread) || pthread_equal(atomic_load(&loop->thread), pthread_self());
}

uint64_t loop_now_ms(struct loop *loop)
{
    if (loop->now_ms == 0) {
        loop->now_ms = clock_now_ms();
    }
    return loop->now_ms;
}

void loop_timer_start(struct loop *loop, struct timer *timer, uint64_t delay_ms)
{
    timer_wheel_start(&loop->wheel, timer, clock_now_ms() + delay_ms);
}

void loop_timer_stop(struct loop *loop, struct timer *timer)
{
    timer_wheel_stop(&loop->wheel, timer);
}

void loop_post(struct loop *loop, struct loop_task *task)
{
    struct loop_task *newest = atomic_load(&loop->tasks);
    do {
        task->next = newest;
    } while (!atomic_compare_exchange_weak(&loop->tasks, &newest, task));
    if (newest == NULL) {
        wake(loop);
    }
}

void loop_defer(struct loop *loop, struct loop_deferred *deferred)
{
    if (deferred->queued) {
        return;
    }
    deferred->queued = true;
    deferred->next = NULL;
    *loop->deferred_tail = deferred;
    loop->deferred_tail = &deferred->next;
}

void loop_defer_cancel(struct loop *loop, struct loop_deferred *deferred)
{
    if (!deferred->queued) {
        return;
    }
    struct loop_deferred **link = &loop->deferred;
    while (*link != deferred) {
        link = &(*link)->next;
    }
    *link = deferred->next;
    if (*link == NULL) {
        loop->deferred_tail = link;
    }
    deferred->queued = false;
}

static void watch_on_read(h2o_socket_t *socket, const char *error)
{
    (void)error; /* the owner of the descriptor meets the error itself */
    struct loop_watch *watch = socket->data;
    watch->on_readable(watch->data);
}

struct loop_watch *loop_watch_create(struct loop *loop, int fd, void (*on_readable)(void *data), void *data)
{
    struct loop_watch *watch = calloc(1, sizeof *watch);
    int own_fd = fcntl(fd, F_DUPFD_CLOEXEC, 0); /* a descriptor closed behind libh2o's back would break its loop */
    if (watch == NULL || own_fd < 0) {
        free(watch);
        if (own_fd >= 0) {
            close(own_fd);
        }
        return NULL;
    }
    watch->on_readable = on_readable;
    watch->data = data;
    watch->socket = h2o_evloop_socket_create(loop->h2o, own_fd, H2O_SOCKET_FLAG_DONT_READ);
    watch->socket->data = watch;
    h2o_socket_read_start(watch->socket, watch_on_read);
    return watch;
}

static void watch_on_write(h2o_socket_t *socket, const char *error)
{
    (void)error;
    struct loop_watch *watch = socket->data;
    void (*on_writable)(void *) = watch->on_writable;
    watch->on_writable = NULL;
    on_writable(watch->data);
}

void loop_watch_writable(struct loop_watch *watch, void (*on_writable)(void *data))
{
    if (watch->on_writable == NULL) {
        h2o_socket_notify_write(watch->socket, watch_on_write);
    }
    watch->on_writable = on_writable;
}

void loop_watch_destroy(struct loop_watch *watch)
{
    if (watch == NULL) {
        return;
    }
    h2o_socket_close(watch->socket);
    free(watch);
}
