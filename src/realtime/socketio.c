#include "realtime/socketio.h"

#include <assert.h>
#include <stdlib.h>

#include "engineio.h"
#include "socketio_packet.h"
#include "util/json.h"

/* A session of Engine.IO has a socket for each namespace that its client has joined. A socket that has come to its end
 * stays in memory until the turn is over; one whose on_connect is not answered yet stays until it is, also when its
 * session has closed meanwhile. */

/* A stock client that gets a DISCONNECT and the end of its session in one poll sees the end alone, and comes back: so
 * it gets some time to leave by itself. */
enum { REPLY_MAX_BYTES = 1 << 20, EXPELLED_LINGER_MS = 1000 };

enum socket_state {
    SOCKET_PENDING,   /* on_connect was called */
    SOCKET_CONNECTED, /* accepted */
    SOCKET_LEAVING,   /* on_disconnect is due at the end of the turn */
    SOCKET_GONE,      /* freed at the end of the turn */
};

struct sio_socket {
    struct sio_session *session;
    const struct sio_namespace *name_space; /* NULL for raw Engine.IO */
    void *data;
    struct sio_socket *next;
    uint8_t state;
    bool wants_drain;
    char id[EIO_SID_LENGTH + 1];
};

/* A packet whose attachments are on their way. */
struct assembly {
    struct buffer text, bytes;
    size_t ends[SIO_ATTACHMENTS_MAX];
    int count, needed;
};

/* What the request that opened the session told. */
struct told {
    struct slice query, authorization;
    const char *address;
    char text[];
};

struct sio_session {
    struct eio_session engine; /* first */
    struct sio_socket *sockets;
    struct told *told;
    struct assembly *assembly;
    struct timer connect_timeout;
};

struct sio_group {
    struct eio_group *engine;
};

struct sio_server {
    struct eio_server *engine;
    struct sio_options options;
    struct buffer names; /* scratch of the decoder */
};

static struct sio_server *server_of(const struct sio_session *session)
{
    return eio_server_owner(session->engine.server);
}

static bool is_raw(const struct sio_session *session)
{
    return server_of(session)->options.on_raw_message != NULL;
}

static bool is_open(const struct sio_session *session)
{
    return session->engine.state == EIO_STATE_OPEN;
}

/* --- sending --- */

static void send_frame(struct sio_socket *socket, struct sio_frame *frame)
{
    if (frame != NULL) {
        eio_session_send(&socket->session->engine, frame, SIO_SENDING_COUNTED);
    } else {
        eio_session_close_later(&socket->session->engine, "transport error"); /* without memory */
    }
}

/* Sends a packet to the socket's namespace, whatever the socket's state. */
static void send_packet(struct sio_socket *socket, struct sio_packet_parts parts)
{
    parts.name_space = slice_of(socket->name_space->name);
    struct sio_frame *frame = sio_packet_encode(&parts);
    send_frame(socket, frame);
    sio_frame_unref(frame);
}

static void send_bytes(struct sio_socket *socket, struct slice bytes)
{
    struct sio_frame *frame = frame_create(WS_OPCODE_BINARY, &bytes, 1);
    send_frame(socket, frame);
    sio_frame_unref(frame);
}

void sio_ack_binary(struct sio_socket *socket, int64_t ack_id, struct slice arguments, const struct slice *attachments,
                    int attachment_count)
{
    if (socket->state != SOCKET_CONNECTED) {
        return;
    }
    send_packet(socket, (struct sio_packet_parts){.type = attachment_count > 0 ? SIO_BINARY_ACK : SIO_ACK,
                                                  .json = arguments,
                                                  .attachment_count = attachment_count,
                                                  .ack_id = ack_id});
    for (int i = 0; i < attachment_count; i++) {
        send_bytes(socket, attachments[i]);
    }
}

void sio_ack(struct sio_socket *socket, int64_t ack_id, struct slice arguments)
{
    sio_ack_binary(socket, ack_id, arguments, NULL, 0);
}

void sio_emit_binary(struct sio_socket *socket, struct slice name, struct slice arguments,
                     const struct slice *attachments, int attachment_count)
{
    if (socket->state != SOCKET_CONNECTED) {
        return;
    }
    send_packet(socket, (struct sio_packet_parts){.type = attachment_count > 0 ? SIO_BINARY_EVENT : SIO_EVENT,
                                                  .name = name,
                                                  .json = arguments,
                                                  .attachment_count = attachment_count,
                                                  .ack_id = -1});
    for (int i = 0; i < attachment_count; i++) {
        send_bytes(socket, attachments[i]);
    }
}

