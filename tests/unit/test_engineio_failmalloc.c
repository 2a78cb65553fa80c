/* Sessions without memory: each allocation on a client's way through Engine.IO and Socket.IO fails in turn. Whatever
 * happens, a session that was joined is left exactly once, and nothing leaks. The file itself is included, to reach the
 * session below a socket. */
#include "realtime/socketio.c"

#include "realtime/engineio_private.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "unit/failmalloc.h"

static int joined, left, answered;

static void note_connect(struct sio_socket *socket, const struct sio_handshake *handshake)
{
    joined++;
    assert_true(slice_equals(handshake->query, SLICE("EIO=4")));
    sio_accept(socket, SLICE("\"pid\":\"1\""));
}

static void note_event(struct sio_socket *socket, const struct sio_event *event)
{
    answered++;
    struct sio_frame *frame = sio_frame_create(SLICE("all"), SLICE("1"), SLICE(""));
    if (frame != NULL) {
        sio_send(socket, frame, SIO_SENDING_COUNTED);
    }
    sio_frame_unref(frame);
    sio_ack_binary(socket, event->ack_id, SLICE("1"), event->attachments, event->attachment_count);
}

static void note_disconnect(struct sio_socket *socket, const char *reason)
{
    (void)socket;
    assert_non_null(reason);
    left++;
}

static const struct sio_namespace NAMESPACES[] = {{"/", note_connect, note_event, note_disconnect, NULL}, {0}};

/* A client's life by polling, without the HTTP around it. */
static void live(struct sio_server *server)
{
    struct eio_opening opening = {SLICE("EIO=4"), {NULL, 0}, "127.0.0.1"};
    struct eio_session *session = eio_session_open(server->engine, NULL, &opening);
    if (session == NULL) {
        return;
    }
    eio_session_on_packet(session, SLICE("40{}"));
    eio_session_on_packet(session, SLICE("421[\"\\u0061\",1]"));
    eio_session_on_packet(session, SLICE("451-2[\"b\",{\"_placeholder\":true,\"num\":0}]"));
    eio_session_on_bytes(session, SLICE("bytes"));
    eio_session_on_packet(session, SLICE("40/x"));
    eio_session_on_packet(session, SLICE("41"));
    eio_session_on_packet(session, SLICE("1"));
}

static void test_a_life(void **state)
{
    (void)state;
    struct sio_options options = {.ping_interval_ms = 1000,
                                  .ping_timeout_ms = 1000,
                                  .connect_timeout_ms = 1000,
                                  .max_payload_bytes = 1000,
                                  .send_queue_max_bytes = 1000,
                                  .namespaces = NAMESPACES};
    for (int granted = 0; answered < 2; granted++) {
        struct loop *loop = loop_create();
        struct sio_group *group = sio_group_create(1);
        struct sio_server *server = sio_server_create(group, 0, loop, &options);
        joined = left = answered = 0;
        allocations_left = granted;
        live(server);
        allocations_left = -1;
        sio_server_destroy(server);
        loop_destroy(loop);
        sio_group_destroy(group);
        assert_int_equal(joined, left);
        assert_in_range(granted, 0, 100);
    }
    assert_int_equal(joined, 1);
}

static void test_servers(void **state)
{
    (void)state;
    struct sio_options options = {.max_payload_bytes = 1000, .namespaces = NAMESPACES};
    struct loop *loop = loop_create();
    int granted = 0;
    for (struct sio_server *server = NULL; server == NULL; granted++) {
        allocations_left = granted;
        struct sio_group *group = sio_group_create(1);
        server = group != NULL ? sio_server_create(group, 0, loop, &options) : NULL;
        allocations_left = -1;
        sio_server_destroy(server);
        sio_group_destroy(group);
    }
    assert_in_range(granted, 4, 20);
    loop_destroy(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_a_life), cmocka_unit_test(test_servers)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
