/* The event loop: tasks from other threads in order and without loss, timers, what is put off to the end of the turn,
 * watched descriptors, and that nothing waits for an unrelated event. */
#include "loop/loop.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static struct loop *loop;

static uint64_t clock_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void pause_ms(long milliseconds)
{
    struct timespec time = {milliseconds / 1000, milliseconds % 1000 * 1000000};
    nanosleep(&time, NULL);
}

static int create(void **state)
{
    (void)state;
    loop = loop_create();
    return loop == NULL;
}

static int destroy(void **state)
{
    (void)state;
    loop_destroy(loop);
    return 0;
}

/* --- tasks --- */

enum { THREADS = 4, TASKS = 20000 };

struct numbered {
    struct loop_task task;
    int thread, number;
};

static struct numbered *numbered;
static int next_number[THREADS], tasks_run;

static void run_numbered(struct loop_task *task)
{
    struct numbered *self = (struct numbered *)task;
    assert_true(loop_is_current(loop));
    assert_int_equal(self->number, next_number[self->thread]++);
    if (++tasks_run == THREADS * TASKS) {
        loop_stop(loop);
    }
}

static void *post_many(void *data)
{
    struct numbered *tasks = data;
    for (int i = 0; i < TASKS; i++) {
        loop_post(loop, &tasks[i].task);
        if (i % 1000 == 0) {
            pause_ms(1); /* so that the loop falls asleep now and then */
        }
    }
    return NULL;
}

static void test_tasks_come_in_order(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    numbered = calloc((size_t)THREADS * TASKS, sizeof *numbered);
    for (int i = 0; i < THREADS; i++) {
        for (int j = 0; j < TASKS; j++) {
            numbered[i * TASKS + j] = (struct numbered){{run_numbered, NULL}, i, j};
        }
        assert_int_equal(pthread_create(&threads[i], NULL, post_many, numbered + (size_t)i * TASKS), 0);
    }
    loop_run(loop);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(next_number[i], TASKS);
    }
    free(numbered);
}

struct chain {
    struct loop_task task;
    int left;
};

static void run_chain(struct loop_task *task)
{
    struct chain *chain = (struct chain *)task;
    if (--chain->left > 0) {
        loop_post(loop, task);
    } else {
        loop_stop(loop);
    }
}

static void test_a_task_posts_itself(void **state)
{
    (void)state;
    struct chain chain = {{run_chain, NULL}, 1000};
    loop_post(loop, &chain.task);
    loop_run(loop);
    assert_int_equal(chain.left, 0);
}

static int freed;

static void free_task(struct loop_task *task)
{
    free(task);
    freed++;
}

static void test_waiting_tasks_run_at_the_end(void **state)
{
    (void)state;
    freed = 0;
    struct loop *other = loop_create();
    for (int i = 0; i < 3; i++) {
        struct loop_task *task = calloc(1, sizeof *task);
        task->run = free_task;
        loop_post(other, task);
    }
    loop_stop(other);
    loop_run(other);
    assert_int_equal(freed, 0);
    loop_destroy(other);
    assert_int_equal(freed, 3);
    loop_destroy(NULL);
}

/* A task that goes on to another loop, as the steps of a request do. */
struct step {
    struct loop_task task;
    struct loop *to; /* NULL: it ends */
    int runs;
};

static void run_step(struct loop_task *task)
{
    struct step *step = (struct step *)task;
    struct loop *to = step->to;
    step->runs++;
    step->to = NULL;
    if (to != NULL) {
        loop_post(to, task);
    }
}

static void never(struct timer *timer)
{
    (void)timer;
    fail();
}

static void test_settling(void **state)
{
    (void)state;
    struct loop *other = loop_create();
    struct step step = {.task.run = run_step, .to = loop};
    struct timer due = {.on_fire = never};
    loop_stop(other);
    loop_run(other);
    assert_false(loop_settle(other));
    loop_timer_start(other, &due, 0);
    loop_post(other, &step.task);
    assert_int_equal(step.runs, 0);
    assert_true(loop_settle(other));
    assert_int_equal(step.runs, 1);
    assert_true(loop_settle(loop)); /* what the other one led to */
    assert_int_equal(step.runs, 2);
    assert_false(loop_settle(other) || loop_settle(loop));
    loop_timer_stop(other, &due);
    loop_destroy(other);
}

