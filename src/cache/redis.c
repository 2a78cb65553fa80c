#include "cache/redis.h"

#include <assert.h>
#include <hiredis/hiredis.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "redis_socket.h"
#include "util/buffer.h"
#include "util/log.h"

/* waiting (for the pause to end) → connecting → greeting (login, database, a ping) → ready, and back to waiting from
 * anywhere. Only change_state moves between them.
 *
 * Replies come in the order of the commands: who waits for one stands in a queue. On a connection with subscriptions
 * messages come in between, and are told by their first word. hiredis writes the commands and reads the replies; the
 * socket is ours (redis_socket.c says why). */

enum {
    PAUSE_MIN_MS = 50,
    PAUSE_MAX_MS = 2000,
    LOOKUP_TIMEOUT_MS = 8000, /* more than it takes to give up a first name server and to ask the second */
    CONNECT_TIMEOUT_MS = 5000,
    SILENCE_MS = 5000,
    OUTPUT_MAX_BYTES = 16 << 20,
    INPUT_MAX_BYTES = 16 << 20
};

enum state { WAITING, CONNECTING, GREETING, READY };

/* Who waits for a reply. */
struct waiter {
    struct waiter *next;
    redis_on_reply *on_reply;
    void *data;
};

struct redis {
    struct loop *loop;
    struct redis_options options;
    const struct redis_callbacks *callbacks;
    void *data;
    enum state state;
    struct redis_socket socket;
    redisReader *reader; /* NULL while there is no connection */
    struct buffer output;
    struct loop_deferred flush;
    struct waiter *first, **last;
    struct timer timer; /* the pause, the limit on connecting, or the next ping */
    uint64_t pause_ms;
    int greetings;       /* still to be answered */
    bool has_reported;   /* why it can't connect: said once an outage */
    bool has_subscribed; /* messages may come */
    bool is_overfull;    /* a subscription did not fit */
    bool has_heard;      /* anything, since the last tick */
};

static void change_state(struct redis *redis, enum state state);

bool redis_options_of(const struct config *config, struct redis_options *ret_options)
{
    struct redis_options options = {.address = {.port = config->redis_port}, .tls_ca = config->redis_tls_ca};
    struct redis_address *address = &options.address;
    if (config->redis_url != NULL) {
        bool good = redis_address_parse(config->redis_url, address);
        assert(good); /* config_load has seen to it */
        (void)good;
    } else if (config->redis_host != NULL) {
        snprintf(address->host, sizeof address->host, "%s", config->redis_host);
    } else {
        return false;
    }
    if (address->username[0] == '\0' && config->redis_username != NULL) {
        snprintf(address->username, sizeof address->username, "%s", config->redis_username);
    }
    if (address->password[0] == '\0' && config->redis_password != NULL) {
        snprintf(address->password, sizeof address->password, "%s", config->redis_password);
    }
    *ret_options = options;
    return true;
}

const char *redis_error(const struct redisReply *reply)
{
    return reply == NULL ? "the connection was lost" : reply->type == REDIS_REPLY_ERROR ? reply->str : NULL;
}

static void lose(struct redis *redis, const char *why)
{
    if (!redis->has_reported) {
        redis->has_reported = true;
        log_write(LOG_ERROR, redis->state == READY ? "Redis is lost" : "Redis cannot be used; it is tried again",
                  LOG_STR("use", redis->options.use), LOG_STR("host", redis->options.address.host),
                  LOG_INT("port", redis->options.address.port), LOG_STR("reason", why));
    }
    change_state(redis, WAITING);
}

/* --- writing --- */

static void flush(struct redis *redis)
{
    if (redis->is_overfull || redis->output.failed) {
        lose(redis, "more is to be sent than fits");
        return;
    }
    while (redis->output.length > 0) {
        ssize_t sent = redis_socket_write(&redis->socket, redis->output.data, redis->output.length);
        if (sent < 0) {
            lose(redis, redis->socket.error);
            return;
        }
        if (sent == 0) {
            return; /* on_event comes */
        }
        buffer_consume(&redis->output, (size_t)sent);
    }
}

static void on_flush(struct loop_deferred *deferred)
{
    flush((struct redis *)((char *)deferred - offsetof(struct redis, flush)));
}

/* False when it does not fit. */
static bool send_command(struct redis *redis, const struct slice *arguments, int count, redis_on_reply *on_reply,
                         void *data)
{
    const char *texts[REDIS_ARGUMENTS_MAX];
    size_t lengths[REDIS_ARGUMENTS_MAX];
    char *command;
    assert(count > 0 && count <= REDIS_ARGUMENTS_MAX);
    for (int i = 0; i < count; i++) {
        texts[i] = arguments[i].data;
        lengths[i] = arguments[i].length;
    }
    struct waiter *waiter = malloc(sizeof *waiter);
    int length = waiter != NULL ? redisFormatCommandArgv(&command, count, texts, lengths) : -1;
    if (length >= 0 && (size_t)length <= OUTPUT_MAX_BYTES - redis->output.length) {
        buffer_append(&redis->output, command, (size_t)length);
        *waiter = (struct waiter){.on_reply = on_reply, .data = data};
        *redis->last = waiter;
        redis->last = &waiter->next;
        waiter = NULL;
        loop_defer(redis->loop, &redis->flush);
    }
    if (length >= 0) {
        redisFreeCommand(command);
    }
    bool is_sent = waiter == NULL && length >= 0;
    free(waiter);
    return is_sent;
}

