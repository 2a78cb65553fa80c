#include "realtime/event_streams.h"

#include <inttypes.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include "admission.h"
#include "frame.h"
#include "realtime/rendering.h"
#include "slow_consumer.h"
#include "util/digits.h"
#include "util/fields.h"

/* A stream is there from the request to the end of the reply, and for that long its session is in the hub; only the
 * session of a stream that is being ended has left before. What is sent in one turn of the loop leaves at the turn's
 * end, in pieces that are small enough for a slow reader to take in before he counts as one who has stopped. */

enum { PIECE_MAX_BYTES = 16 << 10, PIECE_MAX_FRAMES = 64, OFFSET_MAX_LENGTH = 64 };

struct event_streams {
    struct event_streams_options options;
    struct event_stream *first;
    struct sio_frame *heartbeat; /* the same for all */
    bool is_closing;
    bool is_destroyed; /* but for what libh2o still holds */
};

struct event_stream {
    struct session session;
    struct event_streams *streams;
    struct http_request *request;
    struct event_stream *previous, *next;
    struct frame_queue queue;
    struct loop_deferred work; /* writes what is queued, or ends it */
    struct timer heartbeat;
    uint32_t sending; /* frames at the queue's head that are on their way */
    bool has_offset;  /* the client wants to resume */
    bool is_started;  /* the reply */
    bool is_ending;   /* nothing more is queued */
};

/* --- coming and going --- */

static void link_stream(struct event_stream *stream)
{
    struct event_streams *streams = stream->streams;
    stream->next = streams->first;
    if (stream->next != NULL) {
        stream->next->previous = stream;
    }
    streams->first = stream;
}

static void free_when_unused(struct event_streams *streams)
{
    if (streams->is_destroyed && streams->first == NULL) {
        sio_frame_unref(streams->heartbeat);
        free(streams);
    }
}

static void destroy_stream(struct event_stream *stream)
{
    struct event_streams *streams = stream->streams;
    struct loop *loop = streams->options.loop;
    if (stream->previous != NULL) {
        stream->previous->next = stream->next;
    } else {
        streams->first = stream->next;
    }
    if (stream->next != NULL) {
        stream->next->previous = stream->previous;
    }
    loop_timer_stop(loop, &stream->heartbeat);
    loop_defer_cancel(loop, &stream->work);
    session_leave(&stream->session);
    frame_queue_cut(&stream->queue, 0);
    http_request_unref(stream->request);
    free(stream);
    free_when_unused(streams);
}

static void on_end(void *data)
{
    destroy_stream(data);
}

/* What comes from the log is this stream's alone; a live event is shared by all that are told of it. */
static void tell_what_is_held(struct event_stream *stream)
{
    http_request_hold(stream->request, frame_queue_paced(&stream->queue));
}

/* Behind what is on its way. The stream may be gone then. */
static void end_stream(struct event_stream *stream)
{
    stream->is_ending = true;
    session_leave(&stream->session);
    frame_queue_cut(&stream->queue, stream->sending);
    tell_what_is_held(stream);
    loop_timer_stop(stream->streams->options.loop, &stream->heartbeat);
    http_request_end(stream->request);
}

/* --- sending --- */

static void write_piece(struct event_stream *stream)
{
    struct iovec vectors[PIECE_MAX_FRAMES];
    size_t bytes = 0;
    uint32_t count = 0;
    while (count < stream->queue.count && count < PIECE_MAX_FRAMES) {
        struct slice text = frame_payload(frame_queue_at(&stream->queue, count));
        if (count > 0 && bytes + text.length > PIECE_MAX_BYTES) {
            break;
        }
        vectors[count++] = (struct iovec){(char *)text.data, text.length};
        bytes += text.length;
    }
    stream->sending = count;
    http_request_send(stream->request, vectors, (int)count);
    tell_what_is_held(stream);
}

static void on_work(struct loop_deferred *work)
{
    struct event_stream *stream = (struct event_stream *)((char *)work - offsetof(struct event_stream, work));
    if (stream->is_ending) {
        end_stream(stream);
    } else if (!http_request_is_sending(stream->request) && stream->queue.count > 0) {
        write_piece(stream);
    } else {
        tell_what_is_held(stream);
    }
}