/* --- timers --- */

static uint64_t started_ms, fired_ms;
static int fires;

static void stop_loop(struct timer *timer)
{
    (void)timer;
    fires++;
    fired_ms = clock_ms();
    loop_stop(loop);
}

static void count_fire(struct timer *timer)
{
    (void)timer;
    fires++;
}

static void test_timers(void **state)
{
    (void)state;
    struct timer soon = {.on_fire = count_fire}, stopped = {.on_fire = count_fire}, last = {.on_fire = stop_loop};
    fires = 0;
    started_ms = clock_ms();
    loop_timer_start(loop, &soon, 0);
    loop_timer_start(loop, &stopped, 10);
    loop_timer_start(loop, &last, 10);
    loop_timer_start(loop, &last, 60); /* moves it */
    loop_timer_stop(loop, &stopped);
    loop_timer_stop(loop, &stopped);
    loop_run(loop);
    assert_int_equal(fires, 2);
    assert_in_range(fired_ms - started_ms, 59, 2000);
}

/* In place of the system's: the next ones are interrupted. */
static atomic_int interruptions;

ssize_t write(int fd, const void *data, size_t length)
{
    if (atomic_load(&interruptions) > 0) {
        atomic_fetch_sub(&interruptions, 1);
        errno = EINTR;
        return -1;
    }
    return syscall(SYS_write, fd, data, length);
}

static void test_a_task_comes_when_the_waking_was_interrupted(void **state)
{
    (void)state;
    struct chain chain = {{run_chain, NULL}, 1};
    struct timer too_late = {.on_fire = stop_loop};
    fires = 0;
    loop_timer_start(loop, &too_late, 3000);
    atomic_store(&interruptions, 2);
    loop_post(loop, &chain.task);
    atomic_store(&interruptions, 0);
    loop_run(loop);
    loop_timer_stop(loop, &too_late);
    assert_int_equal(chain.left, 0);
    assert_int_equal(fires, 0);
}

static uint64_t told_ms, really_ms;

static void compare_clocks(struct loop_task *task)
{
    (void)task;
    told_ms = loop_now_ms(loop);
    really_ms = clock_ms();
    loop_stop(loop);
}

static void *post_late(void *task)
{
    pause_ms(150);
    loop_post(loop, task);
    return NULL;
}

/* What wakes the loop after a long sleep sees the time of its waking. */
static void test_time_after_a_sleep(void **state)
{
    (void)state;
    struct loop_task task = {.run = compare_clocks};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, post_late, &task), 0);
    loop_run(loop);
    pthread_join(thread, NULL);
    assert_in_range(really_ms - told_ms, 0, 50);
}

/* --- put off --- */

struct counted {
    struct loop_deferred deferred;
    int runs, again;
};

static void run_counted(struct loop_deferred *deferred)
{
    struct counted *counted = (struct counted *)deferred;
    counted->runs++;
    if (counted->again-- > 0) {
        loop_defer(loop, deferred);
    }
}

static struct counted first = {{run_counted, NULL, false}, 0, 0}, second = {{run_counted, NULL, false}, 0, 2};

static void defer_both(struct timer *timer)
{
    (void)timer;
    loop_defer(loop, &first.deferred);
    loop_defer(loop, &second.deferred);
    loop_defer(loop, &first.deferred);
    assert_int_equal(first.runs, 0);
}

static void test_deferred(void **state)
{
    (void)state;
    struct timer now = {.on_fire = defer_both}, later = {.on_fire = stop_loop};
    loop_timer_start(loop, &now, 0);
    loop_timer_start(loop, &later, 20);
    loop_run(loop);
    assert_int_equal(first.runs, 1);
    assert_int_equal(second.runs, 3);
}

/* --- watched descriptors --- */

struct watched {
    struct loop_watch *watch;
    int fd, other_fd, reads;
    atomic_int writes;
};

static void on_writable(void *data)
{
    atomic_fetch_add(&((struct watched *)data)->writes, 1);
}

