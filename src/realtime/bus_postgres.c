#include <stddef.h>
#include <stdlib.h>

#include "bus_codec.h"
#include "db/listener.h"
#include "realtime/bus.h"
#include "util/buffer.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/metrics.h"
#include "util/utf8.h"

/* A notification is a message of bus_codec.c. What comes up in one turn of the loop, or while one is under way, goes
 * together: a busy node sends few and long ones. Payloads of durable events are not sent: whoever needs one reads the
 * log. An ephemeral event that does not fit is dropped. */

static const char CHANNEL[] = "stonechat";

enum {
    QUEUE_MAX_BYTES = 8 << 20,
    EPHEMERAL_QUEUE_MAX_BYTES = 1 << 20,
    ITEM_MAX_BYTES = LISTENER_PAYLOAD_MAX_BYTES - UUID_TEXT_LENGTH - 1
};

struct bus_postgres {
    struct bus bus; /* first */
    struct bus_options options;
    struct listener *listener;
    struct loop_deferred work; /* sends what one turn of the loop has brought up */
    struct buffer queue;       /* items, each with its newline */
    bool has_complained;       /* of what is no item: once is enough */
    int64_t told_us;           /* when the oldest was told that has not come back; 0: none */
};

/* --- writing --- */

/* The length of the items at the front of the queue that fit in `room`. */
static size_t fitting_items(const struct buffer *queue, size_t room)
{
    size_t fitting = 0;
    while (fitting < queue->length) {
        const char *end = memchr(queue->data + fitting, '\n', queue->length - fitting);
        size_t next = (size_t)(end - queue->data) + 1;
        if (next > room) {
            break;
        }
        fitting = next;
    }
    return fitting;
}

static void flush(struct bus_postgres *self)
{
    if (self->queue.length == 0 || !listener_is_idle(self->listener)) {
        return;
    }
    struct buffer payload = buffer_init(LISTENER_PAYLOAD_MAX_BYTES);
    bus_codec_write_sender(&payload, self->options.node_id);
    size_t length = fitting_items(&self->queue, LISTENER_PAYLOAD_MAX_BYTES - payload.length);
    buffer_append(&payload, self->queue.data, length);
    if (!payload.failed) {
        listener_notify(self->listener, buffer_slice(&payload));
        self->told_us = self->told_us == 0 ? clock_now_us() : self->told_us;
        buffer_consume(&self->queue, length);
    }
    buffer_dispose(&payload);
}

static void on_work(struct loop_deferred *work)
{
    flush((struct bus_postgres *)((char *)work - offsetof(struct bus_postgres, work)));
}

/* Takes back an item that was not written whole, or would never fit. */
static void end_item(struct bus_postgres *self, size_t start)
{
    if (self->queue.failed || self->queue.length - start > ITEM_MAX_BYTES) {
        self->queue.length = start;
        self->queue.failed = false;
    }
    loop_defer(self->options.loop, &self->work);
}

static void write_hints(struct bus_postgres *self, const struct hub_event *event)
{
    for (int i = 0; i < event->recipient_count; i++) {
        size_t start = self->queue.length;
        bus_codec_write_hint(&self->queue, &event->recipients[i]);
        end_item(self, start);
    }
}

/* As many recipients an item as fit beside the event. */
static void write_ephemeral(struct bus_postgres *self, const struct hub_event *event)
{
    size_t event_bytes = event->type.length + event->payload.length + 3;
    if (event_bytes + UUID_TEXT_LENGTH + 1 > ITEM_MAX_BYTES) {
        return;
    }
    int most = (int)((ITEM_MAX_BYTES - event_bytes) / (UUID_TEXT_LENGTH + 1));
    most = most < BUS_CODEC_RECIPIENTS_MAX ? most : BUS_CODEC_RECIPIENTS_MAX;
    for (int i = 0; i < event->recipient_count && self->queue.length <= EPHEMERAL_QUEUE_MAX_BYTES; i += most) {
        int left = event->recipient_count - i;
        size_t start = self->queue.length;
        bus_codec_write_ephemeral(&self->queue, event, event->recipients + i, left < most ? left : most);
        end_item(self, start);
    }
}

static void publish(struct bus *bus, const struct hub_event *event)
{
    struct bus_postgres *self = (struct bus_postgres *)bus;
    if (event->recipient_count > 0 && event->recipients[0].seq > 0) {
        write_hints(self, event);
    } else if (event->recipient_count > 0) {
        write_ephemeral(self, event);
    }
}

static void tell(struct bus *bus, enum bus_news news, struct uuid node_id, struct uuid user_id)
{
    struct bus_postgres *self = (struct bus_postgres *)bus;
    size_t start = self->queue.length;
    bus_codec_write_news(&self->queue, news, node_id, user_id);
    end_item(self, start);
}

/* Everybody listens on the one channel. */
static void follow(struct bus *bus, struct uuid user_id, bool is_followed)
{
    (void)bus, (void)user_id, (void)is_followed;
}

/* --- reading --- */

/* Anybody with psql can notify anything. */
static void complain(struct bus_postgres *self, struct slice payload)
{
    if (!self->has_complained) {
        self->has_complained = true;
        log_write(LOG_WARN, "something on the channel is not ours; more of it will be ignored silently",
                  LOG_STR("channel", CHANNEL), LOG_SLICE("payload", utf8_cut(payload, 100)));
    }
}

/* What was told by this node has come back. */
static void observe_echo(struct bus_postgres *self)
{
    if (self->told_us != 0) {
        metrics_observe(HISTOGRAM_BUS_LAG, clock_now_us() - self->told_us);
        self->told_us = 0;
    }
}

static void on_notification(void *data, struct slice payload)
{
    struct bus_postgres *self = data;
    struct slice items = payload;
    struct uuid sender;
    bool is_ours = bus_codec_read_sender(&items, &sender);
    if (is_ours && uuid_equals(sender, self->options.node_id)) {
        observe_echo(self);
    } else if (!is_ours || !bus_codec_read_items(items, false, self->options.callbacks, self->options.data)) {
        complain(self, payload);
    }
}

static void on_listening(void *data)
{
    struct bus_postgres *self = data;
    self->options.callbacks->on_connected(self->options.data);
}

static void on_lost(void *data)
{
    struct bus_postgres *self = data;
    self->options.callbacks->on_lost(self->options.data);
}

static void on_idle(void *data)
{
    flush(data);
}

static const struct listener_callbacks LISTENER_CALLBACKS = {on_listening, on_lost, on_notification, on_idle};

/* --- life --- */

static void destroy(struct bus *bus)
{
    struct bus_postgres *self = (struct bus_postgres *)bus;
    loop_defer_cancel(self->options.loop, &self->work);
    if (self->listener != NULL) {
        flush(self);
    }
    listener_destroy(self->listener);
    buffer_dispose(&self->queue);
    free(self);
}

static const struct bus_operations OPERATIONS = {publish, tell, follow, destroy};

struct bus *bus_postgres_create(const struct bus_options *options)
{
    struct bus_postgres *self = calloc(1, sizeof *self);
    if (self == NULL) {
        return NULL;
    }
    self->bus.operations = &OPERATIONS;
    self->options = *options;
    self->work.run = on_work;
    self->queue = buffer_init(QUEUE_MAX_BYTES);
    self->listener = listener_create(options->loop, options->database_url, CHANNEL, &LISTENER_CALLBACKS, self);
    if (self->listener == NULL) {
        destroy(&self->bus);
        return NULL;
    }
    return &self->bus;
}
