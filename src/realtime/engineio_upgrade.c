#include <stdlib.h>

#include "engineio_private.h"

/* From polling to WebSocket: the client probes the WebSocket with a ping, waits for its poll to end, and says `5`.
 * Until then nothing but the probe goes by the WebSocket; a probe that fails leaves the session where it is. */

enum { PROBE_TIMEOUT_MS = 10 * 1000 };

struct eio_probe {
    struct eio_session *session;
    struct ws_connection *socket;
    struct timer timeout;
    bool is_accepted; /* its ping was answered */
};

bool eio_session_is_moving(const struct eio_session *session)
{
    return session->probe != NULL && session->probe->is_accepted;
}

/* The probe is over; its WebSocket is somebody else's. A close that waited for it goes on. */
static void forget(struct eio_probe *probe)
{
    probe->session->probe = NULL;
    loop_timer_stop(probe->session->server->loop, &probe->timeout);
    eio_session_defer(probe->session);
    free(probe);
}

void eio_probe_cancel(struct eio_session *session, enum ws_close_code code)
{
    if (session->probe != NULL) {
        ws_connection_close(session->probe->socket, code, NULL);
        forget(session->probe);
    }
}

static void on_timeout(struct timer *timer)
{
    struct eio_probe *probe = (struct eio_probe *)((char *)timer - offsetof(struct eio_probe, timeout));
    eio_probe_cancel(probe->session, WS_CLOSE_POLICY);
}

static bool answer_ping(struct eio_probe *probe)
{
    struct slice pong = SLICE("3probe");
    struct sio_frame *frame = frame_create(WS_OPCODE_TEXT, &pong, 1);
    bool good = frame != NULL && ws_connection_send(probe->socket, frame, SIO_SENDING_COUNTED);
    sio_frame_unref(frame);
    return good;
}

static void on_probe_message(void *data, struct slice message, bool is_binary)
{
    struct eio_probe *probe = data;
    struct eio_session *session = probe->session;
    if (!is_binary && slice_equals(message, SLICE("2probe")) && !probe->is_accepted && answer_ping(probe)) {
        probe->is_accepted = true;
        eio_polling_flush(session, "6");
    } else if (!is_binary && slice_equals(message, SLICE("5")) && probe->is_accepted) {
        struct ws_connection *socket = probe->socket;
        forget(probe);
        eio_session_adopt(session, socket);
    } else {
        eio_probe_cancel(session, WS_CLOSE_POLICY);
    }
}

static void on_probe_end(void *data, enum ws_end end)
{
    (void)end;
    forget(data);
}

static const struct ws_callbacks PROBE_CALLBACKS = {on_probe_message, on_probe_end, NULL, NULL};

static bool may_upgrade(const struct eio_session *session)
{
    return session != NULL && session->state == EIO_STATE_OPEN && session->doom == NULL && session->polling != NULL &&
           session->probe == NULL;
}

/* A session that cannot move any more is told so by WebSocket, as browsers cannot read the body of a refusal. */
void eio_request_upgrade(struct eio_server *server, struct eio_request *request)
{
    if (eio_session_find(server, request->sid) == NULL) {
        eio_request_answer_error(request, EIO_ERROR_SID_UNKNOWN);
    } else {
        eio_request_answer_text(request, 101, NULL, (struct slice){NULL, 0});
    }
}

static void refuse(struct eio_server *server, struct stream *stream)
{
    struct ws_connection *socket = ws_connection_create(&server->sockets, stream, &PROBE_CALLBACKS, NULL);
    if (socket != NULL) {
        ws_connection_close(socket, server->is_closing ? WS_CLOSE_GOING_AWAY : WS_CLOSE_POLICY, NULL);
    }
}

void eio_probe_start(struct eio_server *server, const uint8_t sid[15], struct stream *stream)
{
    struct eio_session *session = eio_session_find(server, sid);
    struct eio_probe *probe = may_upgrade(session) ? calloc(1, sizeof *probe) : NULL;
    if (probe == NULL) {
        refuse(server, stream);
        return;
    }
    probe->session = session;
    probe->timeout.on_fire = on_timeout;
    probe->socket = ws_connection_create(&server->sockets, stream, &PROBE_CALLBACKS, probe);
    if (probe->socket == NULL) {
        free(probe);
        return;
    }
    eio_limit_stranger(server, probe->socket);
    session->probe = probe;
    loop_timer_start(server->loop, &probe->timeout, PROBE_TIMEOUT_MS);
}
