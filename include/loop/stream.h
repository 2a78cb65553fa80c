/* A connected byte stream (TCP, or TLS over it) that the HTTP server has handed over: WebSockets live on these.
 * A stream belongs to one loop's thread; stream_move hands it to another. */
#ifndef STONECHAT_LOOP_STREAM_H
#define STONECHAT_LOOP_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/uio.h>

#include "loop/loop.h"

struct stream;

struct stream_callbacks {
    /* Bytes have come. Returns how many were used; the rest comes again, with more behind it. The stream may be closed
     * inside. */
    size_t (*on_read)(void *data, const char *bytes, size_t length);
    /* The peer has closed, or the connection broke: called at most once, and not after stream_close. The callee closes.
     */
    void (*on_end)(void *data);
    /* The last stream_write has left the process, or failed (then on_end follows). */
    void (*on_written)(void *data);
};

/* Starts reading (bytes that came with the upgrade request first, in a later turn). `callbacks` must outlive the
 * stream. */
void stream_start(struct stream *stream, const struct stream_callbacks *callbacks, void *data);

/* Writes; only when stream_is_writing is false. The memory behind `vectors` must stay until on_written; the array
 * itself may go at once. */
void stream_write(struct stream *stream, const struct iovec *vectors, int count);
bool stream_is_writing(const struct stream *stream);

/* Pauses and resumes reading. */
void stream_pause(struct stream *stream);
void stream_resume(struct stream *stream);

/* Tells the peer that nothing more will be written; reading goes on. Only when stream_is_writing is false. */
void stream_end(struct stream *stream);

/* The loop whose thread the stream lives on. */
struct loop *stream_loop(const struct stream *stream);

/* Hands a stream that is not writing, and not started, to another loop's thread, where `on_moved` gets it (the same
 * object) and starts it. */
void stream_move(struct stream *stream, struct loop *target, void (*on_moved)(struct stream *stream, void *data),
                 void *data);

/* Something that is let go of when the stream is closed, by whichever thread it lives on then. Once. */
void stream_keep(struct stream *stream, void *kept, void (*release)(void *kept));

/* Closes and frees. No callback comes after it. Memory under write may be freed when this returns. NULL is fine. */
void stream_close(struct stream *stream);

#endif
