/* Streams over pairs of sockets: what comes is delivered, once and in order, through partial use, pauses, closing in
 * each callback, and moves to another loop's thread. */
#include "loop/stream.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "loop/h2o_loop.h"
#include "util/buffer.h"

struct end {
    struct stream *stream;
    struct loop *loop;
    struct buffer read;
    size_t use_at_most, close_after, stop_after; /* 0: no limit */
    int ended, written;
    bool closes_in_read, closes_in_end, closes_in_written, pauses_in_read;
    struct timer resume;
};

static struct loop *loop;
static int peer; /* the other side of the pair */

static void close_stream(struct end *end)
{
    stream_close(end->stream);
    end->stream = NULL;
    loop_stop(end->loop);
}

static void on_resume(struct timer *timer)
{
    struct end *end = (struct end *)((char *)timer - offsetof(struct end, resume));
    stream_resume(end->stream);
}

static size_t on_read(void *data, const char *bytes, size_t length)
{
    struct end *end = data;
    assert_true(length > 0);
    size_t used = end->use_at_most > 0 && length > end->use_at_most ? end->use_at_most : length;
    buffer_append(&end->read, bytes, used);
    if (end->pauses_in_read) {
        stream_pause(end->stream);
        end->resume.on_fire = on_resume;
        loop_timer_start(end->loop, &end->resume, 5);
    }
    if (end->closes_in_read) {
        close_stream(end);
    } else if (end->stop_after > 0 && end->read.length >= end->stop_after) {
        loop_stop(end->loop);
    }
    return used;
}

static void on_end(void *data)
{
    struct end *end = data;
    end->ended++;
    if (end->closes_in_end) {
        close_stream(end);
    } else {
        loop_stop(end->loop);
    }
}

static void on_written(void *data)
{
    struct end *end = data;
    end->written++;
    if (end->closes_in_written) {
        close_stream(end);
    } else {
        loop_stop(end->loop);
    }
}

static const struct stream_callbacks CALLBACKS = {on_read, on_end, on_written};

static struct end open_pair(void)
{
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    peer = fds[1];
    loop = loop_create();
    h2o_socket_t *socket = h2o_evloop_socket_create(loop_h2o(loop), fds[0], 0);
    return (struct end){.loop = loop, .read = buffer_init(10 << 20), .stream = stream_create(loop, socket)};
}

static void close_pair(struct end *end)
{
    stream_close(end->stream);
    buffer_dispose(&end->read);
    if (peer >= 0) {
        close(peer);
    }
    loop_destroy(loop);
}

static void send_text(const char *text)
{
    assert_int_equal(write(peer, text, strlen(text)), (ssize_t)strlen(text));
}

static void hang_up(void)
{
    close(peer);
    peer = -1;
}

static void assert_was_read(const struct end *end, const char *text)
{
    assert_int_equal(end->read.length, strlen(text));
    assert_memory_equal(end->read.data, text, end->read.length);
}

static void test_read_and_end(void **state)
{
    (void)state;
    struct end end = open_pair();
    stream_start(end.stream, &CALLBACKS, &end);
    assert_ptr_equal(stream_loop(end.stream), loop);
    send_text("hello, ");
    send_text("world");
    hang_up();
    end.closes_in_end = true;
    loop_run(loop);
    assert_int_equal(end.ended, 1);
    assert_was_read(&end, "hello, world");
    close_pair(&end);
}

/* What is not used comes again with more behind it. */
static void test_partial_use(void **state)
{
    (void)state;
    struct end end = open_pair();
    end.use_at_most = 3;
    stream_start(end.stream, &CALLBACKS, &end);
    send_text("abcdef");
    end.stop_after = 3;
    loop_run(loop);
    assert_was_read(&end, "abc");
    close_pair(&end);
}

static void test_close_in_read(void **state)
{
    (void)state;
    struct end end = open_pair();
    end.closes_in_read = true;
    stream_start(end.stream, &CALLBACKS, &end);
    send_text("bye");
    hang_up();
    loop_run(loop);
    assert_was_read(&end, "bye");
    assert_int_equal(end.ended, 0);
    stream_close(NULL);
    close_pair(&end);
}

/* Paused after each read and resumed by a timer: everything comes, and in order. */
static void test_pause_and_resume(void **state)
{
    (void)state;
    struct end end = open_pair();
    end.pauses_in_read = true;
    end.use_at_most = 2;
    end.stop_after = 8;
    stream_start(end.stream, &CALLBACKS, &end);
    send_text("12345678");
    loop_run(loop);
    assert_was_read(&end, "12345678");
    loop_timer_stop(loop, &end.resume);
    close_pair(&end);
}

static void test_close_while_paused(void **state)
{
    (void)state;
    struct end end = open_pair();
    stream_start(end.stream, &CALLBACKS, &end);
    stream_pause(end.stream);
    send_text("unread");
    stream_close(end.stream);
    end.stream = NULL;
    loop_stop(loop);
    loop_run(loop);
    assert_int_equal(end.read.length, 0);
    close_pair(&end);
}

/* --- writing --- */

static struct end *writer;
static char large[4 << 20];

static void write_now(struct timer *timer)
{
    (void)timer;
    struct iovec vectors[2] = {{(char *)"ab", 2}, {(char *)"cd", 2}};
    stream_write(writer->stream, vectors, 2);
    assert_true(stream_is_writing(writer->stream));
}

static void watchdog(struct timer *timer)
{
    (void)timer;
    loop_stop(loop);
}

static uint64_t clock_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* A write that succeeds at once outside libh2o's own turn, as from a timer, is completed before the loop sleeps, not at
 * the next event that happens to come. */
