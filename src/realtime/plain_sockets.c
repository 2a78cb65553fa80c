#include "realtime/plain_sockets.h"

#include <inttypes.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include "admission.h"
#include "event_exchange.h"
#include "origin.h"
#include "plain_frame.h"
#include "realtime/rendering.h"
#include "slow_consumer.h"
#include "util/json.h"
#include "ws_connection.h"

/* WAITING (for the token) → OPENING (its place in the log is looked up, and what it sends is not read yet) → OPEN. A
 * browser is told why it may not come in by the code of a Close, since it hides the answers to upgrades from its page:
 * so everybody is upgraded first. */

enum { OFFSET_MAX_LENGTH = 64, OFFSET_KEPT_BYTES = 24 };

/* Why a socket is closed, later. */
struct doom {
    enum ws_close_code code;
    const char *reason;
};
static const struct doom TOO_MANY = {WS_CLOSE_POLICY, "Too many events, please send less often"};
static const struct doom TOO_SLOW = {WS_CLOSE_TRY_AGAIN, "Events were not read in time; resume from the last offset"};
static const struct doom OVER = {WS_CLOSE_UNAUTHORIZED, "Invalid token"};

enum plain_state { PLAIN_WAITING, PLAIN_OPENING, PLAIN_OPEN };

struct plain_sockets {
    struct plain_sockets_options options;
    struct ws_host host;
    struct sio_frame *ping; /* the same for all */
    int upgrading;          /* requests whose 101 is on its way */
    bool is_closing;
    bool is_destroyed; /* but for the upgrades */
};

/* One device. It goes when its connection has gone; what is under way for it outlives it. */
struct plain_socket {
    struct session session;
    struct event_sender sender;
    struct plain_sockets *sockets;
    struct ws_connection *connection;
    struct timer timer;        /* the token's deadline, then the next ping or the pong's deadline */
    struct loop_deferred work; /* closes one that is doomed */
    uint8_t state;
    uint8_t admission;
    bool awaits_pong;
    const struct doom *doom;        /* why it is to be closed; NULL: it is not */
    char offset[OFFSET_KEPT_BYTES]; /* from which it wants to resume; longer ones are none */
};

static struct plain_socket *socket_of(struct event_sender *sender)
{
    return (struct plain_socket *)((char *)sender - offsetof(struct plain_socket, sender));
}

/* --- end --- */

/* Its connection is somebody else's by now. */
static void destroy_socket(struct plain_socket *socket)
{
    struct loop *loop = socket->sockets->options.loop;
    event_sender_leave(&socket->sender);
    session_leave(&socket->session);
    loop_timer_stop(loop, &socket->timer);
    loop_defer_cancel(loop, &socket->work);
    free(socket);
}

static void close_socket(struct plain_socket *socket, enum ws_close_code code, const char *reason)
{
    ws_connection_close_now(socket->connection, code, reason);
    destroy_socket(socket);
}

static void on_end(void *data, enum ws_end end)
{
    (void)end;
    destroy_socket(data);
}

static void on_work(struct loop_deferred *work)
{
    struct plain_socket *socket = (struct plain_socket *)((char *)work - offsetof(struct plain_socket, work));
    close_socket(socket, socket->doom->code, socket->doom->reason);
}

/* --- sending --- */

/* Never closes inside: who sends may still need the socket. */
static void doom(struct plain_socket *socket, const struct doom *reason)
{
    if (socket->doom == NULL) {
        socket->doom = reason;
        loop_defer(socket->sockets->options.loop, &socket->work);
    }
}

static void send_frame(struct plain_socket *socket, struct sio_frame *frame, enum sio_sending sending)
{
    if (socket->doom != NULL) {
        return;
    }
    bool good =
        frame != NULL ? ws_connection_send(socket->connection, frame, sending) : sending == SIO_SENDING_EPHEMERAL;
    if (!good) {
        slow_consumer_report(&socket->session, "WebSocket", SLOW_CONSUMER_QUEUE);
        doom(socket, &TOO_SLOW);
    }
}

static void send_parts(struct plain_socket *socket, const struct slice *parts, int count)
{
    struct sio_frame *frame = frame_create(WS_OPCODE_TEXT, parts, count);
    send_frame(socket, frame, SIO_SENDING_COUNTED);
    sio_frame_unref(frame);
}

static void send_ack(struct event_sender *sender, const struct event_ack *ack, struct slice json)
{
    const struct slice parts[] = {SLICE("{\"ack\":"), ack->text, SLICE(",\"data\":"), json, SLICE("}")};
    send_parts(socket_of(sender), parts, sizeof parts / sizeof parts[0]);
}

