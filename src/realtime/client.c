#include "realtime/client.h"

#include <assert.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <yajl/yajl_tree.h>

#include "util/json.h"
#include "util/metrics.h"
#include "util/utf8.h"

enum { REPLY_MAX_BYTES = 1 << 20, EVENT_NAME_MAX_BYTES = 128 };

/* One device. It goes when its socket has gone and its exchanges are done with it. */
struct client {
    struct session session;
    struct sio_socket *socket;
    struct client_worker *worker;
    struct event_exchange *exchanges; /* under way */
    struct token_claims claims;
};

/* An event that wants to be answered. */
struct event_exchange {
    struct exchange exchange;
    int64_t ack_id; /* -1: without an ack */
    struct event_exchange *previous, *next;
    struct event_exchange **head;
};

/* --- letting in --- */

/* The token of the handshake: auth.token, else ?token=, else the Authorization header. Cut to what a token can be. */
static bool find_token(const struct sio_handshake *handshake, char out[TOKEN_MAX_BYTES + 1])
{
    char text[2 * TOKEN_MAX_BYTES];
    out[0] = '\0';
    if (handshake->auth.length > 0 && handshake->auth.length < sizeof text) {
        memcpy(text, handshake->auth.data, handshake->auth.length);
        text[handshake->auth.length] = '\0';
        yajl_val auth = yajl_tree_parse(text, NULL, 0);
        yajl_val token = yajl_tree_get(auth, (const char *[]){"token", NULL}, yajl_t_string);
        const char *found = token != NULL ? token->u.string : "";
        if (strlen(found) <= TOKEN_MAX_BYTES) {
            memcpy(out, found, strlen(found) + 1);
        }
        yajl_tree_free(auth);
    }
    return out[0] != '\0';
}

static const struct field QUERY_FIELDS[] = {{.name = "token", .type = FIELD_TEXT, .min = 1, .max = TOKEN_MAX_BYTES},
                                            {0}};

static bool verify(struct client_worker *worker, struct slice token, struct token_claims *ret_claims)
{
    return token_cache_verify(worker->tokens, token, time(NULL), ret_claims);
}

/* False with a reason when nobody speaks for this socket. */
static bool authenticate(struct client_worker *worker, const struct sio_handshake *handshake,
                         struct token_claims *ret_claims, const char **ret_reason)
{
    char text[TOKEN_MAX_BYTES + 1];
    struct slice header = handshake->authorization;
    *ret_reason = "Authentication error: Invalid token";
    if (find_token(handshake, text)) {
        return verify(worker, slice_of(text), ret_claims);
    }
    struct field_values query;
    fields_init(&query);
    bool has_query = fields_read_query(QUERY_FIELDS, handshake->query, &query) && query.values[0].present;
    bool good = has_query && verify(worker, query.values[0].text, ret_claims);
    fields_dispose(&query);
    if (has_query) {
        return good;
    }
    if (header.length > 7 && strncasecmp(header.data, "Bearer ", 7) == 0) {
        return verify(worker, (struct slice){header.data + 7, header.length - 7}, ret_claims);
    }
    *ret_reason = "Authentication error: No token provided";
    return false;
}

static void deliver(struct session *session, struct sio_frame *frame, bool is_ephemeral)
{
    struct client *client = (struct client *)session;
    sio_send(client->socket, frame, is_ephemeral);
}

static void close_client(struct session *session)
{
    sio_disconnect(((struct client *)session)->socket, true);
}

static const struct session_transport SOCKETIO_TRANSPORT = {deliver, close_client};

static void on_connect(struct sio_socket *socket, const struct sio_handshake *handshake)
{
    struct client_worker *worker = sio_server_context(sio_socket_server(socket));
    struct client *client = calloc(1, sizeof *client);
    const char *reason = status_message(STATUS_UNAVAILABLE);
    if (client == NULL || !authenticate(worker, handshake, &client->claims, &reason)) {
        free(client);
        sio_refuse(socket, slice_of(reason), (struct slice){NULL, 0});
        return;
    }
    client->socket = socket;
    client->worker = worker;
    client->session.transport = &SOCKETIO_TRANSPORT;
    client->session.user_id = client->claims.user_id;
    sio_socket_set_data(socket, client);
    sio_accept(socket, (struct slice){NULL, 0});
    if (!hub_join(worker->hub, &client->session)) {
        sio_disconnect(socket, true);
    }
}

static void on_disconnect(struct sio_socket *socket, const char *reason)
{
    (void)reason;
    struct client *client = sio_socket_data(socket);
    for (struct event_exchange *waiting = client->exchanges; waiting != NULL; waiting = waiting->next) {
        waiting->exchange.peer = NULL;
        waiting->head = NULL;
    }
    if (client->session.hub != NULL) {
        hub_leave(&client->session);
    }
    free(client);
}

