#include "engineio.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/random.h>

#include "engineio_packet.h"
#include "engineio_private.h"
#include "util/base64url.h"
#include "util/clock.h"

/* Sessions: found by id, kept alive by pings, closed exactly once. Closing tells the handler and lets go of the
 * transport at once; the memory goes at the end of the turn, when nobody on the stack can still hold the pointer. */

enum { LINGER_MS = 30 * 1000, LATE_POLL_MS = 5 * 1000, OPEN_PACKET_MAX_BYTES = 512 };

/* --- ids: 15 bytes as 20 characters; two of them name the node, one its worker, 12 are random --- */

void eio_sid_format(const uint8_t sid[15], char out[EIO_SID_LENGTH + 1])
{
    base64url_encode(sid, 15, out);
}

bool eio_sid_parse(const char *text, uint8_t ret_sid[15])
{
    uint8_t sid[15];
    if (!base64url_decode(slice_of(text), sid, sizeof sid)) {
        return false;
    }
    memcpy(ret_sid, sid, sizeof sid);
    return true;
}

int eio_sid_node(const uint8_t sid[15])
{
    return sid[0] << 8 | sid[1];
}

int eio_sid_worker(const uint8_t sid[15])
{
    return sid[2];
}

void eio_make_id(uint8_t bytes[15], int node, int worker, char out[EIO_SID_LENGTH + 1])
{
    ssize_t length;
    do {
        length = getrandom(bytes, 15, 0);
    } while (length < 15);
    bytes[0] = (uint8_t)(node >> 8);
    bytes[1] = (uint8_t)node;
    bytes[2] = (uint8_t)worker;
    eio_sid_format(bytes, out);
}

static struct uuid key_of(const uint8_t sid[15])
{
    struct uuid key = {{0}};
    memcpy(key.bytes, sid, 15);
    return key;
}

struct eio_session *eio_session_find(struct eio_server *server, const uint8_t sid[15])
{
    struct eio_session *session = uuid_map_get(&server->sessions, key_of(sid));
    if (session != NULL && session->state == EIO_STATE_OPEN && session->awaits_pong &&
        session->heartbeat.due_ms <= clock_now_ms()) {
        eio_session_close(session, SIO_PING_TIMEOUT, WS_CLOSE_NORMAL); /* its timer is late */
        return NULL;
    }
    return session;
}

/* --- end --- */

/* It can no longer be found. */
static void forget(struct eio_session *session)
{
    struct eio_server *server = session->server;
    if (session->previous != NULL) {
        session->previous->next = session->next;
    } else {
        server->first = session->next;
    }
    if (session->next != NULL) {
        session->next->previous = session->previous;
    }
    uuid_map_remove(&server->sessions, key_of(session->sid));
    server->count--;
    eio_polling_destroy(session);
    session->state = EIO_STATE_CLOSED;
    loop_timer_stop(server->loop, &session->heartbeat);
    loop_defer(server->loop, &session->work);
}

void eio_session_end_linger(struct eio_session *session)
{
    assert(session->state == EIO_STATE_LINGERING);
    forget(session);
}

/* How a session closes. */
struct ending {
    const char *reason;
    enum ws_close_code code;
    const char *text;     /* for people, in the WebSocket's Close; NULL for none */
    bool is_orderly;      /* what is queued is still to arrive */
    const char *farewell; /* the packet that ends the last poll */
    uint32_t linger_ms;   /* how long that poll may be late */
};

static void linger(struct eio_session *session, const struct ending *ending)
{
    session->state = EIO_STATE_LINGERING;
    session->farewell = ending->farewell;
    loop_timer_start(session->server->loop, &session->heartbeat, ending->linger_ms);
}

static void close_session(struct eio_session *session, const struct ending *ending)
{
    if (session->state != EIO_STATE_OPEN) {
        return;
    }
    session->state = EIO_STATE_CLOSED; /* whatever the handler does now, it is closed */
    eio_probe_cancel(session, WS_CLOSE_NORMAL);
    if (session->socket != NULL) {
        struct ws_connection *socket = session->socket;
        session->socket = NULL;
        (ending->is_orderly ? ws_connection_close : ws_connection_close_now)(socket, ending->code, ending->text);
    }
    session->handler->on_close(session, ending->reason);
    if (session->polling != NULL && session->polling->poll != NULL) {
        eio_polling_finish(session, ending->farewell);
    } else if (session->polling != NULL && ending->linger_ms > 0) {
        linger(session, ending);
        return;
    }
    forget(session);
}

void eio_session_close(struct eio_session *session, const char *reason, enum ws_close_code code)
{
    close_session(session, &(struct ending){.reason = reason, .code = code, .farewell = "1"});
}