static void on_sent(void *data)
{
    struct event_stream *stream = data;
    frame_queue_pop(&stream->queue, stream->sending);
    stream->sending = 0;
    if (stream->queue.count > 0) {
        write_piece(stream);
    } else if (!stream->is_ending) {
        session_on_drain(&stream->session);
    }
}

static const struct http_stream_callbacks HTTP_CALLBACKS = {on_sent, on_end};

/* Past its cap, or without memory, the stream ends with the turn: its client comes back and reads the log. One that
 * does not read the log either is cut by the HTTP server, which waits for each piece. */
static void enqueue(struct event_stream *stream, struct sio_frame *frame, enum sio_sending sending)
{
    const struct event_streams_options *options = &stream->streams->options;
    if (stream->is_ending) {
        return;
    }
    stream->is_ending = frame == NULL
                            ? sending != SIO_SENDING_EPHEMERAL
                            : !frame_queue_offer(&stream->queue, frame, sending, options->send_queue_max_bytes);
    if (stream->is_ending) {
        slow_consumer_report(&stream->session, "server-sent events", SLOW_CONSUMER_QUEUE);
    }
    loop_defer(options->loop, &stream->work);
}

static void on_heartbeat(struct timer *timer)
{
    struct event_stream *stream = (struct event_stream *)((char *)timer - offsetof(struct event_stream, heartbeat));
    if (stream->queue.count == 0) {
        enqueue(stream, stream->streams->heartbeat, SIO_SENDING_COUNTED);
    }
    loop_timer_start(stream->streams->options.loop, timer, stream->streams->options.heartbeat_ms);
}

/* --- as the transport of a session --- */

/* The first thing that is sent tells where the stream begins, so that a client that loses it before the first event
 * resumes from here; a reset tells it too. */
static void greet(struct event_stream *stream, const struct session_opening *opening)
{
    char text[128];
    bool is_reset = stream->has_offset && !opening->is_resumed;
    int length =
        is_reset ? snprintf(text, sizeof text, "id: %" PRId64 "\nevent: reset\ndata: {\"offset\":\"%" PRId64 "\"}\n\n",
                            opening->seq, opening->seq)
                 : snprintf(text, sizeof text, ": begins behind this id\nid: %" PRId64 "\n\n", opening->seq);
    struct slice part = {text, (size_t)length};
    struct sio_frame *frame = frame_create(WS_OPCODE_TEXT, &part, 1);
    enqueue(stream, frame, SIO_SENDING_PACED);
    sio_frame_unref(frame);
}

static void on_open(struct session *session, const struct session_opening *opening)
{
    struct event_stream *stream = (struct event_stream *)session;
    struct http_request *request = stream->request;
    if (opening->status != STATUS_OK || stream->streams->is_closing) {
        enum status status = opening->status != STATUS_OK ? opening->status : STATUS_UNAVAILABLE;
        http_request_refuse(request, status, status_message(status));
        destroy_stream(stream);
        return;
    }
    http_request_add_header(request, "cache-control", SLICE("no-store"));
    http_request_add_header(request, "x-accel-buffering", SLICE("no"));
    if (!http_request_start(request, "text/event-stream", &HTTP_CALLBACKS, stream)) {
        destroy_stream(stream);
        return;
    }
    stream->is_started = true;
    loop_timer_start(stream->streams->options.loop, &stream->heartbeat, stream->streams->options.heartbeat_ms);
    greet(stream, opening);
}

static void send_event(struct session *session, struct rendering *rendering, enum session_sending sending)
{
    enqueue((struct event_stream *)session, rendering_frame(rendering, RENDERING_SSE), frame_sending(sending));
}

static bool wait_for_drain(struct session *session)
{
    return ((struct event_stream *)session)->queue.count > 0;
}

static void end(struct session *session)
{
    struct event_stream *stream = (struct event_stream *)session;
    stream->is_ending = true;
    loop_defer(stream->streams->options.loop, &stream->work);
}

static const struct session_transport SSE_TRANSPORT = {on_open, send_event, wait_for_drain, end};

/* --- requests --- */

static const struct field QUERY_FIELDS[] = {{.name = "since", .type = FIELD_TEXT, .max = OFFSET_MAX_LENGTH}, {0}};