void sio_emit(struct sio_socket *socket, struct slice name, struct slice arguments)
{
    sio_emit_binary(socket, name, arguments, NULL, 0);
}

void sio_send(struct sio_socket *socket, struct sio_frame *frame, enum sio_sending sending)
{
    if (socket->state == SOCKET_CONNECTED) {
        eio_session_send(&socket->session->engine, frame, sending);
    }
}

struct sio_frame *sio_frame_create(struct slice name, struct slice arguments, struct slice offset)
{
    return sio_packet_encode(
        &(struct sio_packet_parts){.type = SIO_EVENT, .name = name, .json = arguments, .offset = offset, .ack_id = -1});
}

void sio_send_raw(struct sio_socket *socket, struct slice message, bool is_binary)
{
    struct slice parts[] = {{"4", is_binary ? 0 : 1}, message};
    if (socket->state != SOCKET_CONNECTED) {
        return;
    }
    struct sio_frame *frame = frame_create(is_binary ? WS_OPCODE_BINARY : WS_OPCODE_TEXT, parts, 2);
    send_frame(socket, frame);
    sio_frame_unref(frame);
}

size_t sio_queued_bytes(const struct sio_socket *socket)
{
    return eio_session_queued_bytes(&socket->session->engine);
}

void sio_notify_drained(struct sio_socket *socket)
{
    assert(socket->name_space != NULL && socket->name_space->on_drain != NULL);
    socket->wants_drain = true;
}

/* --- sockets --- */

static struct sio_socket *socket_create(struct sio_session *session, const struct sio_namespace *name_space)
{
    struct sio_socket *socket = calloc(1, sizeof *socket);
    uint8_t bytes[15];
    if (socket == NULL) {
        return NULL;
    }
    socket->session = session;
    socket->name_space = name_space;
    eio_make_id(bytes, 0, 0, socket->id);
    socket->next = session->sockets;
    session->sockets = socket;
    return socket;
}

/* The socket that is in the namespace, or asks to be. */
static struct sio_socket *find_socket(const struct sio_session *session, struct slice name_space)
{
    for (struct sio_socket *socket = session->sockets; socket != NULL; socket = socket->next) {
        if (socket->state <= SOCKET_CONNECTED && slice_equals(slice_of(socket->name_space->name), name_space)) {
            return socket;
        }
    }
    return NULL;
}

static void leave(struct sio_socket *socket, const char *reason)
{
    socket->state = SOCKET_GONE;
    if (socket->name_space != NULL) {
        socket->name_space->on_disconnect(socket, reason);
    }
    eio_session_defer(&socket->session->engine);
}

struct sio_server *sio_socket_server(const struct sio_socket *socket)
{
    return server_of(socket->session);
}

const char *sio_socket_id(const struct sio_socket *socket)
{
    return socket->id;
}

void sio_socket_set_data(struct sio_socket *socket, void *data)
{
    socket->data = data;
}

void *sio_socket_data(const struct sio_socket *socket)
{
    return socket->data;
}

void sio_accept(struct sio_socket *socket, struct slice extra)
{
    struct sio_session *session = socket->session;
    assert(socket->state == SOCKET_PENDING);
    if (is_open(session)) {
        struct buffer json = buffer_init(REPLY_MAX_BYTES);
        buffer_printf(&json, "{\"sid\":\"%s\"%s", socket->id, extra.length > 0 ? "," : "");
        buffer_append_slice(&json, extra);
        buffer_append_char(&json, '}');
        socket->state = SOCKET_CONNECTED;
        eio_session_trust(&session->engine);
        loop_timer_stop(eio_server_loop(session->engine.server), &session->connect_timeout);
        send_packet(socket, (struct sio_packet_parts){.type = SIO_CONNECT, .json = buffer_slice(&json), .ack_id = -1});
        buffer_dispose(&json);
    } else {
        socket->state = SOCKET_LEAVING;
        eio_session_defer(&session->engine);
    }
    eio_session_unpin(&session->engine);
}

static void send_refusal(struct sio_socket *socket, struct slice message, struct slice data)
{
    struct buffer json = buffer_init(REPLY_MAX_BYTES);
    buffer_append_text(&json, "{\"message\":");
    json_string(&json, message);
    if (data.length > 0) {
        buffer_append_text(&json, ",\"data\":");
        buffer_append_slice(&json, data);
    }
    buffer_append_char(&json, '}');
    send_packet(socket,
                (struct sio_packet_parts){.type = SIO_CONNECT_ERROR, .json = buffer_slice(&json), .ack_id = -1});
    buffer_dispose(&json);
}

