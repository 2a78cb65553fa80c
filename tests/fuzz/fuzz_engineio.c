/* Any bytes as the bodies of a polling client that speaks Socket.IO: what was read can be written and read again, and a
 * session stands whatever comes. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "realtime/engineio_packet.h"
#include "realtime/engineio_private.h"
#include "util/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUTS_A_LOOP = 1000 };

static int opened, closed;

static bool on_open(struct eio_session *session, const struct eio_opening *opening)
{
    (void)session, (void)opening;
    opened++;
    return true;
}

static void on_message(struct eio_session *session, struct slice message, bool is_binary)
{
    struct slice parts[] = {{"4", is_binary ? 0 : 1}, message};
    struct sio_frame *frame = frame_create(is_binary ? WS_OPCODE_BINARY : WS_OPCODE_TEXT, parts, 2);
    assert(closed == 0 && (is_binary || utf8_is_valid(message)));
    eio_session_send(session, frame, (enum sio_sending)(message.length % 3));
    sio_frame_unref(frame);
}

static void on_close(struct eio_session *session, const char *reason)
{
    (void)session;
    assert(reason != NULL);
    closed++;
}

static void ignore(struct eio_session *session)
{
    (void)session;
}

static const struct eio_handler HANDLER = {
    sizeof(struct eio_session), on_open, on_message, on_close, ignore, ignore, ignore};

/* Gives the body's packets to the session, and the good ones to `again`. */
static void read_body(struct eio_session *session, struct slice body, struct buffer *again)
{
    struct buffer bytes = buffer_init(body.length + 1);
    struct slice rest = body;
    struct eio_packet packet;
    bool is_last = false;
    while (!is_last && eio_payload_next(&rest, &is_last, &bytes, &packet)) {
        struct slice whole =
            packet.is_binary ? packet.data : (struct slice){packet.data.data - 1, packet.data.length + 1};
        eio_payload_append(again, whole, packet.is_binary);
        if (packet.is_binary) {
            eio_session_on_bytes(session, whole);
        } else {
            eio_session_on_packet(session, whole);
        }
    }
    buffer_dispose(&bytes);
}

/* A loop frees what has ended when it is destroyed. libh2o never closes the descriptor of one, so each serves many
 * inputs. */
static struct loop *current_loop(void)
{
    static struct loop *loop;
    static int inputs;
    if (inputs++ % INPUTS_A_LOOP == 0) {
        loop_destroy(loop);
        loop = loop_create();
    }
    return loop;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice body = {(const char *)data, size};
    if (!utf8_is_valid(body)) {
        return 0; /* such a body is refused before it is looked into */
    }
    struct eio_options options = {.ping_interval_ms = 1000,
                                  .ping_timeout_ms = 1000,
                                  .max_payload_bytes = 1 << 16,
                                  .send_queue_max_bytes = 1 << 10};
    struct eio_opening opening = {{NULL, 0}, {NULL, 0}, "::1"};
    struct loop *loop = current_loop();
    struct eio_group *group = eio_group_create(1);
    struct eio_server *server = eio_server_create(group, 0, loop, &options, &HANDLER, NULL);
    struct buffer first = buffer_init(1 << 24), second = buffer_init(1 << 24);
    opened = closed = 0;
    struct eio_session *session = eio_session_open(server, NULL, &opening);
    read_body(session, body, &first);
    read_body(session, buffer_slice(&first), &second);
    assert(first.length == 0 || slice_equals(buffer_slice(&first), buffer_slice(&second)));
    eio_server_destroy(server);
    eio_group_destroy(group);
    assert(opened == 1 && closed == 1);
    buffer_dispose(&first);
    buffer_dispose(&second);
    return 0;
}
