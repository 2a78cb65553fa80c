/* What is sent: a packet with its WebSocket header already in front, made once and shared by reference between any
 * number of queues on any thread; and the queue of a connection. */
#ifndef STONECHAT_REALTIME_FRAME_H
#define STONECHAT_REALTIME_FRAME_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "realtime/session.h"
#include "realtime/socketio.h"
#include "util/slice.h"
#include "websocket.h"

struct sio_frame {
    atomic_uint references;
    uint32_t length; /* of the payload */
    uint8_t opcode;
    uint8_t header_length;
    char bytes[]; /* WS_HEADER_MAX_BYTES with the header at their end, then the payload */
};

/* A frame of the parts put together, with one reference. NULL without memory, or past 4 GiB. */
struct sio_frame *frame_create(enum ws_opcode opcode, const struct slice *parts, int count);

static inline struct slice frame_payload(const struct sio_frame *frame)
{
    return (struct slice){frame->bytes + WS_HEADER_MAX_BYTES, frame->length};
}

/* Header and payload. */
static inline struct slice frame_wire(const struct sio_frame *frame)
{
    return (struct slice){frame->bytes + WS_HEADER_MAX_BYTES - frame->header_length,
                          (size_t)frame->header_length + frame->length};
}

/* How what a session sends is queued. */
static inline enum sio_sending frame_sending(enum session_sending sending)
{
    static const enum sio_sending sendings[] = {[SESSION_SENDING_LIVE] = SIO_SENDING_COUNTED,
                                                [SESSION_SENDING_PACED] = SIO_SENDING_PACED,
                                                [SESSION_SENDING_EPHEMERAL] = SIO_SENDING_EPHEMERAL};
    return sendings[sending];
}

/* First in, first out. Holds a reference to each; has no memory of its own while at most two wait. All zeros is empty.
 */
struct frame_queue {
    struct sio_frame *few[2];
    struct sio_frame **many; /* instead of `few`, while there are more */
    uint32_t head, count, capacity;
    size_t bytes;       /* on the wire */
    size_t paced_bytes; /* of those, what its sender paces; may be less by now. See frame_queue_paced */
};

static inline size_t frame_queue_paced(const struct frame_queue *queue)
{
    return queue->bytes < queue->paced_bytes ? queue->bytes : queue->paced_bytes;
}

/* What counts against a cap. */
static inline size_t frame_queue_counted(const struct frame_queue *queue)
{
    return queue->bytes - frame_queue_paced(queue);
}

/* Adds a reference of its own. False without memory. */
bool frame_queue_push(struct frame_queue *queue, struct sio_frame *frame);
struct sio_frame *frame_queue_at(const struct frame_queue *queue, uint32_t index);
/* Adds it by the rules of `sending`: an ephemeral frame is dropped (and counted: METRIC_EPHEMERAL_DROPPED) while the
 * queue is more than half full, and a paced one doesn't count. False when the queue is past its cap or there is no
 * memory. */
bool frame_queue_offer(struct frame_queue *queue, struct sio_frame *frame, enum sio_sending sending, size_t max_bytes);
/* Drops the first `count`. */
void frame_queue_pop(struct frame_queue *queue, uint32_t count);
/* Drops all behind the first `count`. */
void frame_queue_cut(struct frame_queue *queue, uint32_t count);

#endif