void sio_refuse(struct sio_socket *socket, struct slice message, struct slice data)
{
    assert(socket->state == SOCKET_PENDING);
    socket->state = SOCKET_GONE;
    if (is_open(socket->session)) {
        send_refusal(socket, message, data);
    }
    eio_session_defer(&socket->session->engine);
    eio_session_unpin(&socket->session->engine);
}

void sio_turn_away(struct sio_socket *socket)
{
    assert(socket->state == SOCKET_PENDING);
    socket->state = SOCKET_GONE;
    eio_session_close_later(&socket->session->engine, "forced server close");
    eio_session_defer(&socket->session->engine);
    eio_session_unpin(&socket->session->engine);
}

void sio_disconnect(struct sio_socket *socket, bool close_session)
{
    if (socket->state != SOCKET_CONNECTED) {
        return;
    }
    if (close_session || socket->name_space == NULL) {
        eio_session_close_later(&socket->session->engine, "forced server close");
        return;
    }
    socket->state = SOCKET_LEAVING;
    send_packet(socket, (struct sio_packet_parts){.type = SIO_DISCONNECT, .ack_id = -1});
    eio_session_defer(&socket->session->engine);
}

void sio_expel(struct sio_socket *socket)
{
    if (socket->state == SOCKET_CONNECTED) {
        sio_disconnect(socket, false);
        loop_timer_start(eio_server_loop(socket->session->engine.server), &socket->session->connect_timeout,
                         EXPELLED_LINGER_MS);
    }
}

/* --- packets --- */

static void refuse_packet(struct sio_session *session)
{
    eio_session_close(&session->engine, "parse error", WS_CLOSE_POLICY);
}

static const struct sio_namespace *find_namespace(const struct sio_session *session, struct slice name)
{
    const struct sio_namespace *row = server_of(session)->options.namespaces;
    while (row->name != NULL && !slice_equals(slice_of(row->name), name)) {
        row++;
    }
    return row->name != NULL ? row : NULL;
}

static void refuse_namespace(struct sio_session *session, struct slice name)
{
    struct sio_packet_parts parts = {.type = SIO_CONNECT_ERROR,
                                     .name_space = name,
                                     .json = SLICE("{\"message\":\"Invalid namespace\"}"),
                                     .ack_id = -1};
    struct sio_frame *frame = sio_packet_encode(&parts);
    if (frame != NULL) {
        eio_session_send(&session->engine, frame, SIO_SENDING_COUNTED);
    }
    sio_frame_unref(frame);
}

static void on_connect(struct sio_session *session, const struct sio_packet *packet)
{
    const struct sio_namespace *name_space = find_namespace(session, packet->name_space);
    if (name_space == NULL) {
        refuse_namespace(session, packet->name_space);
        return;
    }
    struct sio_socket *socket = socket_create(session, name_space);
    if (socket == NULL) {
        eio_session_close(&session->engine, "transport error", WS_CLOSE_INTERNAL);
        return;
    }
    struct sio_handshake handshake = {packet->payload, session->told->query, session->told->authorization,
                                      session->told->address};
    eio_session_pin(&session->engine);
    name_space->on_connect(socket, &handshake);
}

static void on_packet(struct sio_session *session, struct sio_packet *packet)
{
    struct sio_socket *socket = find_socket(session, packet->name_space);
    if (packet->type == SIO_CONNECT && socket == NULL) {
        on_connect(session, packet);
        return;
    }
    if (packet->type == SIO_CONNECT || socket == NULL || socket->state != SOCKET_CONNECTED) {
        refuse_packet(session);
        return;
    }
    if (packet->type == SIO_DISCONNECT) {
        leave(socket, "client namespace disconnect");
    } else if (packet->type == SIO_EVENT || packet->type == SIO_BINARY_EVENT) {
        socket->name_space->on_event(socket, &packet->event);
    } /* an ack is for an event that asked for one: none of ours does */
}

/* --- attachments --- */

static void assembly_destroy(struct sio_session *session)
{
    if (session->assembly != NULL) {
        buffer_dispose(&session->assembly->text);
        buffer_dispose(&session->assembly->bytes);
        free(session->assembly);
        session->assembly = NULL;
    }
}