bool redis_command(struct redis *redis, const struct slice *arguments, int count, redis_on_reply *on_reply, void *data)
{
    return redis->state == READY && send_command(redis, arguments, count, on_reply, data);
}

bool redis_is_connected(const struct redis *redis)
{
    return redis->state == READY;
}

static void on_subscribed(void *data, const struct redisReply *reply)
{
    if (reply != NULL && redis_error(reply) != NULL) {
        lose(data, redis_error(reply));
    }
}

static void change_subscription(struct redis *redis, struct slice verb, struct slice channel)
{
    if (redis->state == READY) {
        const struct slice arguments[] = {verb, channel};
        redis->has_subscribed = true;
        if (!send_command(redis, arguments, 2, on_subscribed, redis)) {
            redis->is_overfull = true;
            loop_defer(redis->loop, &redis->flush);
        }
    }
}

void redis_subscribe(struct redis *redis, struct slice channel)
{
    change_subscription(redis, SLICE("SUBSCRIBE"), channel);
}

void redis_unsubscribe(struct redis *redis, struct slice channel)
{
    change_subscription(redis, SLICE("UNSUBSCRIBE"), channel);
}

/* --- reading --- */

static bool is_message(const struct redis *redis, const redisReply *reply)
{
    if (!redis->has_subscribed || reply->type != REDIS_REPLY_ARRAY || reply->elements != 3) {
        return false;
    }
    for (size_t i = 0; i < 3; i++) {
        if (reply->element[i]->type != REDIS_REPLY_STRING) {
            return false;
        }
    }
    return strcmp(reply->element[0]->str, "message") == 0;
}

static void take_reply(struct redis *redis, const redisReply *reply)
{
    struct waiter *waiter = redis->first;
    redis->has_heard = true;
    if (is_message(redis, reply)) {
        const redisReply *channel = reply->element[1], *payload = reply->element[2];
        redis->callbacks->on_message(redis->data, (struct slice){channel->str, channel->len},
                                     (struct slice){payload->str, payload->len});
    } else if (waiter == NULL) {
        lose(redis, redis_error(reply) != NULL ? redis_error(reply) : "a reply that nobody waits for");
    } else {
        redis->first = waiter->next;
        redis->last = redis->first == NULL ? &redis->first : redis->last;
        waiter->on_reply(waiter->data, reply);
        free(waiter);
    }
}

static void take_replies(struct redis *redis)
{
    void *reply = NULL;
    while (redis->reader != NULL) {
        if (redisReaderGetReply(redis->reader, &reply) != REDIS_OK) {
            lose(redis, redis->reader->errstr);
            return;
        }
        if (reply == NULL) {
            if (redis->reader->len - redis->reader->pos > INPUT_MAX_BYTES) {
                lose(redis, "a reply is too long");
            }
            return;
        }
        take_reply(redis, reply);
        freeReplyObject(reply);
    }
}

static void read_input(struct redis *redis)
{
    char bytes[16384];
    ssize_t length;
    do {
        length = redis_socket_read(&redis->socket, bytes, sizeof bytes);
        if (length < 0) {
            lose(redis, redis->socket.error);
        } else if (length > 0 && redisReaderFeed(redis->reader, bytes, (size_t)length) != REDIS_OK) {
            lose(redis, "out of memory");
        } else if (length > 0) {
            take_replies(redis);
        }
    } while (length > 0 && redis->reader != NULL);
}

/* --- connecting --- */

static void on_greeted(void *data, const struct redisReply *reply)
{
    struct redis *redis = data;
    if (reply == NULL) {
        return;
    }
    if (redis_error(reply) != NULL) {
        lose(redis, redis_error(reply));
    } else if (--redis->greetings == 0) {
        change_state(redis, READY);
    }
}

static void greet_with(struct redis *redis, const struct slice *arguments, int count)
{
    redis->greetings++;
    if (!send_command(redis, arguments, count, on_greeted, redis)) {
        redis->is_overfull = true;
        loop_defer(redis->loop, &redis->flush);
    }
}

static void greet(struct redis *redis)
{
    const struct redis_address *address = &redis->options.address;
    char database[16];
    loop_timer_start(redis->loop, &redis->timer, CONNECT_TIMEOUT_MS);
    if (address->username[0] != '\0') {
        greet_with(redis, (struct slice[]){SLICE("AUTH"), slice_of(address->username), slice_of(address->password)}, 3);
    } else if (address->password[0] != '\0') {
        greet_with(redis, (struct slice[]){SLICE("AUTH"), slice_of(address->password)}, 2);
    }
    if (address->database != 0) {
        snprintf(database, sizeof database, "%d", address->database);
        greet_with(redis, (struct slice[]){SLICE("SELECT"), slice_of(database)}, 2);
    }
    greet_with(redis, &SLICE("PING"), 1);
}

