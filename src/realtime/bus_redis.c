#include <openssl/crypto.h>
#include <stddef.h>
#include <stdlib.h>

#include "bus_codec.h"
#include "realtime/bus.h"
#include "util/hex.h"
#include "util/log.h"

/* Messages of bus_codec.c, one item each, behind a seal: 32 hexadecimal digits of a MAC over the rest of the message.
 * Whoever may publish could otherwise put words into anybody's mouth. Events go, with their payload, to a channel of
 * each recipient, so that a node hears what concerns the users that it holds; news of nodes go to one for all.
 *
 *     stonechat:u:<user>
 *     stonechat:nodes
 *
 * No key is ever written. A connection that subscribes can do nothing else, so there are two. The bus is connected when
 * both are, and the channels of all users that the node holds are subscribed to. On a Redis Cluster any of its nodes
 * will do: PUBLISH reaches them all. */

enum { SEAL_BYTES = 16, SEAL_LENGTH = 2 * SEAL_BYTES, MESSAGE_MAX_BYTES = 4 << 20 };

static const char USER_CHANNEL[] = "stonechat:u:", NODES_CHANNEL[] = "stonechat:nodes";

struct bus_redis {
    struct bus bus; /* first */
    struct bus_options options;
    struct redis *publisher, *subscriber;
    bool is_restored;    /* all subscriptions are confirmed */
    bool is_connected;   /* and the others know */
    bool has_complained; /* of what is not ours: once is enough */
    bool has_reported;   /* that publishing is refused */
};

/* --- the seal --- */

static void make_seal(const struct bus_redis *self, struct slice body, char out[SEAL_LENGTH])
{
    uint8_t mac[TOKEN_MAC_BYTES];
    token_key_mac(self->options.token_key, SLICE("stonechat bus"), body, mac);
    hex_write(mac, SEAL_BYTES, out);
}

static bool is_sealed(const struct bus_redis *self, struct slice seal, struct slice body)
{
    char expected[SEAL_LENGTH];
    make_seal(self, body, expected);
    return CRYPTO_memcmp(seal.data, expected, SEAL_LENGTH) == 0;
}

/* --- publishing --- */

static void on_published(void *data, const struct redisReply *reply)
{
    struct bus_redis *self = data;
    if (reply != NULL && redis_error(reply) != NULL && !self->has_reported) {
        self->has_reported = true;
        log_write(LOG_ERROR, "Redis refuses what is published; NOTIFY goes on", LOG_STR("reason", redis_error(reply)));
    }
}

static struct buffer begin_message(const struct bus_redis *self)
{
    struct buffer message = buffer_init(MESSAGE_MAX_BYTES);
    char *seal = buffer_reserve(&message, SEAL_LENGTH);
    message.length = seal != NULL ? SEAL_LENGTH : 0;
    bus_codec_write_sender(&message, self->options.node_id);
    return message;
}

/* What does not fit is not sent: what is durable is in the log. */
static void send_message(struct bus_redis *self, struct slice channel, struct buffer *message)
{
    if (!message->failed) {
        struct slice body = {message->data + SEAL_LENGTH, message->length - SEAL_LENGTH};
        make_seal(self, body, message->data);
        const struct slice arguments[] = {SLICE("PUBLISH"), channel, buffer_slice(message)};
        redis_command(self->publisher, arguments, 3, on_published, self);
    }
    buffer_dispose(message);
}

enum { USER_CHANNEL_LENGTH = sizeof USER_CHANNEL - 1 + UUID_TEXT_LENGTH };

static struct slice user_channel(struct uuid user_id, char out[USER_CHANNEL_LENGTH])
{
    memcpy(out, USER_CHANNEL, sizeof USER_CHANNEL - 1);
    uuid_format(user_id, out + sizeof USER_CHANNEL - 1);
    return (struct slice){out, USER_CHANNEL_LENGTH};
}

static void publish(struct bus *bus, const struct hub_event *event)
{
    struct bus_redis *self = (struct bus_redis *)bus;
    char channel[USER_CHANNEL_LENGTH];
    if (event->payload.data == NULL || !redis_is_connected(self->publisher)) {
        return;
    }
    for (int i = 0; i < event->recipient_count; i++) {
        const struct hub_recipient *recipient = &event->recipients[i];
        struct buffer message = begin_message(self);
        if (recipient->seq > 0) {
            bus_codec_write_durable(&message, event, recipient);
        } else {
            bus_codec_write_ephemeral(&message, event, recipient, 1);
        }
        send_message(self, user_channel(recipient->user_id, channel), &message);
    }
}

