#include "control.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "loop/loop.h"
#include "util/buffer.h"

enum { LATE_MS = 30, FLOOD_EVENTS = 2000, FLOOD_EVENT_BYTES = 10000 };

/* --- connecting --- */

struct late {
    struct timer timer;
    struct sio_socket *socket;
    bool is_refused;
};

static const struct slice NOTHING = {NULL, 0};

static void refuse(struct sio_socket *socket)
{
    sio_refuse(socket, SLICE("not \"today\""), SLICE("{\"code\":7}"));
}

static void on_late(struct timer *timer)
{
    struct late *late = (struct late *)timer;
    if (late->is_refused) {
        refuse(late->socket);
    } else {
        sio_accept(late->socket, SLICE("\"pid\":\"late\""));
    }
    free(late);
}

static void answer_late(struct sio_socket *socket, bool is_refused)
{
    struct late *late = calloc(1, sizeof *late);
    if (late == NULL) {
        refuse(socket);
        return;
    }
    late->timer.on_fire = on_late;
    late->socket = socket;
    late->is_refused = is_refused;
    loop_timer_start(sio_server_context(sio_socket_server(socket)), &late->timer, LATE_MS);
}

void control_on_connect(struct sio_socket *socket, const struct sio_handshake *handshake)
{
    if (slice_equals(handshake->auth, SLICE("{\"mode\":\"refuse\"}"))) {
        refuse(socket);
    } else if (slice_equals(handshake->auth, SLICE("{\"mode\":\"late\"}"))) {
        answer_late(socket, false);
    } else if (slice_equals(handshake->auth, SLICE("{\"mode\":\"late-refuse\"}"))) {
        answer_late(socket, true);
    } else {
        sio_accept(socket, NOTHING);
    }
}

/* --- events --- */

/* An event of the namespace; frames made once are for "/" alone. */
static void emit_large(struct sio_socket *socket)
{
    static char text[FLOOD_EVENT_BYTES];
    memset(text, 'x', sizeof text);
    text[0] = text[sizeof text - 1] = '"';
    sio_emit(socket, SLICE("x"), (struct slice){text, sizeof text});
}

static void flood(struct sio_socket *socket)
{
    for (int i = 0; i < FLOOD_EVENTS; i++) {
        emit_large(socket);
    }
    sio_emit(socket, SLICE("done"), NOTHING);
}

static void flood_ephemeral(struct sio_socket *socket)
{
    char *text = malloc(FLOOD_EVENT_BYTES);
    if (text == NULL) {
        return;
    }
    memset(text, 'x', FLOOD_EVENT_BYTES);
    text[0] = text[FLOOD_EVENT_BYTES - 1] = '"';
    struct sio_frame *frame = sio_frame_create(SLICE("x"), (struct slice){text, FLOOD_EVENT_BYTES}, NOTHING);
    for (int i = 0; frame != NULL && i < FLOOD_EVENTS; i++) {
        sio_send(socket, frame, SIO_SENDING_EPHEMERAL);
    }
    sio_frame_unref(frame);
    free(text);
    sio_emit(socket, SLICE("done"), NOTHING);
}

/* The socket's data counts the events that are still to be sent. */
void control_on_drain(struct sio_socket *socket)
{
    intptr_t left = (intptr_t)sio_socket_data(socket);
    sio_socket_set_data(socket, (void *)(left - 1));
    if (left > 0) {
        emit_large(socket);
        sio_notify_drained(socket);
    } else {
        sio_emit(socket, SLICE("done"), NOTHING);
    }
}

void control_on_event(struct sio_socket *socket, const struct sio_event *event)
{
    if (slice_equals(event->name, SLICE("leave"))) {
        sio_disconnect(socket, false);
        sio_emit(socket, SLICE("never"), NOTHING);
    } else if (slice_equals(event->name, SLICE("close"))) {
        sio_emit(socket, SLICE("last"), NOTHING);
        sio_disconnect(socket, true);
    } else if (slice_equals(event->name, SLICE("flood"))) {
        flood(socket);
    } else if (slice_equals(event->name, SLICE("ephemeral"))) {
        flood_ephemeral(socket);
    } else if (slice_equals(event->name, SLICE("paced"))) {
        sio_socket_set_data(socket, (void *)(intptr_t)FLOOD_EVENTS);
        control_on_drain(socket);
    }
}
