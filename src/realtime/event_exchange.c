#include "event_exchange.h"

#include <assert.h>
#include <stdlib.h>
#include <time.h>

#include "util/clock.h"
#include "util/json.h"
#include "util/log.h"
#include "util/metrics.h"
#include "util/utf8.h"

/* Who goes on after so many refusals in a row does not listen. */
enum { REPLY_MAX_BYTES = 1 << 20, EVENT_NAME_MAX_BYTES = 128, REFUSALS_MAX = 100 };

struct event_exchange {
    struct exchange exchange; /* its peer is the sender */
    struct event_ack ack;
    int64_t started_us;
    struct event_exchange *previous, *next;
    struct event_exchange **head;
    char ack_text[];
};

/* --- replies --- */

static const char NO_METHOD[] = "", OTHER_EVENT[] = "other";

/* `operation` is NULL for an event that there is not. */
static void count_answer(const struct operation *operation, const struct token_claims *actor, enum status status,
                         int64_t started_us)
{
    const char *name = operation != NULL ? operation->name : OTHER_EVENT;
    int64_t duration_us = clock_now_us() - started_us;
    metrics_count_answer(METRICS_EVENT, NO_METHOD, name, status_http(status), duration_us);
    if (log_enabled(LOG_DEBUG)) {
        char user[UUID_TEXT_LENGTH];
        uuid_format(actor->user_id, user);
        log_write(LOG_DEBUG, "event", LOG_STR("event", name),
                  LOG_STR("code", status == STATUS_OK ? "OK" : status_code(status)),
                  LOG_REAL("ms", (double)duration_us / 1e3), LOG_SLICE("user", ((struct slice){user, sizeof user})));
    }
}

static void on_reply(struct exchange *exchange, enum status status, const char *name, struct slice json,
                     struct slice pagination)
{
    (void)pagination;
    const struct event_exchange *self = (struct event_exchange *)exchange;
    const struct event_ack *ack = &self->ack;
    struct event_sender *sender = exchange->peer;
    count_answer(exchange->operation, &exchange->actor, status, self->started_us);
    if (!ack->is_wanted) {
        return;
    }
    struct buffer out = buffer_init(REPLY_MAX_BYTES);
    buffer_append_text(&out, "{\"success\":true");
    if (name != NULL) {
        buffer_printf(&out, ",\"%s\":", name);
        buffer_append_slice(&out, json);
        buffer_append_char(&out, '}');
    } else if (json.length > 2) {
        buffer_append_char(&out, ',');
        buffer_append(&out, json.data + 1, json.length - 1); /* its members, and the brace */
    } else {
        buffer_append_char(&out, '}');
    }
    if (!out.failed) {
        sender->answers->ack(sender, ack, buffer_slice(&out));
    }
    buffer_dispose(&out);
}

struct failure {
    enum status status;
    const char *message;
    struct slice errors; /* of a validation */
    int32_t retry_s;     /* of a rate limit */
};

/* A failure: the ack, or without one the event operation-error. `event` is the name that the client sent. */
static void send_failure(struct event_sender *sender, const struct event_ack *ack, struct slice event,
                         const struct failure *failure)
{
    enum status status = failure->status;
    const char *message = failure->message;
    struct buffer out = buffer_init(REPLY_MAX_BYTES);
    buffer_append_text(&out, ack->is_wanted ? "{\"success\":false,\"message\":" : "{\"message\":");
    json_string(&out, slice_of(message));
    buffer_printf(&out, ",\"code\":\"%s\"", status_code(status));
    if (status == STATUS_VALIDATION_ERROR) {
        buffer_append_text(&out, ",\"errors\":[");
        buffer_append_slice(&out, failure->errors);
        buffer_append_char(&out, ']');
    }
    if (status == STATUS_RATE_LIMITED) {
        buffer_printf(&out, ",\"retryAfter\":%d", failure->retry_s);
    }
    if (!ack->is_wanted) {
        buffer_append_text(&out, ",\"event\":");
        json_string(&out, utf8_cut(event, EVENT_NAME_MAX_BYTES));
    }
    buffer_append_char(&out, '}');
    if (!out.failed && ack->is_wanted) {
        sender->answers->ack(sender, ack, buffer_slice(&out));
    } else if (!out.failed) {
        sender->answers->tell_failure(sender, buffer_slice(&out));
    }
    buffer_dispose(&out);
}

static void on_fail(struct exchange *exchange, enum status status, const char *message, struct slice errors)
{
    struct event_exchange *self = (struct event_exchange *)exchange;
    count_answer(exchange->operation, &exchange->actor, status, self->started_us);
    send_failure(exchange->peer, &self->ack, slice_of(exchange->operation->name),
                 &(struct failure){.status = status, .message = message, .errors = errors});
}

static void on_release(struct exchange *exchange)
{
    struct event_exchange *self = (struct event_exchange *)exchange;
    assert(exchange->is_answered);
    if (self->head != NULL) {
        if (self->previous != NULL) {
            self->previous->next = self->next;
        } else {
            *self->head = self->next;
        }
        if (self->next != NULL) {
            self->next->previous = self->previous;
        }
    }
    free(self);
}

static const struct exchange_transport EVENT_TRANSPORT = {on_reply, on_fail, on_release};

void event_exchange_refuse(struct event_sender *sender, struct slice event, const struct event_ack *ack,
                           enum status status, const char *message)
{
    send_failure(sender, ack, event, &(struct failure){.status = status, .message = message});
}