static void tell_failure(struct event_sender *sender, struct slice json)
{
    const struct slice parts[] = {SLICE("{\"event\":\"operation-error\",\"data\":"), json, SLICE("}")};
    send_parts(socket_of(sender), parts, sizeof parts / sizeof parts[0]);
}

static void close_sender(struct event_sender *sender)
{
    doom(socket_of(sender), &TOO_MANY);
}

static const struct event_answers ANSWERS = {send_ack, tell_failure, close_sender};

/* --- as the transport of a session --- */

static void send_ready(struct plain_socket *socket, const struct session_opening *opening)
{
    char text[256], user_id[UUID_TEXT_LENGTH];
    uuid_format(socket->session.user_id, user_id);
    int length =
        snprintf(text, sizeof text,
                 "{\"event\":\"ready\",\"data\":{\"userId\":\"%.*s\",\"offset\":\"%" PRId64 "\",\"resumed\":%s}}",
                 UUID_TEXT_LENGTH, user_id, opening->seq, opening->is_resumed ? "true" : "false");
    send_parts(socket, &(struct slice){text, (size_t)length}, 1);
    if (socket->offset[0] != '\0' && !opening->is_resumed) {
        length =
            snprintf(text, sizeof text, "{\"event\":\"reset\",\"data\":{\"offset\":\"%" PRId64 "\"}}", opening->seq);
        send_parts(socket, &(struct slice){text, (size_t)length}, 1);
    }
}

static void on_open(struct session *session, const struct session_opening *opening)
{
    struct plain_socket *socket = (struct plain_socket *)session;
    if (opening->status != STATUS_OK) {
        bool is_refused = opening->status == STATUS_UNAUTHORIZED;
        close_socket(socket, is_refused ? WS_CLOSE_UNAUTHORIZED : WS_CLOSE_TRY_AGAIN, status_message(opening->status));
        return;
    }
    socket->state = PLAIN_OPEN;
    ws_connection_limit(socket->connection, socket->sockets->options.max_payload_bytes);
    send_ready(socket, opening);
    loop_timer_start(socket->sockets->options.loop, &socket->timer, socket->sockets->options.ping_interval_ms);
    ws_connection_resume(socket->connection);
}

static void send_event(struct session *session, struct rendering *rendering, enum session_sending sending)
{
    send_frame((struct plain_socket *)session, rendering_frame(rendering, RENDERING_PLAIN), frame_sending(sending));
}

static bool wait_for_drain(struct session *session)
{
    return ws_connection_queued_bytes(((struct plain_socket *)session)->connection) > 0;
}

static void end(struct session *session)
{
    doom((struct plain_socket *)session, &OVER);
}

static const struct session_transport PLAIN_TRANSPORT = {on_open, send_event, wait_for_drain, end};

static void on_drain(void *data)
{
    session_on_drain(&((struct plain_socket *)data)->session);
}

/* --- letting in --- */

static void open_session(struct plain_socket *socket)
{
    struct session_resume resume = {.offset = slice_of(socket->offset)};
    socket->state = PLAIN_OPENING;
    session_set_token(&socket->session, &socket->sender.claims);
    loop_timer_stop(socket->sockets->options.loop, &socket->timer);
    ws_connection_pause(socket->connection);
    if (!session_open(&socket->session, socket->sockets->options.worker->hub, &resume)) {
        close_socket(socket, WS_CLOSE_TRY_AGAIN, status_message(STATUS_UNAVAILABLE));
    }
}

/* The token may have come a while ago, before the 101 had left. */
static void enter(struct plain_socket *socket, enum admission admission)
{
    if (admission == ADMISSION_GRANTED &&
        token_cache_has_ended(socket->sockets->options.worker->tokens, socket->sender.claims.login_id)) {
        admission = ADMISSION_BAD_TOKEN;
    }
    if (admission == ADMISSION_GRANTED) {
        open_session(socket);
    } else {
        bool is_refused = admission_status(admission) == STATUS_UNAUTHORIZED;
        close_socket(socket, is_refused ? WS_CLOSE_UNAUTHORIZED : WS_CLOSE_TRY_AGAIN, admission_message(admission));
    }
}