static bool assembly_start(struct sio_session *session, struct slice text, int attachments)
{
    uint32_t max_bytes = server_of(session)->options.max_payload_bytes;
    struct assembly *assembly = calloc(1, sizeof *assembly);
    if (assembly == NULL) {
        return false;
    }
    session->assembly = assembly;
    assembly->text = buffer_init(max_bytes);
    assembly->bytes = buffer_init(max_bytes);
    assembly->needed = attachments;
    buffer_append_slice(&assembly->text, text);
    return !assembly->text.failed;
}

/* All attachments are there: the packet, which was good when it came, is decoded once more. */
static void assembly_finish(struct sio_session *session)
{
    struct sio_server *server = server_of(session);
    struct assembly *assembly = session->assembly;
    struct sio_packet packet;
    session->assembly = NULL;
    server->names.length = 0;
    if (sio_packet_decode(buffer_slice(&assembly->text), &server->names, &packet)) {
        size_t start = 0;
        for (int i = 0; i < assembly->count; i++) {
            packet.event.attachments[i] = (struct slice){assembly->bytes.data + start, assembly->ends[i] - start};
            start = assembly->ends[i];
        }
        packet.event.attachment_count = assembly->count;
        on_packet(session, &packet);
    } else {
        refuse_packet(session);
    }
    buffer_dispose(&assembly->text);
    buffer_dispose(&assembly->bytes);
    free(assembly);
}

static void on_bytes(struct sio_session *session, struct slice bytes)
{
    struct assembly *assembly = session->assembly;
    if (assembly == NULL) {
        refuse_packet(session);
        return;
    }
    buffer_append_slice(&assembly->bytes, bytes);
    if (assembly->bytes.failed) {
        eio_session_close(&session->engine, "transport error", WS_CLOSE_TOO_BIG);
        return;
    }
    assembly->ends[assembly->count++] = assembly->bytes.length;
    if (assembly->count == assembly->needed) {
        assembly_finish(session);
    }
}

static void on_text(struct sio_session *session, struct slice text)
{
    struct sio_server *server = server_of(session);
    struct sio_packet packet;
    server->names.length = 0;
    if (session->assembly != NULL || !sio_packet_decode(text, &server->names, &packet)) {
        server->names.failed = false;
        refuse_packet(session);
    } else if (packet.attachment_count == 0) {
        on_packet(session, &packet);
    } else if (!assembly_start(session, text, packet.attachment_count)) {
        eio_session_close(&session->engine, "transport error", WS_CLOSE_INTERNAL);
    }
}

/* --- the handler of Engine.IO --- */

static struct told *told_create(const struct eio_opening *opening)
{
    struct slice parts[] = {opening->query, opening->authorization, slice_of(opening->address)};
    struct told *told = malloc(sizeof *told + parts[0].length + parts[1].length + parts[2].length + 1);
    if (told == NULL) {
        return NULL;
    }
    char *at = told->text;
    for (int i = 0; i < 3; i++) {
        if (parts[i].length > 0) {
            memcpy(at, parts[i].data, parts[i].length);
        }
        parts[i].data = at;
        at += parts[i].length;
    }
    *at = '\0';
    told->query = parts[0];
    told->authorization = parts[1];
    told->address = parts[2].data;
    return told;
}

static void on_connect_timeout(struct timer *timer)
{
    struct sio_session *session = (struct sio_session *)((char *)timer - offsetof(struct sio_session, connect_timeout));
    for (struct sio_socket *socket = session->sockets; socket != NULL; socket = socket->next) {
        if (socket->state <= SOCKET_CONNECTED) {
            return;
        }
    }
    eio_session_close(&session->engine, "forced server close", WS_CLOSE_NORMAL);
}

static bool on_open(struct eio_session *engine, const struct eio_opening *opening)
{
    struct sio_session *session = (struct sio_session *)engine;
    const struct sio_options *options = &server_of(session)->options;
    session->connect_timeout.on_fire = on_connect_timeout;
    if (is_raw(session)) {
        struct sio_socket *socket = socket_create(session, NULL);
        if (socket != NULL) {
            socket->state = SOCKET_CONNECTED;
        }
        return socket != NULL;
    }
    session->told = told_create(opening);
    loop_timer_start(eio_server_loop(engine->server), &session->connect_timeout, options->connect_timeout_ms);
    return session->told != NULL;
}

