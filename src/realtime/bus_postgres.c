#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>

#include "db/listener.h"
#include "json_scan.h"
#include "realtime/bus.h"
#include "util/buffer.h"
#include "util/log.h"
#include "util/utf8.h"

/* A notification is lines of text: the sender's id, then an item a line. What comes up while one is under way waits,
 * and goes with the next: a busy node sends few and long ones.
 *
 *     h<user>:<seq>                     the user's log has grown to seq
 *     e<user>[,<user>…] <type> <json>   an ephemeral event
 *     n<node>  x<node>                  the node is here; is dead
 *     +<node><user>  -<node><user>      the user has come to the node; has left it
 *
 * Payloads are not sent: whoever needs one reads the log. An ephemeral event that does not fit is dropped. */

static const char CHANNEL[] = "stonechat";

enum { QUEUE_MAX_BYTES = 8 << 20, EPHEMERAL_QUEUE_MAX_BYTES = 1 << 20, RECIPIENTS_MAX = 128, SEQ_MAX_DIGITS = 18 };

struct bus_postgres {
    struct bus bus; /* first */
    struct bus_options options;
    struct listener *listener;
    struct buffer queue; /* items, each with its newline */
    bool has_complained; /* of what is no item: once is enough */
};

/* --- writing --- */

static void append_uuid(struct buffer *out, struct uuid id)
{
    char text[UUID_TEXT_LENGTH];
    uuid_format(id, text);
    buffer_append(out, text, sizeof text);
}

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
    append_uuid(&payload, self->options.node_id);
    buffer_append_char(&payload, '\n');
    size_t length = fitting_items(&self->queue, LISTENER_PAYLOAD_MAX_BYTES - payload.length);
    buffer_append(&payload, self->queue.data, length);
    if (!payload.failed) {
        listener_notify(self->listener, buffer_slice(&payload));
        buffer_consume(&self->queue, length);
    }
    buffer_dispose(&payload);
}

/* Takes back an item that was not written whole, or would never fit. */
static void end_item(struct bus_postgres *self, size_t start)
{
    buffer_append_char(&self->queue, '\n');
    if (self->queue.failed || self->queue.length - start > LISTENER_PAYLOAD_MAX_BYTES - UUID_TEXT_LENGTH - 1) {
        self->queue.length = start;
        self->queue.failed = false;
    }
    flush(self);
}

static void write_hints(struct bus_postgres *self, const struct hub_event *event)
{
    for (int i = 0; i < event->recipient_count; i++) {
        size_t start = self->queue.length;
        buffer_append_char(&self->queue, 'h');
        append_uuid(&self->queue, event->recipients[i].user_id);
        buffer_printf(&self->queue, ":%" PRId64, event->recipients[i].seq);
        end_item(self, start);
    }
}

/* White space in JSON may be newlines, which end an item here. */
static void append_one_line(struct buffer *out, struct slice json)
{
    char *at = buffer_reserve(out, json.length);
    for (size_t i = 0; at != NULL && i < json.length; i++) {
        at[i] = (char)(json.data[i] == '\n' || json.data[i] == '\r' ? ' ' : json.data[i]);
    }
    out->length += at != NULL ? json.length : 0;
}