void eio_session_close_later(struct eio_session *session, const char *reason)
{
    if (session->state == EIO_STATE_OPEN && session->doom == NULL) {
        session->doom = reason;
        session->is_doom_orderly = true;
        loop_defer(session->server->loop, &session->work);
    }
}

/* Its queue is past the cap, or there is no memory: it ends without what is queued. */
static void close_overflown(struct eio_session *session)
{
    session->doom = SIO_SLOW_READER;
    session->is_doom_orderly = false;
    loop_defer(session->server->loop, &session->work);
}

void eio_session_defer(struct eio_session *session)
{
    loop_defer(session->server->loop, &session->work);
}

void eio_session_pin(struct eio_session *session)
{
    session->pins++;
}

void eio_session_unpin(struct eio_session *session)
{
    assert(session->pins > 0);
    if (--session->pins == 0 && session->state == EIO_STATE_CLOSED) {
        loop_defer(session->server->loop, &session->work);
    }
}

static void close_doomed(struct eio_session *session)
{
    bool is_orderly = session->is_doom_orderly;
    close_session(session, &(struct ending){.reason = session->doom,
                                            .code = is_orderly ? WS_CLOSE_NORMAL : WS_CLOSE_TRY_AGAIN,
                                            .text = is_orderly ? NULL : "Events were not read in time; come back",
                                            .is_orderly = is_orderly,
                                            .farewell = "1",
                                            .linger_ms = is_orderly ? LINGER_MS : 0});
}

/* The end of a turn in which something happened. A closed session's server may be gone. */
static void on_work(struct loop_deferred *work)
{
    struct eio_session *session = (struct eio_session *)((char *)work - offsetof(struct eio_session, work));
    const struct eio_handler *handler = session->handler;
    handler->on_turn_end(session);
    if (session->doom != NULL && session->state == EIO_STATE_OPEN && !eio_session_is_moving(session)) {
        close_doomed(session);
    }
    if (session->state == EIO_STATE_OPEN && session->polling != NULL) {
        eio_polling_flush(session, NULL);
    }
    if (session->state == EIO_STATE_CLOSED && session->pins == 0 && !session->work.queued) {
        handler->on_free(session);
        free(session);
    }
}

/* --- heartbeat --- */

static void on_heartbeat(struct timer *timer)
{
    struct eio_session *session = (struct eio_session *)((char *)timer - offsetof(struct eio_session, heartbeat));
    struct eio_server *server = session->server;
    if (session->state == EIO_STATE_LINGERING) {
        forget(session);
    } else if (session->awaits_pong) {
        eio_session_close(session, SIO_PING_TIMEOUT, WS_CLOSE_NORMAL);
    } else {
        uint64_t late_ms = clock_now_ms() - timer->due_ms, timeout_ms = server->options.ping_timeout_ms;
        session->awaits_pong = true;
        loop_timer_start(server->loop, timer, late_ms < timeout_ms ? timeout_ms - late_ms : 0);
        eio_session_send(session, server->ping, SIO_SENDING_COUNTED);
    }
}

static void on_pong(struct eio_session *session)
{
    session->awaits_pong = false;
    loop_timer_start(session->server->loop, &session->heartbeat, session->server->options.ping_interval_ms);
}

/* --- what comes --- */

void eio_session_on_packet(struct eio_session *session, struct slice text)
{
    struct eio_packet packet;
    if (session->state != EIO_STATE_OPEN || session->doom != NULL) {
        return;
    }
    if (!eio_packet_decode(text, &packet) || packet.type == EIO_OPEN) {
        eio_session_close(session, "parse error", WS_CLOSE_POLICY);
        return;
    }
    switch (packet.type) {
    case EIO_CLOSE:
        /* the client's last poll came by a connection of its own and may be late */
        close_session(session, &(struct ending){.reason = "transport close",
                                                .code = WS_CLOSE_NORMAL,
                                                .farewell = "6",
                                                .linger_ms = LATE_POLL_MS});
        break;
    case EIO_PING: /* in Engine.IO 4 it is the server that pings */
        eio_session_close(session, "transport error", WS_CLOSE_POLICY);
        break;
    case EIO_PONG:
        on_pong(session);
        break;
    case EIO_MESSAGE:
        session->server->handler->on_message(session, packet.data, false);
        break;
    case EIO_OPEN:
    case EIO_UPGRADE:
    case EIO_NOOP:
        break;
    }
}

void eio_session_on_bytes(struct eio_session *session, struct slice bytes)
{
    if (session->state == EIO_STATE_OPEN && session->doom == NULL) {
        session->server->handler->on_message(session, bytes, true);
    }
}