/* What is no place in a log is kept as something that the session finds so. */
static void keep_offset(struct plain_socket *socket, struct slice offset)
{
    bool is_short = offset.length > 0 && offset.length < sizeof socket->offset;
    snprintf(socket->offset, sizeof socket->offset, "%.*s", is_short ? (int)offset.length : 1,
             is_short ? offset.data : "?");
}

enum { AUTH_TOKEN, AUTH_SINCE };

static const struct field AUTH_FIELDS[] = {
    [AUTH_TOKEN] = {.name = "token", .type = FIELD_TEXT, .min = 1, .max = TOKEN_MAX_BYTES, .flags = FIELD_SECRET},
    [AUTH_SINCE] = {.name = "since", .type = FIELD_JSON},
    {0},
};

static struct slice without_quotes(struct slice json)
{
    bool is_quoted = json.length >= 2 && json.data[0] == '"';
    return is_quoted ? (struct slice){json.data + 1, json.length - 2} : json;
}

/* The frame `auth`. */
static void authenticate(struct plain_socket *socket, struct slice data)
{
    struct field_values values;
    fields_init(&values);
    fields_read_json(AUTH_FIELDS, data, &values);
    const struct field_value *token = &values.values[AUTH_TOKEN];
    struct admission_papers papers = {.token = token->text, .is_token_wrong = token->is_wrong};
    enum admission admission =
        admission_check(socket->sockets->options.worker->tokens, &papers, &socket->sender.claims);
    if (values.values[AUTH_SINCE].present) {
        keep_offset(socket, without_quotes(values.values[AUTH_SINCE].text));
    }
    fields_dispose(&values);
    enter(socket, admission);
}

/* --- what comes --- */

static void take_frame(struct plain_socket *socket, const struct plain_frame *frame)
{
    if (socket->state == PLAIN_WAITING) {
        authenticate(socket, slice_equals(frame->event, SLICE("auth")) ? frame->data : SLICE("{}"));
    } else if (frame->status == STATUS_UNAVAILABLE) {
        event_exchange_refuse(&socket->sender, frame->event, &frame->ack, STATUS_UNAVAILABLE,
                              status_message(STATUS_UNAVAILABLE));
    } else if (frame->status != STATUS_OK) {
        event_exchange_refuse(&socket->sender, frame->event, &frame->ack, STATUS_INVALID_PAYLOAD,
                              "Send {\"event\":text,\"data\":object}, and \"id\", text or a number, for an ack");
    } else {
        event_exchange_start(&socket->sender, frame->event, frame->data, &frame->ack);
    }
}

static void on_message(void *data, struct slice message, bool is_binary)
{
    struct plain_socket *socket = data;
    struct plain_frame frame;
    if (socket->doom != NULL) {
        return;
    }
    if (is_binary) {
        close_socket(socket, WS_CLOSE_UNSUPPORTED, "Send JSON as text");
        return;
    }
    if (plain_frame_read(message, &frame)) {
        take_frame(socket, &frame);
    } else {
        close_socket(socket, WS_CLOSE_BAD_DATA, "Malformed JSON");
    }
    plain_frame_dispose(&frame);
}

static void on_pong(void *data)
{
    struct plain_socket *socket = data;
    if (socket->state == PLAIN_OPEN) {
        socket->awaits_pong = false;
        loop_timer_start(socket->sockets->options.loop, &socket->timer, socket->sockets->options.ping_interval_ms);
    }
}

static const struct ws_callbacks WS_CALLBACKS = {on_message, on_end, on_drain, on_pong};

static void on_timer(struct timer *timer)
{
    struct plain_socket *socket = (struct plain_socket *)((char *)timer - offsetof(struct plain_socket, timer));
    struct plain_sockets *sockets = socket->sockets;
    if (socket->state == PLAIN_WAITING) {
        enter(socket, ADMISSION_NO_TOKEN);
    } else if (socket->awaits_pong) {
        if (session_is_draining(&socket->session)) {
            slow_consumer_report(&socket->session, "WebSocket", SLOW_CONSUMER_LOG);
        }
        close_socket(socket, WS_CLOSE_POLICY, "No pong in time");
    } else {
        socket->awaits_pong = true;
        loop_timer_start(sockets->options.loop, timer, sockets->options.ping_timeout_ms);
        send_frame(socket, sockets->ping, SIO_SENDING_COUNTED);
    }
}

/* --- requests --- */

static void free_when_unused(struct plain_sockets *sockets)
{
    if (sockets->is_destroyed && sockets->upgrading == 0) {
        sio_frame_unref(sockets->ping);
        free(sockets);
    }
}