/* Who says that he is there has to hear the others too. */
static void tell(struct bus *bus, enum bus_news news, struct uuid node_id, struct uuid user_id)
{
    struct bus_redis *self = (struct bus_redis *)bus;
    if (!self->is_connected) {
        return;
    }
    struct buffer message = begin_message(self);
    bus_codec_write_news(&message, news, node_id, user_id);
    send_message(self, slice_of(NODES_CHANNEL), &message);
}

/* --- hearing --- */

static void complain(struct bus_redis *self, struct slice channel)
{
    if (!self->has_complained) {
        self->has_complained = true;
        log_write(LOG_WARN, "something on the channel is not ours; more of it will be ignored silently",
                  LOG_SLICE("channel", channel));
    }
}

static void on_message(void *data, struct slice channel, struct slice payload)
{
    struct bus_redis *self = data;
    struct uuid sender;
    if (payload.length < SEAL_LENGTH || payload.length > MESSAGE_MAX_BYTES) {
        complain(self, channel);
        return;
    }
    struct slice body = {payload.data + SEAL_LENGTH, payload.length - SEAL_LENGTH}, items = body;
    if (!bus_codec_read_sender(&items, &sender) ||
        (!uuid_equals(sender, self->options.node_id) &&
         (!is_sealed(self, payload, body) ||
          !bus_codec_read_items(items, true, self->options.callbacks, self->options.data)))) {
        complain(self, channel);
    }
}

static void follow(struct bus *bus, struct uuid user_id, bool is_followed)
{
    struct bus_redis *self = (struct bus_redis *)bus;
    char channel[USER_CHANNEL_LENGTH];
    (is_followed ? redis_subscribe : redis_unsubscribe)(self->subscriber, user_channel(user_id, channel));
}

static void follow_again(void *visitor, struct uuid user_id)
{
    follow(visitor, user_id, true);
}

/* --- coming up and going down --- */

static void check_connection(struct bus_redis *self)
{
    bool is_connected = self->is_restored && redis_is_connected(self->publisher);
    if (is_connected != self->is_connected) {
        self->is_connected = is_connected;
        (is_connected ? self->options.callbacks->on_connected : self->options.callbacks->on_lost)(self->options.data);
    }
}

static void on_restored(void *data, const struct redisReply *reply)
{
    struct bus_redis *self = data;
    if (reply != NULL && redis_error(reply) == NULL) {
        self->is_restored = true;
        check_connection(self);
    }
}

/* Who comes or goes meanwhile is subscribed to, or not any more, behind all this. */
static void on_subscriber(void *data)
{
    struct bus_redis *self = data;
    redis_subscribe(self->subscriber, slice_of(NODES_CHANNEL));
    self->options.callbacks->for_each_local(self->options.data, follow_again, self);
    redis_command(self->subscriber, &SLICE("PING"), 1, on_restored, self);
}

static void on_subscriber_lost(void *data)
{
    struct bus_redis *self = data;
    self->is_restored = false;
    check_connection(self);
}

static void on_publisher(void *data)
{
    struct bus_redis *self = data;
    self->has_reported = false;
    check_connection(self);
}

static void on_publisher_lost(void *data)
{
    check_connection(data);
}

static const struct redis_callbacks SUBSCRIBER = {on_subscriber, on_subscriber_lost, on_message};
static const struct redis_callbacks PUBLISHER = {on_publisher, on_publisher_lost, NULL};

/* --- life --- */

static void destroy(struct bus *bus)
{
    struct bus_redis *self = (struct bus_redis *)bus;
    redis_destroy(self->subscriber);
    redis_destroy(self->publisher);
    free(self);
}

static const struct bus_operations OPERATIONS = {publish, tell, follow, destroy};

static struct redis *connect_redis(struct bus_redis *self, const char *use, const struct redis_callbacks *callbacks)
{
    struct redis_options options = *self->options.redis;
    options.use = use;
    return redis_create(self->options.loop, &options, callbacks, self);
}

struct bus *bus_redis_create(const struct bus_options *options)
{
    struct bus_redis *self = calloc(1, sizeof *self);
    if (self == NULL) {
        return NULL;
    }
    self->bus.operations = &OPERATIONS;
    self->options = *options;
    self->publisher = connect_redis(self, "publishing", &PUBLISHER);
    self->subscriber = connect_redis(self, "subscribing", &SUBSCRIBER);
    self->options.redis = NULL; /* it was copied */
    if (self->publisher == NULL || self->subscriber == NULL) {
        destroy(&self->bus);
        return NULL;
    }
    return &self->bus;
}