static void on_message(struct eio_session *engine, struct slice message, bool is_binary)
{
    struct sio_session *session = (struct sio_session *)engine;
    if (is_raw(session)) {
        server_of(session)->options.on_raw_message(session->sockets, message, is_binary);
    } else if (is_binary) {
        on_bytes(session, message);
    } else {
        on_text(session, message);
    }
}

static void on_close(struct eio_session *engine, const char *reason)
{
    struct sio_session *session = (struct sio_session *)engine;
    loop_timer_stop(eio_server_loop(engine->server), &session->connect_timeout);
    for (struct sio_socket *socket = session->sockets; socket != NULL; socket = socket->next) {
        if (socket->state == SOCKET_CONNECTED || socket->state == SOCKET_LEAVING) {
            leave(socket, socket->state == SOCKET_LEAVING ? "server namespace disconnect" : reason);
        }
    }
}

static void on_drain(struct eio_session *engine)
{
    struct sio_session *session = (struct sio_session *)engine;
    for (struct sio_socket *socket = session->sockets; socket != NULL; socket = socket->next) {
        if (socket->state == SOCKET_CONNECTED && socket->wants_drain) {
            socket->wants_drain = false;
            socket->name_space->on_drain(socket);
        }
    }
}

static void on_turn_end(struct eio_session *engine)
{
    struct sio_session *session = (struct sio_session *)engine;
    for (struct sio_socket *socket = session->sockets; socket != NULL; socket = socket->next) {
        if (socket->state == SOCKET_LEAVING) {
            leave(socket, is_open(session) ? "server namespace disconnect" : "transport close");
        }
    }
    struct sio_socket **link = &session->sockets;
    while (*link != NULL) {
        struct sio_socket *socket = *link;
        if (socket->state == SOCKET_GONE) {
            *link = socket->next;
            free(socket);
        } else {
            link = &socket->next;
        }
    }
}

static void on_free(struct eio_session *engine)
{
    struct sio_session *session = (struct sio_session *)engine;
    assembly_destroy(session);
    free(session->told);
    assert(session->sockets == NULL);
}

static const struct eio_handler HANDLER = {
    sizeof(struct sio_session), on_open, on_message, on_close, on_drain, on_turn_end, on_free};

/* --- servers --- */

struct sio_group *sio_group_create(int workers)
{
    struct sio_group *group = malloc(sizeof *group);
    if (group == NULL) {
        return NULL;
    }
    group->engine = eio_group_create(workers);
    if (group->engine == NULL) {
        free(group);
        return NULL;
    }
    return group;
}

void sio_group_destroy(struct sio_group *group)
{
    if (group != NULL) {
        eio_group_destroy(group->engine);
        free(group);
    }
}

void sio_group_set_node(struct sio_group *group, int node)
{
    eio_group_set_node(group->engine, node);
}

struct sio_server *sio_server_create(struct sio_group *group, int worker, struct loop *loop,
                                     const struct sio_options *options)
{
    struct eio_options engine = {.ping_interval_ms = options->ping_interval_ms,
                                 .ping_timeout_ms = options->ping_timeout_ms,
                                 .max_payload_bytes = options->max_payload_bytes,
                                 .stranger_max_bytes = options->stranger_max_bytes,
                                 .max_packets_per_second = options->max_packets_per_second,
                                 .send_queue_max_bytes = options->send_queue_max_bytes,
                                 .polling_hold_ms = options->polling_hold_ms,
                                 .is_origin_allowed = options->is_origin_allowed,
                                 .origin_data = options->origin_data,
                                 .find_peer = options->find_peer,
                                 .find_peer_data = options->find_peer_data};
    struct sio_server *server = calloc(1, sizeof *server);
    if (server == NULL) {
        return NULL;
    }
    server->options = *options;
    server->names = buffer_init(options->max_payload_bytes);
    server->engine = eio_server_create(group->engine, worker, loop, &engine, &HANDLER, server);
    if (server->engine == NULL) {
        free(server);
        return NULL;
    }
    return server;
}

bool sio_server_let_go(struct sio_server *server, int max)
{
    return eio_server_let_go(server->engine, max);
}

void sio_server_destroy(struct sio_server *server)
{
    if (server == NULL) {
        return;
    }
    eio_server_destroy(server->engine);
    buffer_dispose(&server->names);
    free(server);
}

void *sio_server_context(const struct sio_server *server)
{
    return server->options.context;
}

int sio_server_session_count(const struct sio_server *server)
{
    return eio_server_session_count(server->engine);
}

void sio_server_handle(struct sio_server *server, struct http_request *request)
{
    eio_server_handle(server->engine, request);
}