/* --- replies --- */

static void send_ack(struct event_exchange *self, struct buffer *json)
{
    struct client *client = self->exchange.peer;
    if (!json->failed) {
        sio_ack(client->socket, self->ack_id, buffer_slice(json));
    }
    buffer_dispose(json);
}

static void on_reply(struct exchange *exchange, enum status status, const char *name, struct slice json,
                     struct slice pagination)
{
    (void)status, (void)pagination;
    struct event_exchange *self = (struct event_exchange *)exchange;
    if (self->ack_id < 0) {
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
    send_ack(self, &out);
}

/* A failure: the ack, or without one the event operation-error. `event` is the name that the client sent. */
static void send_failure(struct client *client, int64_t ack_id, struct slice event, enum status status,
                         const char *message, struct slice errors)
{
    struct buffer out = buffer_init(REPLY_MAX_BYTES);
    buffer_append_text(&out, ack_id >= 0 ? "{\"success\":false,\"message\":" : "{\"message\":");
    json_string(&out, slice_of(message));
    buffer_printf(&out, ",\"code\":\"%s\"", status_code(status));
    if (status == STATUS_VALIDATION_ERROR) {
        buffer_append_text(&out, ",\"errors\":[");
        buffer_append_slice(&out, errors);
        buffer_append_char(&out, ']');
    }
    if (ack_id < 0) {
        buffer_append_text(&out, ",\"event\":");
        json_string(&out, utf8_cut(event, EVENT_NAME_MAX_BYTES));
    }
    buffer_append_char(&out, '}');
    if (!out.failed && ack_id >= 0) {
        sio_ack(client->socket, ack_id, buffer_slice(&out));
    } else if (!out.failed) {
        sio_emit(client->socket, SLICE("operation-error"), buffer_slice(&out));
    }
    buffer_dispose(&out);
}

static void on_fail(struct exchange *exchange, enum status status, const char *message, struct slice errors)
{
    struct event_exchange *self = (struct event_exchange *)exchange;
    send_failure(exchange->peer, self->ack_id, slice_of(exchange->operation->name), status, message, errors);
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

/* --- events --- */

static const struct operation *find_event(const struct client_worker *worker, struct slice name)
{
    for (const struct operation *const *table = worker->events; *table != NULL; table++) {
        for (const struct operation *event = *table; event->name != NULL; event++) {
            if (slice_equals(name, slice_of(event->name))) {
                return event;
            }
        }
    }
    return NULL;
}

static struct event_exchange *exchange_create(struct client *client, const struct operation *operation, int64_t ack_id)
{
    struct event_exchange *self = calloc(1, sizeof *self);
    if (self == NULL) {
        return NULL;
    }
    struct exchange *exchange = &self->exchange;
    exchange->references = 1;
    exchange->operation = operation;
    exchange->transport = &EVENT_TRANSPORT;
    exchange->peer = client;
    exchange->context = client->worker->context;
    exchange->actor = client->claims;
    exchange->origin = client->session.id;
    fields_init(&exchange->input);
    self->ack_id = ack_id;
    self->head = &client->exchanges;
    self->next = client->exchanges;
    if (self->next != NULL) {
        self->next->previous = self;
    }
    client->exchanges = self;
    return self;
}

/* An event that is not in the table, or not of the form that all have. */
static void refuse(struct client *client, const struct sio_event *event, enum status status, const char *message)
{
    send_failure(client, event->ack_id, event->name, status, message, (struct slice){NULL, 0});
}

static void on_event(struct sio_socket *socket, const struct sio_event *event)
{
    struct client *client = sio_socket_data(socket);
    const struct operation *operation = find_event(client->worker, event->name);
    metrics_add(METRIC_EVENTS_RECEIVED, 1);
    if (operation == NULL) {
        refuse(client, event, STATUS_INVALID_PAYLOAD, "Unknown event");
        return;
    }
    if (event->argument_count != 1 || event->attachment_count > 0) {
        refuse(client, event, STATUS_INVALID_PAYLOAD, "Send one JSON object with the event");
        return;
    }
    struct event_exchange *self = exchange_create(client, operation, event->ack_id);
    if (self == NULL) {
        refuse(client, event, STATUS_UNAVAILABLE, status_message(STATUS_UNAVAILABLE));
        return;
    }
    fields_read_json(operation->fields, event->arguments[0], &self->exchange.input);
    if (exchange_check_input(&self->exchange)) {
        operation->handle(&self->exchange);
    }
    exchange_unref(&self->exchange);
}

const struct sio_namespace CLIENT_NAMESPACES[] = {{"/", on_connect, on_event, on_disconnect, NULL}, {0}};
