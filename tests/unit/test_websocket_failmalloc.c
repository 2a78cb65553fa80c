/* Each allocation of the WebSocket codec and of the queues fails in turn: a message then ends with 1011, a frame is not
 * made, and a queue stays as it was. */
#include "realtime/frame.h"
#include "realtime/websocket.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "unit/failmalloc.h"

static void test_parser(void **state)
{
    (void)state;
    struct slice frames = SLICE("\x01\x83\0\0\0\0abc\x80\x83\0\0\0\0def");
    for (int granted = 0;; granted++) {
        struct ws_parser parser;
        struct ws_event event;
        ws_parser_init(&parser, 1000);
        allocations_left = granted;
        ws_parser_read(&parser, frames.data, frames.length, &event);
        allocations_left = -1;
        bool is_done = event.type == WS_EVENT_TEXT;
        assert_true(is_done ? slice_equals(event.payload, SLICE("abcdef"))
                            : event.type == WS_EVENT_FAILURE && event.code == WS_CLOSE_INTERNAL);
        ws_parser_dispose(&parser);
        if (is_done) {
            assert_int_equal(granted, 1);
            return;
        }
    }
}

static void test_frames_and_queue(void **state)
{
    (void)state;
    struct slice part = SLICE("x");
    struct frame_queue queue = {0};
    allocations_left = 0;
    assert_null(frame_create(WS_OPCODE_TEXT, &part, 1));
    allocations_left = -1;
    struct sio_frame *frame = frame_create(WS_OPCODE_TEXT, &part, 1);
    uint32_t refused = 0;
    for (uint32_t i = 0; i < 100; i++) {
        allocations_left = 0;
        bool good = frame_queue_push(&queue, frame);
        allocations_left = -1;
        if (!good) {
            refused++;
            assert_int_equal(queue.count, i);
            assert_true(frame_queue_push(&queue, frame));
        }
        assert_int_equal(queue.count, i + 1);
        assert_int_equal(queue.bytes, 3 * (i + 1));
    }
    assert_int_equal(refused, 5); /* at 2, 8, 16, 32 and 64 */
    frame_queue_cut(&queue, 0);
    sio_frame_unref(frame);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_parser), cmocka_unit_test(test_frames_and_queue)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