void event_sender_leave(struct event_sender *sender)
{
    for (struct event_exchange *waiting = sender->exchanges; waiting != NULL; waiting = waiting->next) {
        waiting->exchange.peer = NULL;
        waiting->head = NULL;
    }
    sender->exchanges = NULL;
}

/* --- auth-refresh: a socket lives on by a fresh token --- */

static const struct field REFRESH_FIELDS[] = {
    {.name = "token", .type = FIELD_TEXT, .min = 1, .max = TOKEN_MAX_BYTES, .flags = FIELD_REQUIRED | FIELD_SECRET},
    {0},
};

static void handle_refresh(struct exchange *exchange)
{
    struct event_sender *sender = exchange->peer; /* it is here: this is the turn in which it sent the event */
    struct token_claims claims;
    enum status status =
        token_cache_verify(sender->worker->tokens, exchange->input.values[0].text, time(NULL), &claims);
    if (status != STATUS_OK) {
        exchange_fail(exchange, status);
    } else if (!uuid_equals(claims.user_id, sender->claims.user_id)) {
        exchange_fail_because(exchange, STATUS_FORBIDDEN, "The token is another user's");
    } else {
        sender->claims = claims;
        session_set_token(sender->session, &claims);
        exchange_reply(exchange, STATUS_OK, NULL, SLICE("{}"));
    }
}

static const struct operation REFRESH = {NULL, "auth-refresh", .fields = REFRESH_FIELDS, .handle = handle_refresh};

/* --- events --- */

static const struct operation *find_event(const struct client_worker *worker, struct slice name)
{
    if (slice_equals(name, slice_of(REFRESH.name))) {
        return &REFRESH;
    }
    for (const struct operation *const *table = worker->events; *table != NULL; table++) {
        for (const struct operation *event = *table; event->name != NULL; event++) {
            if (slice_equals(name, slice_of(event->name))) {
                return event;
            }
        }
    }
    return NULL;
}

/* Both the address and the user have an allowance. */
static struct rate_verdict take_tokens(const struct event_sender *sender, const struct operation *operation)
{
    const struct rate_limiter *limiter = sender->worker->limiter;
    struct rate_key user = rate_key_of(sender->claims.user_id.bytes);
    struct rate_verdict verdict = rate_limiter_take(limiter, RATE_EVENTS, &sender->address);
    if (verdict.is_allowed && operation != NULL) {
        verdict = rate_limiter_take(limiter, operation->rate, &user);
    }
    return verdict;
}

static bool is_within_limits(struct event_sender *sender, const struct operation *operation, struct slice event,
                             const struct event_ack *ack)
{
    struct rate_verdict verdict = take_tokens(sender, operation);
    if (verdict.is_allowed) {
        sender->refusals = 0;
        return true;
    }
    count_answer(operation, &sender->claims, STATUS_RATE_LIMITED, clock_now_us());
    send_failure(sender, ack, event,
                 &(struct failure){.status = STATUS_RATE_LIMITED,
                                   .message = status_message(STATUS_RATE_LIMITED),
                                   .retry_s = verdict.retry_s});
    if (++sender->refusals == REFUSALS_MAX) {
        sender->answers->close(sender);
    }
    return false;
}

static struct event_exchange *exchange_create(struct event_sender *sender, const struct operation *operation,
                                              const struct event_ack *ack)
{
    struct event_exchange *self = calloc(1, sizeof *self + ack->text.length);
    if (self == NULL) {
        return NULL;
    }
    struct exchange *exchange = &self->exchange;
    exchange->references = 1;
    exchange->operation = operation;
    exchange->transport = &EVENT_TRANSPORT;
    exchange->peer = sender;
    exchange->context = sender->worker->context;
    exchange->actor = sender->claims;
    exchange->origin = sender->session->id;
    fields_init(&exchange->input);
    self->started_us = clock_now_us();
    self->ack = *ack;
    if (ack->text.length > 0) {
        self->ack.text.data = memcpy(self->ack_text, ack->text.data, ack->text.length);
    }
    self->head = &sender->exchanges;
    self->next = sender->exchanges;
    if (self->next != NULL) {
        self->next->previous = self;
    }
    sender->exchanges = self;
    return self;
}

void event_exchange_start(struct event_sender *sender, struct slice event, struct slice data,
                          const struct event_ack *ack)
{
    const struct operation *operation = find_event(sender->worker, event);
    if (!is_within_limits(sender, operation, event, ack)) {
        return;
    }
    if (operation == NULL) {
        count_answer(NULL, &sender->claims, STATUS_INVALID_PAYLOAD, clock_now_us());
        event_exchange_refuse(sender, event, ack, STATUS_INVALID_PAYLOAD, "Unknown event");
        return;
    }
    struct event_exchange *self = exchange_create(sender, operation, ack);
    if (self == NULL) {
        event_exchange_refuse(sender, event, ack, STATUS_UNAVAILABLE, status_message(STATUS_UNAVAILABLE));
        return;
    }
    struct log_context context = {.id = uuid_generate()};
    const struct log_context *before = log_enter(&context);
    fields_read_json(operation->fields, data, &self->exchange.input);
    if (exchange_check_input(&self->exchange)) {
        operation->handle(&self->exchange);
    }
    log_leave(before);
    exchange_unref(&self->exchange);
}