static void on_socket_message(void *data, struct slice message, bool is_binary)
{
    struct eio_session *session = data;
    if (is_binary) {
        eio_session_on_bytes(session, message);
    } else {
        eio_session_on_packet(session, message);
    }
}

static void on_socket_end(void *data, enum ws_end end)
{
    struct eio_session *session = data;
    session->socket = NULL;
    eio_session_close(session, end == WS_END_CLOSED ? "transport close" : "transport error", WS_CLOSE_NONE);
}

static void on_socket_drain(void *data)
{
    struct eio_session *session = data;
    session->server->handler->on_drain(session);
}

static const struct ws_callbacks SOCKET_CALLBACKS = {on_socket_message, on_socket_end, on_socket_drain, NULL};

/* --- what goes --- */

void eio_session_send(struct eio_session *session, struct sio_frame *frame, enum sio_sending sending)
{
    if (session->state != EIO_STATE_OPEN || session->doom != NULL) {
        return;
    }
    if (session->socket != NULL) {
        if (!ws_connection_send(session->socket, frame, sending)) {
            close_overflown(session);
        }
        return;
    }
    if (!frame_queue_offer(&session->polling->queue, frame, sending, session->server->options.send_queue_max_bytes)) {
        close_overflown(session);
    } else if (session->polling->poll != NULL) {
        loop_defer(session->server->loop, &session->work);
    }
}

size_t eio_session_queued_bytes(const struct eio_session *session)
{
    if (session->socket != NULL) {
        return ws_connection_queued_bytes(session->socket);
    }
    return session->polling != NULL ? session->polling->queue.bytes : 0;
}

/* --- beginning --- */

void eio_session_describe(const struct eio_session *session, struct buffer *out)
{
    const struct eio_options *options = &session->server->options;
    char sid[EIO_SID_LENGTH + 1];
    eio_sid_format(session->sid, sid);
    buffer_printf(out, "0{\"sid\":\"%s\",\"upgrades\":[%s],\"pingInterval\":%u,\"pingTimeout\":%u,\"maxPayload\":%u}",
                  sid, session->polling != NULL ? "\"websocket\"" : "", options->ping_interval_ms,
                  options->ping_timeout_ms, options->max_payload_bytes);
}

static bool send_open_packet(struct eio_session *session)
{
    struct buffer text = buffer_init(OPEN_PACKET_MAX_BYTES);
    eio_session_describe(session, &text);
    struct slice part = buffer_slice(&text);
    struct sio_frame *frame = text.failed ? NULL : frame_create(WS_OPCODE_TEXT, &part, 1);
    buffer_dispose(&text);
    if (frame == NULL) {
        return false;
    }
    eio_session_send(session, frame, SIO_SENDING_COUNTED);
    sio_frame_unref(frame);
    return true;
}

void eio_limit_stranger(const struct eio_server *server, struct ws_connection *socket)
{
    if (server->options.stranger_max_bytes > 0) {
        ws_connection_limit(socket, server->options.stranger_max_bytes);
    }
}

void eio_session_trust(struct eio_session *session)
{
    session->is_trusted = true;
    if (session->socket != NULL) {
        ws_connection_limit(session->socket, session->server->options.max_payload_bytes);
    }
}

static bool start_transport(struct eio_session *session, struct stream *stream)
{
    if (stream == NULL) {
        session->polling = eio_polling_create();
        return session->polling != NULL;
    }
    session->socket = ws_connection_create(&session->server->sockets, stream, &SOCKET_CALLBACKS, session);
    if (session->socket == NULL) {
        return false;
    }
    eio_limit_stranger(session->server, session->socket);
    return send_open_packet(session);
}

struct eio_session *eio_session_open(struct eio_server *server, struct stream *stream,
                                     const struct eio_opening *opening)
{
    struct eio_session *session = calloc(1, server->handler->session_bytes);
    char sid[EIO_SID_LENGTH + 1];
    if (session == NULL) {
        stream_close(stream);
        return NULL;
    }
    session->server = server;
    session->handler = server->handler;
    session->work.run = on_work;
    session->heartbeat.on_fire = on_heartbeat;
    eio_make_id(session->sid, atomic_load(&server->group->node), server->worker, sid);
    if (!start_transport(session, stream) || !uuid_map_put(&server->sessions, key_of(session->sid), session)) {
        if (session->socket != NULL) {
            ws_connection_close_now(session->socket, WS_CLOSE_INTERNAL, NULL);
        }
        eio_polling_destroy(session);
        session->state = EIO_STATE_CLOSED; /* freed at the end of the turn, since `work` may be queued */
        loop_defer(server->loop, &session->work);
        return NULL;
    }
    session->next = server->first;
    if (server->first != NULL) {
        server->first->previous = session;
    }
    server->first = session;
    server->count++;
    loop_timer_start(server->loop, &session->heartbeat, server->options.ping_interval_ms);
    if (!server->handler->on_open(session, opening)) {
        eio_session_close(session, "transport error", WS_CLOSE_INTERNAL);
        return NULL;
    }
    return session;
}