static void on_progress(struct redis *redis, enum redis_socket_progress progress)
{
    if (progress == REDIS_SOCKET_FAILED) {
        lose(redis, redis->socket.error);
    } else if (progress == REDIS_SOCKET_CONNECTED) {
        redis->reader = redisReaderCreate();
        if (redis->reader == NULL) {
            lose(redis, "out of memory");
        } else {
            change_state(redis, GREETING);
        }
    }
}

static void on_event(void *data)
{
    struct redis *redis = data;
    if (redis->state == CONNECTING) {
        loop_timer_start(redis->loop, &redis->timer, CONNECT_TIMEOUT_MS);
        on_progress(redis, redis_socket_continue(&redis->socket));
        return;
    }
    read_input(redis);
    if (redis->reader != NULL) {
        flush(redis);
    }
}

/* Those who wait for replies are told last, when all else is as it will be. */
static void disconnect(struct redis *redis)
{
    struct waiter *waiter = redis->first;
    redis->first = NULL;
    redis->last = &redis->first;
    redis_socket_close(&redis->socket);
    if (redis->reader != NULL) {
        redisReaderFree(redis->reader);
    }
    redis->reader = NULL;
    buffer_dispose(&redis->output);
    loop_defer_cancel(redis->loop, &redis->flush);
    redis->greetings = 0;
    redis->has_subscribed = redis->is_overfull = redis->has_heard = false;
    while (waiter != NULL) {
        struct waiter *next = waiter->next;
        waiter->on_reply(waiter->data, NULL);
        free(waiter);
        waiter = next;
    }
}

static void change_state(struct redis *redis, enum state state)
{
    bool was_ready = redis->state == READY;
    assert(state == WAITING || state == redis->state + 1);
    redis->state = state;
    switch (state) {
    case WAITING:
        loop_timer_start(redis->loop, &redis->timer, redis->pause_ms);
        redis->pause_ms = redis->pause_ms * 2 < PAUSE_MAX_MS ? redis->pause_ms * 2 : PAUSE_MAX_MS;
        disconnect(redis);
        if (was_ready) {
            redis->callbacks->on_lost(redis->data);
        }
        break;
    case CONNECTING:
        loop_timer_start(redis->loop, &redis->timer, LOOKUP_TIMEOUT_MS);
        on_progress(redis, redis_socket_open(&redis->socket));
        break;
    case GREETING:
        greet(redis);
        break;
    case READY:
        if (redis->has_reported) {
            log_write(LOG_INFO, "Redis is back", LOG_STR("use", redis->options.use));
        }
        redis->has_reported = false;
        redis->pause_ms = PAUSE_MIN_MS;
        loop_timer_start(redis->loop, &redis->timer, redis->options.silence_ms);
        redis->callbacks->on_connected(redis->data);
        break;
    }
}

static void ignore(void *data, const struct redisReply *reply)
{
    (void)data, (void)reply;
}

/* A connection that is broken without a word, and a Redis that stands still, look alike: nothing comes. */
static void look_after(struct redis *redis)
{
    if (redis->first != NULL && !redis->has_heard) {
        lose(redis, "it does not answer");
        return;
    }
    redis->has_heard = false;
    if (redis->first == NULL) {
        send_command(redis, &SLICE("PING"), 1, ignore, NULL);
    }
    loop_timer_start(redis->loop, &redis->timer, redis->options.silence_ms);
}

static void on_timer(struct timer *timer)
{
    struct redis *redis = (struct redis *)((char *)timer - offsetof(struct redis, timer));
    if (redis->state == WAITING) {
        change_state(redis, CONNECTING);
    } else if (redis->state == READY) {
        look_after(redis);
    } else {
        lose(redis, "connecting took too long");
    }
}

/* --- life --- */

struct redis *redis_create(struct loop *loop, const struct redis_options *options,
                           const struct redis_callbacks *callbacks, void *data)
{
    struct redis *redis = calloc(1, sizeof *redis);
    if (redis == NULL) {
        return NULL;
    }
    *redis = (struct redis){.loop = loop,
                            .options = *options,
                            .callbacks = callbacks,
                            .data = data,
                            .output = buffer_init(OUTPUT_MAX_BYTES),
                            .flush.run = on_flush,
                            .timer.on_fire = on_timer,
                            .pause_ms = PAUSE_MIN_MS};
    redis->last = &redis->first;
    redis->options.silence_ms = options->silence_ms > 0 ? options->silence_ms : SILENCE_MS;
    if (!redis_socket_init(&redis->socket, loop, &redis->options.address, options->tls_ca, on_event, redis)) {
        log_write(LOG_ERROR, "Redis cannot be used", LOG_STR("reason", redis->socket.error));
        redis_destroy(redis);
        return NULL;
    }
    loop_timer_start(loop, &redis->timer, 0);
    return redis;
}

void redis_destroy(struct redis *redis)
{
    if (redis == NULL) {
        return;
    }
    redis->state = WAITING;
    disconnect(redis);
    loop_timer_stop(redis->loop, &redis->timer);
    redis_socket_dispose(&redis->socket);
    free(redis);
}
