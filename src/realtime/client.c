#include "realtime/client.h"

#include <assert.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <yajl/yajl_tree.h>

#include "realtime/rendering.h"
#include "util/json.h"
#include "util/metrics.h"
#include "util/utf8.h"

enum { REPLY_MAX_BYTES = 1 << 20, EVENT_NAME_MAX_BYTES = 128, AUTH_MAX_BYTES = 2 * TOKEN_MAX_BYTES };

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

/* What the handshake's auth holds for us; a member that is missing, or of another type, is empty. */
struct presented {
    yajl_val tree; /* owns the texts */
    struct slice token, pid, offset;
};

static struct slice text_of(yajl_val tree, const char *name)
{
    yajl_val value = tree != NULL ? yajl_tree_get(tree, (const char *[]){name, NULL}, yajl_t_string) : NULL;
    return value != NULL ? slice_of(value->u.string) : (struct slice){NULL, 0};
}

static struct presented read_auth(struct slice auth)
{
    struct presented presented = {0};
    char text[AUTH_MAX_BYTES];
    if (auth.length > 0 && auth.length < sizeof text) {
        memcpy(text, auth.data, auth.length);
        text[auth.length] = '\0';
        presented.tree = yajl_tree_parse(text, NULL, 0);
        presented.token = text_of(presented.tree, "token");
        presented.pid = text_of(presented.tree, "pid");
        presented.offset = text_of(presented.tree, "offset");
    }
    return presented;
}

static const struct field QUERY_FIELDS[] = {{.name = "token", .type = FIELD_TEXT, .min = 1, .max = TOKEN_MAX_BYTES},
                                            {0}};

static bool verify(struct client_worker *worker, struct slice token, struct token_claims *ret_claims)
{
    return token_cache_verify(worker->tokens, token, time(NULL), ret_claims);
}

/* False with a reason when nobody speaks for this socket. */
static bool authenticate(struct client_worker *worker, const struct sio_handshake *handshake, struct slice auth_token,
                         struct token_claims *ret_claims, const char **ret_reason)
{
    struct slice header = handshake->authorization;
    *ret_reason = "Authentication error: Invalid token";
    if (auth_token.length > 0) {
        return verify(worker, auth_token, ret_claims);
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

/* --- as the transport of a session --- */

static void refuse_socket(struct sio_socket *socket, const char *reason)
{
    sio_refuse(socket, slice_of(reason), (struct slice){NULL, 0});
}

static void on_open(struct session *session, const struct session_opening *opening)
{
    struct client *client = (struct client *)session;
    if (opening->status != STATUS_OK) {
        session_leave(session);
        if (opening->status == STATUS_UNAVAILABLE) {
            sio_turn_away(client->socket);
        } else {
            refuse_socket(client->socket, status_message(opening->status));
        }
        free(client);
        return;
    }
    char extra[PID_LENGTH + 16];
    int length = snprintf(extra, sizeof extra, "\"pid\":\"%s\"", opening->pid);
    sio_accept(client->socket, (struct slice){extra, (size_t)length});
}

static void send_event(struct session *session, struct rendering *rendering, enum session_sending sending)
{
    static const enum sio_sending sendings[] = {[SESSION_SENDING_LIVE] = SIO_SENDING_COUNTED,
                                                [SESSION_SENDING_PACED] = SIO_SENDING_PACED,
                                                [SESSION_SENDING_EPHEMERAL] = SIO_SENDING_EPHEMERAL};
    struct sio_socket *socket = ((struct client *)session)->socket;
    struct sio_frame *frame = rendering_frame(rendering, RENDERING_SOCKETIO);
    if (frame != NULL) {
        sio_send(socket, frame, sendings[sending]);
    } else if (sending != SESSION_SENDING_EPHEMERAL) {
        sio_disconnect(socket, true); /* without memory: it comes back and reads the log */
    }
}

static bool wait_for_drain(struct session *session)
{
    struct sio_socket *socket = ((struct client *)session)->socket;
    if (sio_queued_bytes(socket) == 0) {
        return false;
    }
    sio_notify_drained(socket);
    return true;
}

static const struct session_transport SOCKETIO_TRANSPORT = {on_open, send_event, wait_for_drain};

static void on_drain(struct sio_socket *socket)
{
    session_on_drain(&((struct client *)sio_socket_data(socket))->session);
}

static void on_connect(struct sio_socket *socket, const struct sio_handshake *handshake)
{
    struct client_worker *worker = sio_server_context(sio_socket_server(socket));
    struct client *client = calloc(1, sizeof *client);
    struct presented presented = read_auth(handshake->auth);
    const char *reason = NULL; /* without memory */
    bool good = client != NULL && authenticate(worker, handshake, presented.token, &client->claims, &reason);
    if (good) {
        client->socket = socket;
        client->worker = worker;
        client->session.transport = &SOCKETIO_TRANSPORT;
        client->session.user_id = client->claims.user_id;
        sio_socket_set_data(socket, client);
        reason = NULL;
        good = session_open(&client->session, worker->hub,
                            &(struct session_resume){.pid = presented.pid, .offset = presented.offset});
    }
    if (!good) {
        free(client);
        if (reason != NULL) {
            refuse_socket(socket, reason);
        } else {
            sio_turn_away(socket);
        }
    }
    yajl_tree_free(presented.tree);
}

static void on_disconnect(struct sio_socket *socket, const char *reason)
{
    (void)reason;
    struct client *client = sio_socket_data(socket);
    for (struct event_exchange *waiting = client->exchanges; waiting != NULL; waiting = waiting->next) {
        waiting->exchange.peer = NULL;
        waiting->head = NULL;
    }
    session_leave(&client->session);
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

const struct sio_namespace CLIENT_NAMESPACES[] = {{"/", on_connect, on_event, on_disconnect, on_drain}, {0}};
