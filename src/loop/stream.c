#include "loop/stream.h"

#include <assert.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "loop/h2o_loop.h"

/* A libh2o socket behind the callbacks of stream.h. A stream closed inside one of its own callbacks is freed when the
 * callback has returned. */

struct stream {
    struct loop *loop;
    h2o_socket_t *socket; /* NULL while it moves, and once closed */
    const struct stream_callbacks *callbacks;
    void *data;
    void *kept;
    void (*release)(void *kept);
    struct loop_deferred first_read; /* what came with the upgrade */
    int depth;                       /* callbacks under way */
    bool is_paused, has_ended, is_closed;
};

struct stream *stream_create(struct loop *loop, h2o_socket_t *socket)
{
    struct stream *stream = calloc(1, sizeof *stream);
    if (stream == NULL) {
        h2o_socket_close(socket);
        return NULL;
    }
    stream->loop = loop;
    stream->socket = socket;
    socket->data = stream;
    return stream;
}

static void enter(struct stream *stream)
{
    stream->depth++;
}

static void leave(struct stream *stream)
{
    if (--stream->depth == 0 && stream->is_closed && !stream->first_read.queued) {
        free(stream);
    }
}

static void end(struct stream *stream)
{
    if (stream->has_ended || stream->is_closed) {
        return;
    }
    stream->has_ended = true;
    h2o_socket_read_stop(stream->socket);
    stream->callbacks->on_end(stream->data);
}

/* Gives what has come to the owner, and forgets what it used. */
static void deliver(struct stream *stream)
{
    if (stream->is_closed || stream->is_paused || stream->has_ended || stream->socket->input->size == 0) {
        return;
    }
    size_t used = stream->callbacks->on_read(stream->data, stream->socket->input->bytes, stream->socket->input->size);
    if (!stream->is_closed && used > 0) {
        h2o_buffer_consume(&stream->socket->input, used);
    }
}

static void on_read(h2o_socket_t *socket, const char *error)
{
    struct stream *stream = socket->data;
    enter(stream);
    if (error != NULL) {
        end(stream);
    } else {
        deliver(stream);
    }
    leave(stream);
}

static void on_first_read(struct loop_deferred *deferred)
{
    struct stream *stream = (struct stream *)((char *)deferred - offsetof(struct stream, first_read));
    enter(stream);
    deliver(stream);
    leave(stream);
}

void stream_start(struct stream *stream, const struct stream_callbacks *callbacks, void *data)
{
    stream->callbacks = callbacks;
    stream->data = data;
    stream->first_read.run = on_first_read;
    h2o_socket_read_start(stream->socket, on_read);
    if (stream->socket->input->size > 0) {
        loop_defer(stream->loop, &stream->first_read);
    }
}

static void on_written(h2o_socket_t *socket, const char *error)
{
    struct stream *stream = socket->data;
    enter(stream);
    stream->callbacks->on_written(stream->data);
    if (error != NULL) {
        end(stream);
    }
    leave(stream);
}

void stream_write(struct stream *stream, const struct iovec *vectors, int count)
{
    assert(!stream_is_writing(stream));
    _Static_assert(sizeof(struct iovec) == sizeof(h2o_iovec_t), "libh2o's vector is the system's");
    h2o_socket_write(stream->socket, (h2o_iovec_t *)vectors, (size_t)count, on_written);
}

bool stream_is_writing(const struct stream *stream)
{
    return h2o_socket_is_writing(stream->socket);
}

void stream_end(struct stream *stream)
{
    assert(!stream_is_writing(stream));
    shutdown(h2o_socket_get_fd(stream->socket), SHUT_WR);
}

void stream_pause(struct stream *stream)
{
    stream->is_paused = true;
    h2o_socket_read_stop(stream->socket);
}

void stream_resume(struct stream *stream)
{
    if (stream->has_ended || !stream->is_paused) {
        return;
    }
    stream->is_paused = false;
    h2o_socket_read_start(stream->socket, on_read);
    if (stream->socket->input->size > 0) {
        loop_defer(stream->loop, &stream->first_read);
    }
}

struct loop *stream_loop(const struct stream *stream)
{
    return stream->loop;
}

/* A stream on its way to another thread. */
struct move {
    struct loop_task task;
    struct stream *stream;
    h2o_socket_export_t socket;
    void (*on_moved)(struct stream *stream, void *data);
    void *data;
};

static void on_arrival(struct loop_task *task)
{
    struct move *move = (struct move *)task;
    struct stream *stream = move->stream;
    stream->socket = h2o_socket_import(loop_h2o(stream->loop), &move->socket);
    stream->socket->data = stream;
    move->on_moved(stream, move->data);
    free(move);
}

void stream_move(struct stream *stream, struct loop *target, void (*on_moved)(struct stream *stream, void *data),
                 void *data)
{
    assert(stream->callbacks == NULL && !stream_is_writing(stream));
    struct move *move = h2o_mem_alloc(sizeof *move);
    *move = (struct move){.task.run = on_arrival, .stream = stream, .on_moved = on_moved, .data = data};
    if (h2o_socket_export(stream->socket, &move->socket) != 0) {
        h2o_fatal("a socket of this loop cannot be exported");
    }
    stream->socket = NULL;
    stream->loop = target;
    loop_post(target, &move->task);
}

void stream_keep(struct stream *stream, void *kept, void (*release)(void *kept))
{
    assert(stream->release == NULL);
    stream->kept = kept;
    stream->release = release;
}

void stream_close(struct stream *stream)
{
    if (stream == NULL || stream->is_closed) {
        return;
    }
    stream->is_closed = true;
    if (stream->release != NULL) {
        stream->release(stream->kept);
    }
    if (stream->socket != NULL) {
        h2o_socket_close(stream->socket);
        stream->socket = NULL;
    }
    if (stream->depth == 0 && !stream->first_read.queued) {
        free(stream);
    }
}