static void test_write_from_a_timer(void **state)
{
    (void)state;
    struct end end = open_pair();
    struct timer soon = {.on_fire = write_now}, late = {.on_fire = watchdog};
    writer = &end;
    stream_start(end.stream, &CALLBACKS, &end);
    loop_timer_start(loop, &soon, 30);
    loop_timer_start(loop, &late, 3000);
    uint64_t started_ms = clock_ms();
    loop_run(loop);
    loop_timer_stop(loop, &late);
    assert_int_equal(end.written, 1);
    assert_in_range(clock_ms() - started_ms, 0, 2000);
    char bytes[10];
    assert_int_equal(read(peer, bytes, sizeof bytes), 4);
    assert_memory_equal(bytes, "abcd", 4);
    close_pair(&end);
}

static void *read_all(void *data)
{
    size_t *total = data;
    static char bytes[65536];
    fcntl(peer, F_SETFL, 0);
    while (*total < sizeof large) {
        ssize_t length = read(peer, bytes, sizeof bytes);
        if (length <= 0) {
            break;
        }
        for (ssize_t i = 0; i < length; i++) {
            if (bytes[i] != (char)((*total + (size_t)i) * 7 >> 3)) {
                return NULL;
            }
        }
        *total += (size_t)length;
    }
    return NULL;
}

static void test_long_write(void **state)
{
    (void)state;
    struct end end = open_pair();
    size_t total = 0;
    pthread_t thread;
    for (size_t i = 0; i < sizeof large; i++) {
        large[i] = (char)(i * 7 >> 3);
    }
    struct iovec vectors[64];
    for (size_t i = 0; i < 64; i++) {
        vectors[i] = (struct iovec){large + i * (sizeof large / 64), sizeof large / 64};
    }
    stream_start(end.stream, &CALLBACKS, &end);
    stream_write(end.stream, vectors, 64);
    memset(vectors, 0, sizeof vectors); /* the array itself may go */
    assert_int_equal(pthread_create(&thread, NULL, read_all, &total), 0);
    loop_run(loop);
    pthread_join(thread, NULL);
    assert_int_equal(end.written, 1);
    assert_int_equal(total, sizeof large);
    close_pair(&end);
}

static void test_close_in_written(void **state)
{
    (void)state;
    struct end end = open_pair();
    end.closes_in_written = true;
    stream_start(end.stream, &CALLBACKS, &end);
    struct iovec vector = {(char *)"x", 1};
    stream_write(end.stream, &vector, 1);
    loop_run(loop);
    assert_int_equal(end.written, 1);
    close_pair(&end);
}

static void test_close_while_writing(void **state)
{
    (void)state;
    struct end end = open_pair();
    char *bytes = calloc(1, sizeof large);
    stream_start(end.stream, &CALLBACKS, &end);
    struct iovec vector = {bytes, sizeof large};
    stream_write(end.stream, &vector, 1);
    stream_close(end.stream);
    end.stream = NULL;
    free(bytes);
    loop_stop(loop);
    loop_run(loop);
    assert_int_equal(end.written, 0);
    close_pair(&end);
}

/* A broken pipe: the write is completed, then the end is told, once. */
static void test_write_to_nobody(void **state)
{
    (void)state;
    struct end end = open_pair();
    hang_up();
    stream_start(end.stream, &CALLBACKS, &end);
    stream_pause(end.stream);
    struct iovec vector = {(char *)"x", 1};
    stream_write(end.stream, &vector, 1);
    loop_run(loop);
    assert_int_equal(end.written, 1);
    assert_int_equal(end.ended, 1);
    close_pair(&end);
}

/* --- moving --- */

static struct loop *target;

static void *run_target(void *data)
{
    (void)data;
    loop_run(target);
    return NULL;
}

static void on_moved(struct stream *stream, void *data)
{
    struct end *end = data;
    assert_true(loop_is_current(target));
    assert_ptr_equal(stream_loop(stream), target);
    end->loop = target;
    stream_start(stream, &CALLBACKS, end);
}

/* Bytes that had been read here before the move are delivered there first. */
static void test_move(void **state)
{
    (void)state;
    int fds[2];
    pthread_t thread;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    peer = fds[1];
    loop = loop_create();
    target = loop_create();
    assert_int_equal(pthread_create(&thread, NULL, run_target, NULL), 0);
    h2o_socket_t *socket = h2o_evloop_socket_create(loop_h2o(loop), fds[0], 0);
    memcpy(h2o_buffer_reserve(&socket->input, 6).base, "early ", 6);
    socket->input->size = 6;
    struct end end = {.loop = loop, .read = buffer_init(1000), .stream = stream_create(loop, socket)};
    end.closes_in_end = true;
    stream_move(end.stream, target, on_moved, &end);
    send_text("late");
    hang_up();
    pthread_join(thread, NULL);
    assert_was_read(&end, "early late");
    assert_int_equal(end.ended, 1);
    buffer_dispose(&end.read);
    loop_destroy(target);
    loop_destroy(loop);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read_and_end),
        cmocka_unit_test(test_partial_use),
        cmocka_unit_test(test_close_in_read),
        cmocka_unit_test(test_pause_and_resume),
        cmocka_unit_test(test_close_while_paused),
        cmocka_unit_test(test_write_from_a_timer),
        cmocka_unit_test(test_long_write),
        cmocka_unit_test(test_close_in_written),
        cmocka_unit_test(test_close_while_writing),
        cmocka_unit_test(test_write_to_nobody),
        cmocka_unit_test(test_move),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
