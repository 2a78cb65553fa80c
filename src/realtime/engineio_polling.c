#include <stdlib.h>

#include "engineio_packet.h"
#include "engineio_private.h"
#include "util/clock.h"
#include "util/utf8.h"

/* HTTP long-polling: a GET waits until there is something to send, and what is sent in one turn of the loop goes in one
 * reply; a POST brings packets. A client has one GET at a time: a second one, or one that is broken off, ends the
 * session. */

static const char TEXT_TYPE[] = "text/plain; charset=UTF-8";

static struct eio_session *session_of_hold(struct timer *hold);

/* --- the waiting GET --- */

static void append_queue(struct frame_queue *queue, struct buffer *body)
{
    for (uint32_t i = 0; i < queue->count; i++) {
        const struct sio_frame *frame = frame_queue_at(queue, i);
        eio_payload_append(body, frame_payload(frame), frame->opcode == WS_OPCODE_BINARY);
    }
    frame_queue_cut(queue, 0);
}

static void answer_poll(struct eio_session *session, const char *last)
{
    struct eio_polling *polling = session->polling;
    struct eio_request *poll = polling->poll;
    struct buffer body = buffer_init(SIZE_MAX / 2);
    append_queue(&polling->queue, &body);
    if (last != NULL) {
        eio_payload_append(&body, slice_of(last), false);
    }
    polling->poll = NULL;
    poll->session = NULL;
    loop_timer_stop(session->server->loop, &polling->hold);
    eio_request_answer(poll, body.failed ? 503 : 200, TEXT_TYPE, &body);
}

void eio_polling_flush(struct eio_session *session, const char *otherwise)
{
    struct eio_polling *polling = session->polling;
    bool has_frames = polling->queue.count > 0;
    if (polling->poll == NULL || (!has_frames && otherwise == NULL)) {
        return;
    }
    answer_poll(session, has_frames ? NULL : otherwise);
    if (has_frames) {
        session->handler->on_drain(session);
    }
}

void eio_polling_finish(struct eio_session *session, const char *last)
{
    if (session->polling->poll != NULL) {
        answer_poll(session, last);
    }
}

static void on_hold(struct timer *timer)
{
    eio_polling_flush(session_of_hold(timer), "6");
}

void eio_poll_left(struct eio_request *request)
{
    struct eio_session *session = request->session;
    if (session == NULL) {
        return; /* answered meanwhile */
    }
    session->polling->poll = NULL;
    request->session = NULL;
    loop_timer_stop(session->server->loop, &session->polling->hold);
    eio_session_close(session, "transport error", WS_CLOSE_NONE);
    eio_request_answer_error(request, EIO_ERROR_BAD_REQUEST); /* to nobody */
}

/* The GET of a session that closed while none waited. */
static void answer_lingering(struct eio_session *session, struct eio_request *request)
{
    session->polling->poll = request;
    request->session = session;
    answer_poll(session, session->farewell);
    eio_session_end_linger(session);
}

void eio_request_poll(struct eio_server *server, struct eio_request *request)
{
    struct eio_session *session = eio_session_find(server, request->sid);
    if (session == NULL) {
        eio_request_answer_error(request, EIO_ERROR_SID_UNKNOWN);
    } else if (session->polling == NULL) {
        eio_request_answer_error(request, EIO_ERROR_BAD_REQUEST);
    } else if (session->state == EIO_STATE_LINGERING) {
        answer_lingering(session, request);
    } else if (session->polling->poll != NULL) {
        eio_session_close(session, "transport error", WS_CLOSE_NONE);
        eio_request_answer_error(request, EIO_ERROR_BAD_REQUEST);
    } else {
        session->polling->poll = request;
        request->session = session;
        if (server->options.polling_hold_ms > 0) {
            loop_timer_start(server->loop, &session->polling->hold, server->options.polling_hold_ms);
        }
        eio_polling_flush(session, eio_session_is_moving(session) ? "6" : NULL);
    }
}

/* --- POST --- */

/* False when the body held what is no packet. */
static bool read_packets(struct eio_session *session, struct slice body)
{
    struct buffer bytes = buffer_init(body.length + 1);
    uint32_t max_per_second = session->server->options.max_packets_per_second;
    bool is_last = false, good = utf8_is_valid(body);
    while (good && !is_last) {
        struct eio_packet packet;
        struct slice before = body;
        good = eio_payload_next(&body, &is_last, &bytes, &packet);
        if (!rate_take(&session->rate, max_per_second, 1, clock_now_ms())) {
            eio_session_close(session, "transport error", WS_CLOSE_POLICY); /* what follows goes to nobody */
            break;
        }
        if (good && packet.is_binary) {
            eio_session_on_bytes(session, packet.data);
        } else if (good) {
            size_t length = is_last ? before.length : before.length - body.length - 1;
            eio_session_on_packet(session, (struct slice){before.data, length});
        }
    }
    buffer_dispose(&bytes);
    return good;
}

/* A stranger has nothing to send but a token. */
static bool is_too_large(const struct eio_session *session, const struct eio_request *request)
{
    size_t max_bytes = session->server->options.stranger_max_bytes;
    return request->is_oversized || (!session->is_trusted && max_bytes > 0 && request->body.length > max_bytes);
}

void eio_request_post(struct eio_server *server, struct eio_request *request)
{
    struct eio_session *session = eio_session_find(server, request->sid);
    if (session == NULL) {
        eio_request_answer_error(request, EIO_ERROR_SID_UNKNOWN);
    } else if (session->polling == NULL) {
        eio_request_answer_error(request, EIO_ERROR_BAD_REQUEST);
    } else if (is_too_large(session, request)) {
        eio_session_close(session, "transport error", WS_CLOSE_TOO_BIG);
        eio_request_answer_text(request, 413, NULL, (struct slice){NULL, 0});
    } else if (session->state == EIO_STATE_OPEN && !read_packets(session, request->body)) {
        eio_session_close(session, "parse error", WS_CLOSE_POLICY);
        eio_request_answer_error(request, EIO_ERROR_BAD_REQUEST);
    } else {
        eio_request_answer_text(request, 200, "text/html", SLICE("ok"));
    }
}

/* --- the session's part --- */

static struct eio_session *session_of_hold(struct timer *hold)
{
    struct eio_polling *polling = (struct eio_polling *)((char *)hold - offsetof(struct eio_polling, hold));
    return polling->poll->session;
}

struct eio_polling *eio_polling_create(void)
{
    struct eio_polling *polling = calloc(1, sizeof *polling);
    if (polling != NULL) {
        polling->hold.on_fire = on_hold;
    }
    return polling;
}

void eio_polling_destroy(struct eio_session *session)
{
    struct eio_polling *polling = session->polling;
    if (polling == NULL) {
        return;
    }
    session->polling = NULL;
    loop_timer_stop(session->server->loop, &polling->hold);
    frame_queue_cut(&polling->queue, 0);
    free(polling);
}
