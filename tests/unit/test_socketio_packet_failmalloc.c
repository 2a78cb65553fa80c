/* Each allocation of the packet codecs fails in turn: it is told from bad input, and nothing leaks. */
#include "realtime/socketio_packet.h"

#include "realtime/engineio_packet.h"
#include "realtime/frame.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "unit/failmalloc.h"

static void test_names_with_escapes(void **state)
{
    (void)state;
    struct buffer names = buffer_init(100);
    struct sio_packet packet;
    allocations_left = 0;
    assert_true(sio_packet_decode(SLICE("2[\"plain\",{\"a\":[1]}]"), &names, &packet)); /* needs none */
    assert_false(sio_packet_decode(SLICE("2[\"\\u0061\"]"), &names, &packet));
    assert_true(names.failed);
    allocations_left = 1;
    names.failed = false;
    assert_true(sio_packet_decode(SLICE("2[\"\\u0061\"]"), &names, &packet));
    allocations_left = -1;
    assert_true(slice_equals(packet.event.name, SLICE("a")));
    buffer_dispose(&names);
}

static void assert_encodes_with(int allocations, struct slice name)
{
    struct sio_packet_parts parts = {.type = SIO_EVENT, .name = name, .json = SLICE("1"), .ack_id = -1};
    for (int granted = 0; granted <= allocations; granted++) {
        allocations_left = granted;
        struct sio_frame *frame = sio_packet_encode(&parts);
        allocations_left = -1;
        assert_int_equal(frame != NULL, granted == allocations);
        sio_frame_unref(frame);
    }
}

static void test_encoding(void **state)
{
    (void)state;
    assert_encodes_with(1, SLICE("plain"));
    assert_encodes_with(2, SLICE("a\"b"));
}

static void test_bodies(void **state)
{
    (void)state;
    struct buffer bytes = buffer_init(100), body = buffer_init(100);
    struct eio_packet packet;
    struct slice rest = SLICE("bAQID");
    bool is_last;
    allocations_left = 0;
    assert_false(eio_payload_next(&rest, &is_last, &bytes, &packet));
    assert_true(bytes.failed);
    eio_payload_append(&body, SLICE("\1\2\3"), true);
    assert_true(body.failed);
    allocations_left = -1;
    buffer_dispose(&bytes);
    buffer_dispose(&body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_with_escapes),
        cmocka_unit_test(test_encoding),
        cmocka_unit_test(test_bodies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
