#include "realtime/client.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yajl/yajl_tree.h>

#include "admission.h"
#include "event_exchange.h"
#include "frame.h"
#include "realtime/rendering.h"
#include "slow_consumer.h"
#include "util/ip_address.h"

enum { AUTH_MAX_BYTES = 2 * TOKEN_MAX_BYTES };

static const char BAD_TOKEN[] = "Authentication error: Invalid token";

/* One device. It goes when its socket has gone; what is under way for it outlives it. */
struct client {
    struct session session;
    struct event_sender sender;
    struct sio_socket *socket;
};

/* --- letting in --- */

/* What the handshake's auth holds for us; a member that is missing, or of another type, is empty. */
struct presented {
    yajl_val tree; /* owns the texts */
    struct slice token, pid, offset;
    bool is_token_wrong; /* it is of another type, or auth cannot be read */
};

static struct slice text_of(yajl_val tree, const char *name)
{
    yajl_val value = tree != NULL ? yajl_tree_get(tree, (const char *[]){name, NULL}, yajl_t_string) : NULL;
    return value != NULL ? slice_of(value->u.string) : (struct slice){NULL, 0};
}

static bool is_token_wrong(yajl_val tree)
{
    yajl_val token = yajl_tree_get(tree, (const char *[]){"token", NULL}, yajl_t_any);
    return tree == NULL || (token != NULL && !YAJL_IS_STRING(token) && !YAJL_IS_NULL(token));
}

static struct presented read_auth(struct slice auth)
{
    struct presented presented = {.is_token_wrong = auth.length >= AUTH_MAX_BYTES};
    char text[AUTH_MAX_BYTES];
    if (auth.length > 0 && auth.length < sizeof text) {
        memcpy(text, auth.data, auth.length);
        text[auth.length] = '\0';
        presented.tree = yajl_tree_parse(text, NULL, 0);
        presented.is_token_wrong = is_token_wrong(presented.tree);
        presented.token = text_of(presented.tree, "token");
        presented.pid = text_of(presented.tree, "pid");
        presented.offset = text_of(presented.tree, "offset");
    }
    return presented;
}

/* False when nobody speaks for this socket; without a reason it may come again. */
static bool authenticate(const struct client_worker *worker, const struct sio_handshake *handshake,
                         const struct presented *presented, struct token_claims *ret_claims, const char **ret_reason)
{
    struct admission_papers papers = {presented->token, presented->is_token_wrong, handshake->query,
                                      handshake->authorization};
    enum admission admission = admission_check(worker->tokens, &papers, ret_claims);
    *ret_reason = admission == ADMISSION_NO_TOKEN    ? "Authentication error: No token provided"
                  : admission == ADMISSION_BAD_TOKEN ? BAD_TOKEN
                                                     : NULL;
    return admission == ADMISSION_GRANTED;
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
            refuse_socket(client->socket,
                          opening->status == STATUS_UNAUTHORIZED ? BAD_TOKEN : status_message(opening->status));
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
    struct sio_socket *socket = ((struct client *)session)->socket;
    struct sio_frame *frame = rendering_frame(rendering, RENDERING_SOCKETIO);
    if (frame != NULL) {
        sio_send(socket, frame, frame_sending(sending));
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

static void end(struct session *session)
{
    sio_expel(((struct client *)session)->socket);
}

static const struct session_transport SOCKETIO_TRANSPORT = {on_open, send_event, wait_for_drain, end};

static void on_drain(struct sio_socket *socket)
{
    session_on_drain(&((struct client *)sio_socket_data(socket))->session);
}

/* --- events --- */

static struct client *client_of(struct event_sender *sender)
{
    return (struct client *)((char *)sender - offsetof(struct client, sender));
}

static void send_ack(struct event_sender *sender, const struct event_ack *ack, struct slice json)
{
    sio_ack(client_of(sender)->socket, ack->number, json);
}

static void tell_failure(struct event_sender *sender, struct slice json)
{
    sio_emit(client_of(sender)->socket, SLICE("operation-error"), json);
}

static void close_client(struct event_sender *sender)
{
    sio_disconnect(client_of(sender)->socket, true);
}

static const struct event_answers ANSWERS = {send_ack, tell_failure, close_client};

static void on_event(struct sio_socket *socket, const struct sio_event *event)
{
    struct client *client = sio_socket_data(socket);
    struct event_ack ack = {.is_wanted = event->ack_id >= 0, .number = event->ack_id};
    if (event->argument_count == 1 && event->attachment_count == 0) {
        event_exchange_start(&client->sender, event->name, event->arguments[0], &ack);
    } else {
        event_exchange_refuse(&client->sender, event->name, &ack, STATUS_INVALID_PAYLOAD,
                              "Send one JSON object with the event");
    }
}

/* --- coming and going --- */

static struct rate_key address_key(const char *text)
{
    struct ip_address address = {{0}};
    ip_address_parse(slice_of(text), &address);
    address = ip_address_limit_key(&address);
    return rate_key_of(address.bytes);
}

static void on_connect(struct sio_socket *socket, const struct sio_handshake *handshake)
{
    struct client_worker *worker = sio_server_context(sio_socket_server(socket));
    struct client *client = calloc(1, sizeof *client);
    struct presented presented = read_auth(handshake->auth);
    const char *reason = NULL; /* without memory */
    bool good = client != NULL && authenticate(worker, handshake, &presented, &client->sender.claims, &reason);
    if (good) {
        client->socket = socket;
        client->sender.answers = &ANSWERS;
        client->sender.worker = worker;
        client->sender.session = &client->session;
        client->sender.address = address_key(handshake->address);
        client->session.transport = &SOCKETIO_TRANSPORT;
        session_set_token(&client->session, &client->sender.claims);
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

static void report_if_slow(const struct session *session, const char *reason)
{
    if (strcmp(reason, SIO_SLOW_READER) == 0) {
        slow_consumer_report(session, "Socket.IO", SLOW_CONSUMER_QUEUE);
    } else if (strcmp(reason, SIO_PING_TIMEOUT) == 0 && session_is_draining(session)) {
        slow_consumer_report(session, "Socket.IO", SLOW_CONSUMER_LOG);
    }
}

static void on_disconnect(struct sio_socket *socket, const char *reason)
{
    struct client *client = sio_socket_data(socket);
    report_if_slow(&client->session, reason);
    event_sender_leave(&client->sender);
    session_leave(&client->session);
    free(client);
}

const struct sio_namespace CLIENT_NAMESPACES[] = {{"/", on_connect, on_event, on_disconnect, on_drain}, {0}};
