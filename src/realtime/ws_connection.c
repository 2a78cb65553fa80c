#include "ws_connection.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "rate.h"

/* The closing handshake: whoever closes first sends a Close and waits for the other's; then the server ends the TCP
 * connection. After a failure nothing of the peer can be understood any more, so its bytes are thrown away until it
 * ends the connection itself: ending it first, with bytes unread, could destroy the Close that tells why. */

enum { CLOSE_TIMEOUT_MS = 2000, WRITE_VECTORS_MAX = 256, SCRATCH_KEPT_BYTES = 1 << 16 };

enum state {
    STATE_OPEN,
    STATE_CLOSING, /* our Close is queued or sent; the peer's is awaited */
    STATE_FAILED,  /* our Close is queued or sent; the peer's end is awaited */
    STATE_ENDING,  /* both have closed; what is queued still leaves */
    STATE_DEAD,    /* freed at the end of the turn */
};

struct ws_connection {
    struct ws_host *host;
    struct stream *stream;
    const struct ws_callbacks *callbacks;
    void *data;
    struct frame_queue queue;
    struct ws_parser parser;
    struct loop_deferred work; /* writes what is queued, or frees the dead */
    struct timer deadline;     /* of the closing handshake */
    struct ws_connection *previous, *next;
    struct rate rate; /* of the frames that come */
    uint32_t writing; /* frames at the queue's head that are under write */
    uint8_t state;
    bool is_paused;
};

static struct ws_connection *connection_of(struct loop_deferred *work)
{
    return (struct ws_connection *)((char *)work - offsetof(struct ws_connection, work));
}

/* --- end --- */

static void unlink_from_host(struct ws_connection *connection)
{
    if (connection->previous != NULL) {
        connection->previous->next = connection->next;
    } else {
        connection->host->first = connection->next;
    }
    if (connection->next != NULL) {
        connection->next->previous = connection->previous;
    }
    connection->host->count--;
}

/* Ends the TCP connection; the rest is freed when no callback is under way. The host may be gone by then. */
static void die(struct ws_connection *connection)
{
    if (connection->state == STATE_DEAD) {
        return;
    }
    connection->state = STATE_DEAD;
    loop_timer_stop(connection->host->loop, &connection->deadline);
    stream_close(connection->stream);
    connection->stream = NULL;
    unlink_from_host(connection);
    loop_defer(connection->host->loop, &connection->work);
}

static void on_deadline(struct timer *timer)
{
    die((struct ws_connection *)((char *)timer - offsetof(struct ws_connection, deadline)));
}

static void tell_end(struct ws_connection *connection, enum ws_end end)
{
    if (connection->callbacks != NULL) {
        const struct ws_callbacks *callbacks = connection->callbacks;
        connection->callbacks = NULL;
        callbacks->on_end(connection->data, end);
    }
}

/* --- writing --- */

static void write_queue(struct ws_connection *connection)
{
    struct iovec vectors[WRITE_VECTORS_MAX];
    uint32_t count = connection->queue.count < WRITE_VECTORS_MAX ? connection->queue.count : WRITE_VECTORS_MAX;
    for (uint32_t i = 0; i < count; i++) {
        struct slice wire = frame_wire(frame_queue_at(&connection->queue, i));
        vectors[i] = (struct iovec){(char *)wire.data, wire.length};
    }
    connection->writing = count;
    stream_write(connection->stream, vectors, (int)count);
}

static void on_work(struct loop_deferred *work)
{
    struct ws_connection *connection = connection_of(work);
    if (connection->state == STATE_DEAD) {
        frame_queue_cut(&connection->queue, 0);
        ws_parser_dispose(&connection->parser);
        free(connection);
    } else if (connection->writing == 0 && connection->queue.count > 0) {
        write_queue(connection);
    }
}

static void write_soon(struct ws_connection *connection)
{
    if (connection->writing == 0) {
        loop_defer(connection->host->loop, &connection->work);
    }
}

static bool send_control(struct ws_connection *connection, enum ws_opcode opcode, struct slice payload)
{
    struct sio_frame *frame = frame_create(opcode, &payload, 1);
    bool good = frame != NULL && frame_queue_push(&connection->queue, frame);
    write_soon(connection);
    sio_frame_unref(frame);
    return good;
}