static void on_upgraded(struct stream *stream, void *data)
{
    struct plain_socket *socket = data;
    struct plain_sockets *sockets = socket->sockets;
    sockets->upgrading--;
    if (stream == NULL || sockets->is_closing) {
        stream_close(stream);
        free(socket);
        free_when_unused(sockets);
        return;
    }
    socket->connection = ws_connection_create(&sockets->host, stream, &WS_CALLBACKS, socket);
    if (socket->connection == NULL) {
        free(socket);
    } else if (socket->admission != ADMISSION_NO_TOKEN) {
        enter(socket, socket->admission);
    } else {
        ws_connection_limit(socket->connection, sockets->options.stranger_max_bytes);
        loop_timer_start(sockets->options.loop, &socket->timer, sockets->options.connect_timeout_ms);
    }
}

static void read_since(struct plain_socket *socket, struct slice query)
{
    static const struct field fields[] = {{.name = "since", .type = FIELD_TEXT, .max = OFFSET_MAX_LENGTH}, {0}};
    struct field_values values;
    fields_init(&values);
    fields_read_query(fields, query, &values);
    if (values.values[0].present || values.values[0].is_wrong) {
        keep_offset(socket, values.values[0].text);
    }
    fields_dispose(&values);
}

static void upgrade(struct plain_sockets *sockets, struct http_request *request)
{
    struct plain_socket *socket = calloc(1, sizeof *socket);
    if (socket == NULL) {
        http_request_refuse(request, STATUS_UNAVAILABLE, status_message(STATUS_UNAVAILABLE));
        return;
    }
    socket->session.transport = &PLAIN_TRANSPORT;
    socket->sender.answers = &ANSWERS;
    socket->sender.worker = sockets->options.worker;
    socket->sender.session = &socket->session;
    socket->sender.address = rate_key_of(http_request_client(request)->key.bytes);
    socket->sockets = sockets;
    socket->timer.on_fire = on_timer;
    socket->work.run = on_work;
    struct admission_papers papers = {.query = http_request_query(request),
                                      .authorization = http_request_header(request, "authorization")};
    bool has_protocol = plain_protocol_read(http_request_header(request, "sec-websocket-protocol"), &papers.token);
    socket->admission = (uint8_t)admission_check(sockets->options.worker->tokens, &papers, &socket->sender.claims);
    read_since(socket, papers.query);
    if (http_request_upgrade(request, has_protocol ? "bearer" : NULL, on_upgraded, socket)) {
        sockets->upgrading++;
    } else {
        free(socket);
        http_request_refuse(request, STATUS_BAD_REQUEST, "Open a WebSocket here, by HTTP/1.1");
    }
}

void plain_sockets_handle(struct plain_sockets *sockets, const struct http_site *site, struct http_request *request)
{
    if (!http_request_allow(request, "GET")) {
        return;
    }
    struct slice origin = http_request_header(request, "origin");
    if (!origin_is_own(origin, http_request_host(request)) && !http_site_allows_origin(site, origin)) {
        http_request_refuse(request, STATUS_FORBIDDEN, "Pages of this origin are not allowed here");
    } else if (sockets->is_closing) {
        http_request_refuse(request, STATUS_UNAVAILABLE, status_message(STATUS_UNAVAILABLE));
    } else {
        upgrade(sockets, request);
    }
}

/* --- all of them --- */

struct plain_sockets *plain_sockets_create(const struct plain_sockets_options *options)
{
    struct plain_sockets *sockets = calloc(1, sizeof *sockets);
    if (sockets == NULL || (sockets->ping = frame_create(WS_OPCODE_PING, NULL, 0)) == NULL) {
        free(sockets);
        return NULL;
    }
    sockets->options = *options;
    ws_host_init(&sockets->host, options->loop, options->max_payload_bytes, options->send_queue_max_bytes);
    sockets->host.max_frames_per_second = options->max_packets_per_second;
    return sockets;
}

bool plain_sockets_let_go(struct plain_sockets *sockets, int max)
{
    sockets->is_closing = true;
    return ws_host_let_go(&sockets->host, WS_CLOSE_GOING_AWAY, max);
}

int plain_sockets_count(const struct plain_sockets *sockets)
{
    return sockets->host.count;
}

void plain_sockets_destroy(struct plain_sockets *sockets)
{
    if (sockets == NULL) {
        return;
    }
    plain_sockets_let_go(sockets, INT_MAX);
    ws_host_dispose(&sockets->host);
    sockets->is_destroyed = true;
    free_when_unused(sockets);
}