static bool is_number(struct slice text)
{
    for (size_t i = 0; i < text.length; i++) {
        if (!digits_hold(text.data[i])) {
            return false;
        }
    }
    return text.length > 0;
}

/* Where the client wants to go on; empty for none. False, and the request is refused, if that is no number. */
static bool read_offset(struct http_request *request, struct field_values *query, struct slice *ret_offset)
{
    static const char NO_NUMBER[] = "The offset must be a whole number";
    struct slice header = http_request_header(request, "last-event-id");
    bool is_in_header = header.length > 0;
    bool is_good = is_in_header || fields_read_query(QUERY_FIELDS, http_request_query(request), query);
    struct slice offset = is_in_header ? header : query->values[0].text;
    if (is_good && (is_in_header || query->values[0].present) && !is_number(offset)) {
        fields_add_error(query, is_in_header ? "Last-Event-ID" : "since",
                         is_in_header ? FIELD_IN_HEADER : FIELD_IN_QUERY, NO_NUMBER);
        is_good = false;
    }
    if (!is_good) {
        http_request_refuse_input(request, query);
        return false;
    }
    *ret_offset = offset;
    return true;
}

static void open_stream(struct event_streams *streams, struct http_request *request, const struct token_claims *claims,
                        struct slice offset)
{
    struct event_stream *stream = calloc(1, sizeof *stream);
    if (stream == NULL) {
        http_request_refuse(request, STATUS_UNAVAILABLE, status_message(STATUS_UNAVAILABLE));
        return;
    }
    stream->session.transport = &SSE_TRANSPORT;
    session_set_token(&stream->session, claims);
    stream->streams = streams;
    stream->request = http_request_ref(request);
    stream->work.run = on_work;
    stream->heartbeat.on_fire = on_heartbeat;
    stream->has_offset = offset.length > 0;
    link_stream(stream);
    if (!session_open(&stream->session, streams->options.worker->hub, &(struct session_resume){.offset = offset})) {
        http_request_refuse(request, STATUS_UNAVAILABLE, status_message(STATUS_UNAVAILABLE));
        destroy_stream(stream);
    }
}

void event_streams_handle(struct event_streams *streams, struct http_request *request)
{
    struct token_claims claims;
    if (!http_request_allow(request, "GET")) {
        return;
    }
    if (streams->is_closing) {
        http_request_refuse(request, STATUS_UNAVAILABLE, status_message(STATUS_UNAVAILABLE));
        return;
    }
    struct admission_papers papers = {.query = http_request_query(request),
                                      .authorization = http_request_header(request, "authorization")};
    enum admission admission = admission_check(streams->options.worker->tokens, &papers, &claims);
    if (admission != ADMISSION_GRANTED) {
        http_request_refuse(request, admission_status(admission), admission_message(admission));
        return;
    }
    struct field_values query;
    struct slice offset;
    fields_init(&query);
    if (read_offset(request, &query, &offset)) {
        open_stream(streams, request, &claims, offset);
    }
    fields_dispose(&query);
}

/* --- all of them --- */

struct event_streams *event_streams_create(const struct event_streams_options *options)
{
    struct event_streams *streams = calloc(1, sizeof *streams);
    struct slice heartbeat = SLICE(":\n\n");
    if (streams == NULL || (streams->heartbeat = frame_create(WS_OPCODE_TEXT, &heartbeat, 1)) == NULL) {
        free(streams);
        return NULL;
    }
    streams->options = *options;
    return streams;
}

bool event_streams_let_go(struct event_streams *streams, int max)
{
    struct event_stream *next;
    streams->is_closing = true;
    for (struct event_stream *stream = streams->first; stream != NULL; stream = next) {
        next = stream->next;
        if (!stream->is_started || stream->is_ending) {
            continue;
        }
        if (max-- <= 0) {
            return false;
        }
        end_stream(stream);
    }
    return true;
}

void event_streams_destroy(struct event_streams *streams)
{
    if (streams == NULL) {
        return;
    }
    event_streams_let_go(streams, INT_MAX);
    for (struct event_stream *stream = streams->first; stream != NULL; stream = stream->next) {
        session_leave(&stream->session);
    }
    streams->is_destroyed = true;
    free_when_unused(streams);
}
