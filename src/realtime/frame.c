#include "frame.h"

#include <assert.h>
#include <stdlib.h>

#include "util/metrics.h"

enum { FEW = 2, MANY_AT_FIRST = 8 };

struct sio_frame *frame_create(enum ws_opcode opcode, const struct slice *parts, int count)
{
    size_t length = 0;
    for (int i = 0; i < count; i++) {
        length += parts[i].length;
    }
    struct sio_frame *frame = length <= UINT32_MAX ? malloc(sizeof *frame + WS_HEADER_MAX_BYTES + length) : NULL;
    if (frame == NULL) {
        return NULL;
    }
    uint8_t header[WS_HEADER_MAX_BYTES];
    size_t header_length = ws_encode_header(opcode, length, header);
    atomic_init(&frame->references, 1);
    frame->length = (uint32_t)length;
    frame->opcode = (uint8_t)opcode;
    frame->header_length = (uint8_t)header_length;
    memcpy(frame->bytes + WS_HEADER_MAX_BYTES - header_length, header, header_length);
    char *at = frame->bytes + WS_HEADER_MAX_BYTES;
    for (int i = 0; i < count; i++) {
        if (parts[i].length > 0) {
            memcpy(at, parts[i].data, parts[i].length);
            at += parts[i].length;
        }
    }
    return frame;
}

struct sio_frame *sio_frame_ref(struct sio_frame *frame)
{
    atomic_fetch_add_explicit(&frame->references, 1, memory_order_relaxed);
    return frame;
}

void sio_frame_unref(struct sio_frame *frame)
{
    if (frame != NULL && atomic_fetch_sub_explicit(&frame->references, 1, memory_order_acq_rel) == 1) {
        free(frame);
    }
}

/* --- queue --- */

static struct sio_frame **slots(struct frame_queue *queue)
{
    return queue->many != NULL ? queue->many : queue->few;
}

struct sio_frame *frame_queue_at(const struct frame_queue *queue, uint32_t index)
{
    assert(index < queue->count);
    return (queue->many != NULL ? queue->many : queue->few)[queue->head + index];
}

/* Makes a place at the end: by moving all to the front when that half is free, else by doubling. */
static bool make_place(struct frame_queue *queue)
{
    uint32_t capacity = queue->many != NULL ? queue->capacity : FEW;
    if (queue->head + queue->count < capacity) {
        return true;
    }
    struct sio_frame **from = slots(queue) + queue->head;
    if (queue->head > 0 && queue->head >= capacity / 2) {
        memmove(slots(queue), from, queue->count * sizeof(struct sio_frame *));
        queue->head = 0;
        return true;
    }
    uint32_t larger = queue->many != NULL ? capacity * 2 : MANY_AT_FIRST;
    struct sio_frame **many = malloc(larger * sizeof(struct sio_frame *));
    if (many == NULL) {
        return false;
    }
    memcpy(many, from, queue->count * sizeof(struct sio_frame *));
    free(queue->many);
    queue->many = many;
    queue->capacity = larger;
    queue->head = 0;
    return true;
}

bool frame_queue_push(struct frame_queue *queue, struct sio_frame *frame)
{
    if (!make_place(queue)) {
        return false;
    }
    slots(queue)[queue->head + queue->count++] = sio_frame_ref(frame);
    queue->bytes += frame_wire(frame).length;
    return true;
}

bool frame_queue_offer(struct frame_queue *queue, struct sio_frame *frame, enum sio_sending sending, size_t max_bytes)
{
    if (sending == SIO_SENDING_EPHEMERAL && queue->bytes > max_bytes / 2) {
        metrics_add(METRIC_EPHEMERAL_DROPPED, 1);
        return true;
    }
    queue->paced_bytes += sending == SIO_SENDING_PACED ? frame_wire(frame).length : 0;
    return frame_queue_push(queue, frame) && frame_queue_counted(queue) <= max_bytes;
}

static void forget_when_empty(struct frame_queue *queue)
{
    if (queue->count == 0) {
        free(queue->many);
        *queue = (struct frame_queue){0};
    }
}

void frame_queue_pop(struct frame_queue *queue, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        struct sio_frame *frame = frame_queue_at(queue, 0);
        queue->bytes -= frame_wire(frame).length;
        queue->head++;
        queue->count--;
        sio_frame_unref(frame);
    }
    forget_when_empty(queue);
}

void frame_queue_cut(struct frame_queue *queue, uint32_t count)
{
    while (queue->count > count) {
        struct sio_frame *frame = frame_queue_at(queue, queue->count - 1);
        queue->bytes -= frame_wire(frame).length;
        queue->count--;
        sio_frame_unref(frame);
    }
    forget_when_empty(queue);
}