static void write_ephemeral(struct bus_postgres *self, const struct hub_event *event)
{
    size_t start = self->queue.length;
    if (start > EPHEMERAL_QUEUE_MAX_BYTES) {
        return;
    }
    for (int i = 0; i < event->recipient_count; i++) {
        buffer_append_char(&self->queue, i == 0 ? 'e' : ',');
        append_uuid(&self->queue, event->recipients[i].user_id);
    }
    buffer_append_char(&self->queue, ' ');
    buffer_append_slice(&self->queue, event->type);
    buffer_append_char(&self->queue, ' ');
    append_one_line(&self->queue, event->payload);
    end_item(self, start);
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

static const char NEWS_LETTERS[] = {
    [BUS_NEWS_HELLO] = 'n', [BUS_NEWS_GONE] = 'x', [BUS_NEWS_ENTERS] = '+', [BUS_NEWS_LEAVES] = '-'};

static void tell(struct bus *bus, enum bus_news news, struct uuid node_id, struct uuid user_id)
{
    struct bus_postgres *self = (struct bus_postgres *)bus;
    size_t start = self->queue.length;
    buffer_append_char(&self->queue, NEWS_LETTERS[news]);
    append_uuid(&self->queue, node_id);
    if (news == BUS_NEWS_ENTERS || news == BUS_NEWS_LEAVES) {
        append_uuid(&self->queue, user_id);
    }
    end_item(self, start);
}

/* --- reading --- */

static bool take_uuid(struct slice *rest, struct uuid *ret_id)
{
    struct slice text = {rest->data, UUID_TEXT_LENGTH};
    if (rest->length < UUID_TEXT_LENGTH || !uuid_parse(text, ret_id)) {
        return false;
    }
    *rest = (struct slice){rest->data + UUID_TEXT_LENGTH, rest->length - UUID_TEXT_LENGTH};
    return true;
}

static bool take_char(struct slice *rest, char c)
{
    if (rest->length == 0 || rest->data[0] != c) {
        return false;
    }
    *rest = (struct slice){rest->data + 1, rest->length - 1};
    return true;
}

static bool read_hint(struct bus_postgres *self, struct slice rest)
{
    struct hub_recipient recipient;
    if (!take_uuid(&rest, &recipient.user_id) || !take_char(&rest, ':') ||
        !session_parse_offset(rest, &recipient.seq) || recipient.seq == 0) {
        return false;
    }
    self->options.callbacks->on_event(
        self->options.data, &(struct hub_event){.type = SLICE(""), .recipients = &recipient, .recipient_count = 1});
    return true;
}

static bool read_ephemeral(struct bus_postgres *self, struct slice rest)
{
    struct hub_recipient recipients[RECIPIENTS_MAX] = {0};
    int count = 0;
    do {
        if (count == RECIPIENTS_MAX || !take_uuid(&rest, &recipients[count++].user_id)) {
            return false;
        }
    } while (take_char(&rest, ','));
    const char *space = take_char(&rest, ' ') ? memchr(rest.data, ' ', rest.length) : NULL;
    if (space == NULL || space == rest.data) {
        return false;
    }
    size_t type_length = (size_t)(space - rest.data);
    struct slice payload = {space + 1, rest.length - type_length - 1};
    if (!json_scan_is_json(payload)) {
        return false;
    }
    self->options.callbacks->on_event(self->options.data, &(struct hub_event){.type = {rest.data, type_length},
                                                                              .payload = payload,
                                                                              .recipients = recipients,
                                                                              .recipient_count = count});
    return true;
}

static bool read_news(struct bus_postgres *self, enum bus_news news, struct slice rest)
{
    struct uuid node_id, user_id = {{0}};
    bool has_user = news == BUS_NEWS_ENTERS || news == BUS_NEWS_LEAVES;
    if (!take_uuid(&rest, &node_id) || (has_user && !take_uuid(&rest, &user_id)) || rest.length > 0) {
        return false;
    }
    self->options.callbacks->on_news(self->options.data, news, node_id, user_id);
    return true;
}

static bool read_item(struct bus_postgres *self, struct slice item)
{
    if (item.length == 0) {
        return false;
    }
    struct slice rest = {item.data + 1, item.length - 1};
    for (size_t news = 0; news < sizeof NEWS_LETTERS; news++) {
        if (item.data[0] == NEWS_LETTERS[news]) {
            return read_news(self, (enum bus_news)news, rest);
        }
    }
    return item.data[0] == 'h' ? read_hint(self, rest) : item.data[0] == 'e' && read_ephemeral(self, rest);
}

/* Anybody with psql can notify anything. */
static void complain(struct bus_postgres *self, struct slice payload)
{
    if (!self->has_complained) {
        self->has_complained = true;
        log_write(LOG_WARN, "something on the channel is not ours; more of it will be ignored silently",
                  LOG_STR("channel", CHANNEL), LOG_SLICE("payload", utf8_cut(payload, 100)));
    }
}

static void on_notification(void *data, struct slice payload)
{
    struct bus_postgres *self = data;
    struct slice rest = payload;
    struct uuid sender;
    if (!take_uuid(&rest, &sender) || !take_char(&rest, '\n')) {
        complain(self, payload);
        return;
    }
    while (!uuid_equals(sender, self->options.node_id) && rest.length > 0) {
        const char *end = memchr(rest.data, '\n', rest.length);
        size_t length = end != NULL ? (size_t)(end - rest.data) : rest.length;
        if (!read_item(self, (struct slice){rest.data, length})) {
            complain(self, payload);
        }
        length += end != NULL ? 1 : 0;
        rest = (struct slice){rest.data + length, rest.length - length};
    }
}

static void on_listening(void *data)
{
    struct bus_postgres *self = data;
    self->options.callbacks->on_connected(self->options.data);
}

static void on_idle(void *data)
{
    flush(data);
}

static const struct listener_callbacks LISTENER_CALLBACKS = {on_listening, on_notification, on_idle};

/* --- life --- */

static void destroy(struct bus *bus)
{
    struct bus_postgres *self = (struct bus_postgres *)bus;
    listener_destroy(self->listener);
    buffer_dispose(&self->queue);
    free(self);
}

static const struct bus_operations OPERATIONS = {publish, tell, destroy};

struct bus *bus_postgres_create(const struct bus_options *options)
{
    struct bus_postgres *self = calloc(1, sizeof *self);
    if (self == NULL) {
        return NULL;
    }
    self->bus.operations = &OPERATIONS;
    self->options = *options;
    self->queue = buffer_init(QUEUE_MAX_BYTES);
    self->listener = listener_create(options->loop, options->database_url, CHANNEL, &LISTENER_CALLBACKS, self);
    if (self->listener == NULL) {
        destroy(&self->bus);
        return NULL;
    }
    return &self->bus;
}