static void on_readable(void *data)
{
    struct watched *watched = data;
    char bytes[100];
    ssize_t length = read(watched->fd, bytes, sizeof bytes);
    if (length < 0) {
        assert_int_equal(errno, EAGAIN);
        return;
    }
    watched->reads++;
    if (length == 0) {
        loop_watch_destroy(watched->watch); /* inside its own callback */
        watched->watch = NULL;
        loop_stop(loop);
    } else {
        loop_watch_writable(watched->watch, on_writable);
        loop_watch_writable(watched->watch, on_writable);
    }
}

/* Each time once it was told that it can write, so that no two of these come as one. */
static void *write_and_close(void *data)
{
    struct watched *watched = data;
    for (int i = 0; i < 4; i++) {
        while (atomic_load(&watched->writes) <= i) {
            pause_ms(1);
        }
        if (i < 3) {
            assert_int_equal(write(watched->other_fd, "x", 1), 1);
        } else {
            close(watched->other_fd);
        }
    }
    return NULL;
}

static void test_watch(void **state)
{
    (void)state;
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    struct watched watched = {.fd = fds[0], .other_fd = fds[1]};
    watched.watch = loop_watch_create(loop, fds[0], on_readable, &watched);
    loop_watch_writable(watched.watch, on_writable);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, write_and_close, &watched), 0);
    loop_run(loop);
    pthread_join(thread, NULL);
    assert_int_equal(watched.reads, 4);
    assert_int_equal(atomic_load(&watched.writes), 4);
    assert_true(fcntl(fds[0], F_GETFD) >= 0); /* the caller keeps its own */
    close(fds[0]);
    loop_watch_destroy(NULL);
}

static void test_watch_of_nothing(void **state)
{
    (void)state;
    assert_null(loop_watch_create(loop, -1, on_readable, NULL));
}

static struct loop_watch *refused, *watched_after;
static int file, ends[2], told;

static void on_told(void *data)
{
    (void)data;
    told++;
    loop_stop(loop);
}

/* In the turn after. */
static void watch_another(struct timer *timer)
{
    (void)timer;
    watched_after = loop_watch_create(loop, ends[0], on_told, NULL);
    assert_int_equal(write(ends[1], "x", 1), 1);
}

/* The kernel watches no file of a disk: as if it had no room for one more. */
static void watch_file(struct timer *timer)
{
    refused = loop_watch_create(loop, file, on_told, NULL);
    timer->on_fire = watch_another;
    loop_timer_start(loop, timer, 0);
    pause_ms(2); /* it is due in the next turn */
}

static void test_a_descriptor_that_is_refused_leaves_the_others_alone(void **state)
{
    (void)state;
    struct timer soon = {.on_fire = watch_file}, too_late = {.on_fire = stop_loop};
    file = open("CMakeLists.txt", O_RDONLY | O_CLOEXEC);
    assert_true(file >= 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
    loop_timer_start(loop, &soon, 0);
    loop_timer_start(loop, &too_late, 3000);
    loop_run(loop);
    assert_int_equal(told, 1);
    loop_timer_stop(loop, &too_late);
    loop_watch_destroy(refused);
    loop_watch_destroy(watched_after);
    close(ends[0]);
    close(ends[1]);
    close(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_tasks_come_in_order, create, destroy),
        cmocka_unit_test_setup_teardown(test_a_task_posts_itself, create, destroy),
        cmocka_unit_test_setup_teardown(test_waiting_tasks_run_at_the_end, create, destroy),
        cmocka_unit_test_setup_teardown(test_settling, create, destroy),
        cmocka_unit_test_setup_teardown(test_timers, create, destroy),
        cmocka_unit_test_setup_teardown(test_a_task_comes_when_the_waking_was_interrupted, create, destroy),
        cmocka_unit_test_setup_teardown(test_time_after_a_sleep, create, destroy),
        cmocka_unit_test_setup_teardown(test_deferred, create, destroy),
        cmocka_unit_test_setup_teardown(test_watch, create, destroy),
        cmocka_unit_test_setup_teardown(test_watch_of_nothing, create, destroy),
        cmocka_unit_test_setup_teardown(test_a_descriptor_that_is_refused_leaves_the_others_alone, create, destroy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
