/* Frames are shared by reference, and queues hold them in order without leaking or losing one. */
#include "realtime/frame.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "support/prng.h"

enum { STEPS = 20000, MODEL_MAX = 200 };

static struct sio_frame *make(uint32_t number)
{
    struct slice part = {(const char *)&number, sizeof number};
    struct sio_frame *frame = frame_create(WS_OPCODE_BINARY, &part, 1);
    assert_non_null(frame);
    return frame;
}

static uint32_t number_of(const struct sio_frame *frame)
{
    uint32_t number;
    memcpy(&number, frame_payload(frame).data, sizeof number);
    return number;
}

static void test_parts_and_header(void **state)
{
    (void)state;
    struct slice parts[] = {SLICE("42["), SLICE(""), {NULL, 0}, SLICE("]")};
    struct sio_frame *frame = frame_create(WS_OPCODE_TEXT, parts, 4);
    assert_true(slice_equals(frame_payload(frame), SLICE("42[]")));
    assert_true(slice_equals(frame_wire(frame), SLICE("\x81\x04"
                                                      "42[]")));
    assert_ptr_equal(sio_frame_ref(frame), frame);
    sio_frame_unref(frame);
    sio_frame_unref(frame);
    sio_frame_unref(NULL);
}

static void test_an_empty_queue_owns_nothing(void **state)
{
    (void)state;
    struct frame_queue queue = {0};
    for (uint32_t i = 0; i < 100; i++) {
        struct sio_frame *frame = make(i);
        assert_true(frame_queue_push(&queue, frame));
        sio_frame_unref(frame);
    }
    assert_non_null(queue.many);
    assert_int_equal(queue.bytes, 600);
    frame_queue_pop(&queue, 100);
    assert_null(queue.many);
    assert_int_equal(queue.bytes, 0);
    frame_queue_cut(&queue, 0);
}

/* Against a plain array: what was put in comes out, in order, whatever the mixture of calls. */
static void test_queue_against_a_model(void **state)
{
    (void)state;
    struct prng prng = prng_init(7);
    struct frame_queue queue = {0};
    uint32_t model[MODEL_MAX], count = 0, next = 0;
    for (int step = 0; step < STEPS; step++) {
        uint32_t choice = (uint32_t)prng_below(&prng, 10);
        if (choice < 6 && count < MODEL_MAX) {
            struct sio_frame *frame = make(next);
            assert_true(frame_queue_push(&queue, frame));
            sio_frame_unref(frame);
            model[count++] = next++;
        } else if (choice < 9) {
            uint32_t drop = (uint32_t)prng_below(&prng, count + 1);
            frame_queue_pop(&queue, drop);
            count -= drop;
            memmove(model, model + drop, count * sizeof model[0]);
        } else {
            count = (uint32_t)prng_below(&prng, count + 1);
            frame_queue_cut(&queue, count);
        }
        assert_int_equal(queue.count, count);
        assert_int_equal(queue.bytes, count * 6);
        for (uint32_t i = 0; i < count; i++) {
            assert_int_equal(number_of(frame_queue_at(&queue, i)), model[i]);
        }
    }
    frame_queue_cut(&queue, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parts_and_header),
        cmocka_unit_test(test_an_empty_queue_owns_nothing),
        cmocka_unit_test(test_queue_against_a_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