/* The last frame that this side sends. */
static void send_close(struct ws_connection *connection, enum ws_close_code code, const char *reason, enum state state)
{
    char bytes[WS_CONTROL_MAX_BYTES] = {(char)(code >> 8), (char)(code & 0xff)};
    size_t length = reason != NULL ? strlen(reason) : 0;
    assert(length <= WS_REASON_MAX_BYTES);
    if (length > 0) {
        memcpy(bytes + 2, reason, length);
    }
    connection->state = (uint8_t)state;
    if (!send_control(connection, WS_OPCODE_CLOSE, (struct slice){bytes, code == WS_CLOSE_NONE ? 0 : 2 + length})) {
        die(connection);
        return;
    }
    loop_timer_start(connection->host->loop, &connection->deadline, CLOSE_TIMEOUT_MS);
}

/* Tells the peer why, and forgets what else it should have got. */
static void fail(struct ws_connection *connection, enum ws_close_code code)
{
    frame_queue_cut(&connection->queue, connection->writing);
    send_close(connection, code, NULL, STATE_FAILED);
    tell_end(connection, WS_END_FAILURE);
}

static void on_written(void *data)
{
    struct ws_connection *connection = data;
    frame_queue_pop(&connection->queue, connection->writing);
    connection->writing = 0;
    if (connection->queue.count > 0) {
        write_queue(connection);
    } else if (connection->state == STATE_ENDING) {
        die(connection);
    } else if (connection->state == STATE_FAILED) {
        stream_end(connection->stream);
    } else if (connection->callbacks != NULL && connection->callbacks->on_drain != NULL) {
        connection->callbacks->on_drain(connection->data);
    }
}

/* --- reading --- */

static void on_peer_close(struct ws_connection *connection, enum ws_close_code code)
{
    if (connection->state == STATE_OPEN) {
        send_close(connection, code, NULL, STATE_ENDING);
        tell_end(connection, WS_END_CLOSED);
    } else if (connection->queue.count > 0) {
        connection->state = STATE_ENDING;
    } else {
        die(connection);
    }
}

static void on_ping(struct ws_connection *connection, struct slice payload)
{
    if (connection->state != STATE_OPEN) {
        return;
    }
    if (frame_queue_counted(&connection->queue) > connection->host->queue_max_bytes ||
        !send_control(connection, WS_OPCODE_PONG, payload)) {
        fail(connection, WS_CLOSE_POLICY);
    }
}

static void on_event(struct ws_connection *connection, const struct ws_event *event)
{
    switch (event->type) {
    case WS_EVENT_TEXT:
    case WS_EVENT_BINARY:
        if (connection->callbacks != NULL) {
            connection->callbacks->on_message(connection->data, event->payload, event->type == WS_EVENT_BINARY);
        }
        break;
    case WS_EVENT_PING:
        on_ping(connection, event->payload);
        break;
    case WS_EVENT_CLOSE:
        on_peer_close(connection, event->code);
        break;
    case WS_EVENT_FAILURE:
        if (connection->state == STATE_OPEN) {
            fail(connection, event->code);
        } else {
            connection->state = STATE_FAILED;
            if (connection->queue.count == 0) {
                stream_end(connection->stream);
            }
        }
        break;
    case WS_EVENT_PONG:
        if (connection->callbacks != NULL && connection->callbacks->on_pong != NULL) {
            connection->callbacks->on_pong(connection->data);
        }
        break;
    case WS_EVENT_MORE:
        break;
    }
}

static void count_frames(struct ws_connection *connection)
{
    uint32_t frames = connection->parser.frames, max = connection->host->max_frames_per_second;
    connection->parser.frames = 0;
    if (frames > 0 && max > 0 && !rate_take(&connection->rate, max, frames, loop_now_ms(connection->host->loop)) &&
        connection->state == STATE_OPEN) {
        fail(connection, WS_CLOSE_POLICY);
    }
}

static bool is_reading(const struct ws_connection *connection)
{
    return connection->state == STATE_OPEN || connection->state == STATE_CLOSING;
}

/* While no message is under way, the connections of a host use one buffer by turns. */
static void borrow_scratch(struct ws_connection *connection)
{
    struct ws_host *host = connection->host;
    if (connection->parser.message.data == NULL) {
        connection->parser.message = host->scratch;
        host->scratch = buffer_init(host->max_message_bytes);
    }
}

static void return_scratch(struct ws_connection *connection)
{
    struct ws_host *host = connection->host;
    struct buffer *message = &connection->parser.message;
    if (connection->state == STATE_DEAD || !ws_parser_is_idle(&connection->parser)) {
        return;
    }
    if (host->scratch.data != NULL || message->capacity > SCRATCH_KEPT_BYTES) {
        buffer_dispose(message);
    } else {
        message->length = 0;
        host->scratch = *message;
    }
    *message = buffer_init(host->max_message_bytes);
    connection->parser.is_given = false;
}

