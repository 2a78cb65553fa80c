/* Two socket pairs joined in the middle: what goes in at one end comes out at the other, in full, also when the reader
 * is slow and the writer hangs up at once. */
#include "loop/splice.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "loop/h2o_loop.h"

enum { LARGE_BYTES = 4 << 20, STEP_MS = 1, CHUNK_BYTES = 64 << 10 };

struct fixture {
    struct loop *loop;
    struct splice *splice;
    int outer[2]; /* our ends */
    int ended;
    struct timer step;
    size_t written, read; /* from outer[0] to outer[1] */
    bool is_eof, hangs_up_when_written;
};

static void on_end(void *data)
{
    struct fixture *fixture = data;
    fixture->ended++;
    fixture->splice = NULL;
}

static struct stream *open_stream(struct fixture *fixture, int *ret_outer)
{
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    *ret_outer = fds[1];
    return stream_create(fixture->loop, h2o_evloop_socket_create(loop_h2o(fixture->loop), fds[0], 0));
}

static char byte_at(size_t place)
{
    return (char)(place * 31 >> 3);
}

static void write_some(struct fixture *fixture)
{
    char chunk[CHUNK_BYTES];
    size_t length = LARGE_BYTES - fixture->written < sizeof chunk ? LARGE_BYTES - fixture->written : sizeof chunk;
    for (size_t i = 0; i < length; i++) {
        chunk[i] = byte_at(fixture->written + i);
    }
    ssize_t sent = length > 0 ? write(fixture->outer[0], chunk, length) : 0;
    fixture->written += sent > 0 ? (size_t)sent : 0;
    if (fixture->written == LARGE_BYTES && fixture->hangs_up_when_written && fixture->outer[0] >= 0) {
        close(fixture->outer[0]);
        fixture->outer[0] = -1;
    }
}

static void read_some(struct fixture *fixture)
{
    char chunk[CHUNK_BYTES];
    ssize_t length = read(fixture->outer[1], chunk, sizeof chunk);
    for (ssize_t i = 0; i < length; i++) {
        assert_int_equal(chunk[i], byte_at(fixture->read + (size_t)i));
    }
    fixture->read += length > 0 ? (size_t)length : 0;
    fixture->is_eof = length == 0;
}

static void on_step(struct timer *timer)
{
    struct fixture *fixture = (struct fixture *)((char *)timer - offsetof(struct fixture, step));
    write_some(fixture);
    read_some(fixture);
    if (fixture->is_eof || (fixture->read == LARGE_BYTES && !fixture->hangs_up_when_written)) {
        loop_stop(fixture->loop);
    } else {
        loop_timer_start(fixture->loop, timer, STEP_MS);
    }
}

static void start(struct fixture *fixture)
{
    *fixture = (struct fixture){.loop = loop_create(), .step.on_fire = on_step};
    struct stream *one = open_stream(fixture, &fixture->outer[0]), *other = open_stream(fixture, &fixture->outer[1]);
    fixture->splice = splice_start(one, other, on_end, fixture);
    assert_non_null(fixture->splice);
    loop_timer_start(fixture->loop, &fixture->step, STEP_MS);
}

static void finish(struct fixture *fixture)
{
    splice_stop(fixture->splice);
    for (int i = 0; i < 2; i++) {
        if (fixture->outer[i] >= 0) {
            close(fixture->outer[i]);
        }
    }
    loop_destroy(fixture->loop);
}

static void test_all_arrives(void **state)
{
    (void)state;
    struct fixture fixture;
    start(&fixture);
    loop_run(fixture.loop);
    assert_int_equal(fixture.read, LARGE_BYTES);
    assert_int_equal(fixture.ended, 0);
    finish(&fixture);
}

/* The end is passed on behind all that was sent before it. */
static void test_hang_up(void **state)
{
    (void)state;
    struct fixture fixture;
    start(&fixture);
    fixture.hangs_up_when_written = true;
    loop_run(fixture.loop);
    assert_int_equal(fixture.read, LARGE_BYTES);
    assert_true(fixture.is_eof);
    assert_int_equal(fixture.ended, 1);
    finish(&fixture);
}

/* With bytes under way that nobody takes. */
static void test_stop(void **state)
{
    (void)state;
    struct fixture fixture;
    start(&fixture);
    size_t before;
    do {
        before = fixture.written;
        write_some(&fixture);
        h2o_evloop_run(loop_h2o(fixture.loop), 0);
    } while (fixture.written > before);
    assert_true(fixture.written < LARGE_BYTES);
    splice_stop(fixture.splice);
    fixture.splice = NULL;
    assert_int_equal(fixture.ended, 0);
    finish(&fixture);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_arrives),
        cmocka_unit_test(test_hang_up),
        cmocka_unit_test(test_stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