/* What waits for a poll goes by the WebSocket. */
void eio_session_adopt(struct eio_session *session, struct ws_connection *socket)
{
    struct frame_queue queue = session->polling->queue;
    session->polling->queue = (struct frame_queue){0};
    eio_polling_finish(session, "6");
    eio_polling_destroy(session);
    session->socket = socket;
    ws_connection_set_user(socket, &SOCKET_CALLBACKS, session);
    if (session->is_trusted) {
        eio_session_trust(session);
    }
    for (uint32_t i = 0; i < queue.count; i++) {
        if (!ws_connection_send(socket, frame_queue_at(&queue, i), SIO_SENDING_PACED)) {
            close_overflown(session);
            break;
        }
    }
    frame_queue_cut(&queue, 0);
}

/* --- servers --- */

struct eio_group *eio_group_create(int workers)
{
    assert(workers > 0 && workers <= UINT8_MAX + 1);
    struct eio_group *group = calloc(1, sizeof *group + (size_t)workers * sizeof group->servers[0]);
    if (group != NULL) {
        atomic_init(&group->references, 1);
        group->workers = workers;
    }
    return group;
}

struct eio_group *eio_group_ref(struct eio_group *group)
{
    atomic_fetch_add(&group->references, 1);
    return group;
}

void eio_group_unref(struct eio_group *group)
{
    if (group != NULL && atomic_fetch_sub(&group->references, 1) == 1) {
        free(group);
    }
}

void eio_group_destroy(struct eio_group *group)
{
    eio_group_unref(group);
}

void eio_group_set_node(struct eio_group *group, int node)
{
    assert(node > 0 && node <= UINT16_MAX);
    atomic_store(&group->node, node);
}

struct eio_server *eio_server_create(struct eio_group *group, int worker, struct loop *loop,
                                     const struct eio_options *options, const struct eio_handler *handler, void *owner)
{
    struct eio_server *server = calloc(1, sizeof *server);
    struct slice ping = SLICE("2");
    assert(worker >= 0 && worker < group->workers && handler->session_bytes >= sizeof(struct eio_session));
    if (server == NULL || (server->ping = frame_create(WS_OPCODE_TEXT, &ping, 1)) == NULL) {
        free(server);
        return NULL;
    }
    server->group = eio_group_ref(group);
    server->worker = worker;
    server->loop = loop;
    server->options = *options;
    server->handler = handler;
    server->owner = owner;
    ws_host_init(&server->sockets, loop, options->max_payload_bytes, options->send_queue_max_bytes);
    server->sockets.max_frames_per_second = options->max_packets_per_second;
    atomic_store(&group->servers[worker], server);
    return server;
}

static const char STOPPING[] = "server shutting down";

bool eio_server_let_go(struct eio_server *server, int max)
{
    atomic_store(&server->is_closing, true);
    struct eio_session *next;
    for (struct eio_session *session = server->first; session != NULL; session = next) {
        next = session->next;
        if (session->state == EIO_STATE_LINGERING) {
            forget(session);
        } else if (session->doom != NULL) {
            continue;
        } else if (max-- <= 0) {
            return false;
        } else if (eio_session_is_moving(session)) {
            eio_session_close_later(session, STOPPING);
        } else {
            eio_session_close(session, STOPPING, WS_CLOSE_GOING_AWAY);
        }
    }
    return true;
}

static void close_all(struct eio_server *server)
{
    atomic_store(&server->is_closing, true);
    struct eio_session *next;
    for (struct eio_session *session = server->first; session != NULL; session = next) {
        next = session->next;
        if (session->state == EIO_STATE_LINGERING) {
            forget(session);
        } else {
            eio_session_close(session, STOPPING, WS_CLOSE_GOING_AWAY);
        }
    }
}

void eio_server_destroy(struct eio_server *server)
{
    if (server == NULL) {
        return;
    }
    close_all(server);
    atomic_store(&server->group->servers[server->worker], NULL);
    ws_host_dispose(&server->sockets);
    uuid_map_dispose(&server->sessions);
    sio_frame_unref(server->ping);
    eio_group_unref(server->group);
    free(server);
}

void *eio_server_owner(const struct eio_server *server)
{
    return server->owner;
}

struct loop *eio_server_loop(const struct eio_server *server)
{
    return server->loop;
}

int eio_server_session_count(const struct eio_server *server)
{
    return server->count;
}