static size_t on_read(void *data, const char *bytes, size_t length)
{
    struct ws_connection *connection = data;
    if (!is_reading(connection)) {
        return length;
    }
    struct ws_event event;
    size_t used = 0;
    borrow_scratch(connection);
    do {
        used += ws_parser_read(&connection->parser, bytes + used, length - used, &event);
        count_frames(connection);
        if (is_reading(connection)) {
            on_event(connection, &event);
        }
    } while (event.type != WS_EVENT_MORE && is_reading(connection) && !connection->is_paused);
    return_scratch(connection);
    return is_reading(connection) ? used : length;
}

static void on_end(void *data)
{
    struct ws_connection *connection = data;
    die(connection);
    tell_end(connection, WS_END_BROKEN);
}

static const struct stream_callbacks STREAM_CALLBACKS = {on_read, on_end, on_written};

/* --- for its user --- */

struct ws_connection *ws_connection_create(struct ws_host *host, struct stream *stream,
                                           const struct ws_callbacks *callbacks, void *data)
{
    struct ws_connection *connection = calloc(1, sizeof *connection);
    if (connection == NULL) {
        stream_close(stream);
        return NULL;
    }
    connection->host = host;
    connection->stream = stream;
    connection->callbacks = callbacks;
    connection->data = data;
    connection->work.run = on_work;
    connection->deadline.on_fire = on_deadline;
    ws_parser_init(&connection->parser, host->max_message_bytes);
    connection->next = host->first;
    if (host->first != NULL) {
        host->first->previous = connection;
    }
    host->first = connection;
    host->count++;
    stream_start(stream, &STREAM_CALLBACKS, connection);
    return connection;
}

void ws_connection_set_user(struct ws_connection *connection, const struct ws_callbacks *callbacks, void *data)
{
    assert(connection->callbacks != NULL);
    connection->callbacks = callbacks;
    connection->data = data;
}

bool ws_connection_send(struct ws_connection *connection, struct sio_frame *frame, enum sio_sending sending)
{
    if (connection->state != STATE_OPEN) {
        return true;
    }
    write_soon(connection);
    return frame_queue_offer(&connection->queue, frame, sending, connection->host->queue_max_bytes);
}

void ws_connection_limit(struct ws_connection *connection, size_t max_message_bytes)
{
    size_t most = connection->host->max_message_bytes;
    connection->parser.max_bytes = max_message_bytes < most ? max_message_bytes : most;
}

size_t ws_connection_queued_bytes(const struct ws_connection *connection)
{
    return connection->queue.bytes;
}

void ws_connection_pause(struct ws_connection *connection)
{
    connection->is_paused = true;
    stream_pause(connection->stream);
}

void ws_connection_resume(struct ws_connection *connection)
{
    connection->is_paused = false;
    stream_resume(connection->stream);
}

void ws_connection_close(struct ws_connection *connection, enum ws_close_code code, const char *reason)
{
    connection->callbacks = NULL;
    if (connection->is_paused) {
        ws_connection_resume(connection); /* for the peer's Close */
    }
    if (connection->state == STATE_OPEN) {
        send_close(connection, code, reason, STATE_CLOSING);
    }
}

void ws_connection_close_now(struct ws_connection *connection, enum ws_close_code code, const char *reason)
{
    frame_queue_cut(&connection->queue, connection->writing);
    ws_connection_close(connection, code, reason);
}

void ws_host_init(struct ws_host *host, struct loop *loop, size_t max_message_bytes, size_t queue_max_bytes)
{
    *host = (struct ws_host){.loop = loop,
                             .max_message_bytes = max_message_bytes,
                             .queue_max_bytes = queue_max_bytes,
                             .scratch = buffer_init(max_message_bytes)};
}

bool ws_host_let_go(struct ws_host *host, enum ws_close_code code, int max)
{
    struct ws_connection *next;
    for (struct ws_connection *connection = host->first; connection != NULL; connection = next) {
        next = connection->next;
        if (connection->state == STATE_OPEN && max-- <= 0) {
            return false;
        }
        if (connection->state == STATE_OPEN) {
            if (connection->is_paused) {
                ws_connection_resume(connection);
            }
            send_close(connection, code, NULL, STATE_CLOSING);
            tell_end(connection, WS_END_CLOSED);
        }
    }
    return true;
}

void ws_host_dispose(struct ws_host *host)
{
    while (host->first != NULL) {
        die(host->first);
    }
    buffer_dispose(&host->scratch);
}
