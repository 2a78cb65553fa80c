/* The realtime codecs and sessions behind the real HTTP server, without the chat: what the public test suites of
 * Engine.IO, Socket.IO and WebSocket want to talk to. /engine.io/ echoes every message; on /socket.io/ the namespaces
 * "/" and "/custom" answer `message` with `message-back` and acknowledge `message-with-ack`; /ws-echo is a plain
 * WebSocket that echoes. */
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control.h"
#include "realtime/socketio.h"
#include "realtime/ws_connection.h"
#include "server/server.h"
#include "util/buffer.h"
#include "util/log.h"

enum {
    WORKERS_MAX = 8,
    MAX_PAYLOAD_BYTES = 1000000,
    ECHO_MAX_BYTES = 16 << 20,
    BODY_MAX_BYTES = 4 << 20,
    HELD_MAX_BYTES = 1 << 30
};

/* What the suites want to find, unless the environment says otherwise. */
static struct {
    const char *name;
    int value, low, high;
} settings[] = {
    {"WORKERS", 2, 1, WORKERS_MAX},         {"PING_INTERVAL_MS", 300, 1, INT32_MAX},
    {"PING_TIMEOUT_MS", 200, 1, INT32_MAX}, {"CONNECT_TIMEOUT_MS", 1000, 1, INT32_MAX},
    {"POLLING_HOLD_MS", 0, 0, INT32_MAX},   {"QUEUE_MAX_BYTES", 8 << 20, 1, INT32_MAX},
};
enum {
    WORKERS,
    PING_INTERVAL_MS,
    PING_TIMEOUT_MS,
    CONNECT_TIMEOUT_MS,
    POLLING_HOLD_MS,
    QUEUE_MAX_BYTES,
    SETTING_COUNT
};

struct lane {
    struct sio_server *engine, *sockets;
    struct ws_host echo;
};

static struct lane lanes[WORKERS_MAX];
static struct server_worker workers[WORKERS_MAX];

/* --- /socket.io/ --- */

static void on_connect(struct sio_socket *socket, const struct sio_handshake *handshake)
{
    sio_accept(socket, (struct slice){NULL, 0});
    sio_emit(socket, SLICE("auth"), handshake->auth.length > 0 ? handshake->auth : SLICE("{}"));
}

static void on_event(struct sio_socket *socket, const struct sio_event *event)
{
    struct buffer arguments = buffer_init(2 * MAX_PAYLOAD_BYTES);
    for (int i = 0; i < event->argument_count; i++) {
        buffer_append_text(&arguments, i > 0 ? "," : "");
        buffer_append_slice(&arguments, event->arguments[i]);
    }
    if (slice_equals(event->name, SLICE("message"))) {
        sio_emit_binary(socket, SLICE("message-back"), buffer_slice(&arguments), event->attachments,
                        event->attachment_count);
    } else if (slice_equals(event->name, SLICE("message-with-ack")) && event->ack_id >= 0) {
        sio_ack_binary(socket, event->ack_id, buffer_slice(&arguments), event->attachments, event->attachment_count);
    }
    buffer_dispose(&arguments);
}

static void on_disconnect(struct sio_socket *socket, const char *reason)
{
    log_write(LOG_INFO, "disconnect", LOG_STR("socket", sio_socket_id(socket)), LOG_STR("reason", reason));
}

static const struct sio_namespace NAMESPACES[] = {
    {"/", on_connect, on_event, on_disconnect, NULL},
    {"/custom", on_connect, on_event, on_disconnect, NULL},
    {"/control", control_on_connect, control_on_event, on_disconnect, control_on_drain},
    {0},
};

/* ALLOWED_ORIGIN in the environment; without it, all are. */
static bool is_origin_allowed(const void *origin_data, struct slice origin)
{
    (void)origin_data;
    const char *allowed = getenv("ALLOWED_ORIGIN");
    return allowed == NULL || slice_equals(origin, slice_of(allowed));
}

/* --- /ws-echo --- */

static void on_echo_message(void *data, struct slice message, bool is_binary)
{
    struct ws_connection *connection = data;
    struct sio_frame *frame = frame_create(is_binary ? WS_OPCODE_BINARY : WS_OPCODE_TEXT, &message, 1);
    if (frame == NULL || !ws_connection_send(connection, frame, SIO_SENDING_COUNTED)) {
        ws_connection_close_now(connection, WS_CLOSE_POLICY, NULL);
    }
    sio_frame_unref(frame);
}

static void on_echo_end(void *data, enum ws_end end)
{
    (void)data, (void)end;
}

static const struct ws_callbacks ECHO = {on_echo_message, on_echo_end, NULL, NULL};

static void on_echo_upgrade(struct stream *stream, void *data)
{
    struct lane *lane = data;
    struct ws_connection *connection = stream != NULL ? ws_connection_create(&lane->echo, stream, &ECHO, NULL) : NULL;
    if (connection != NULL) {
        ws_connection_set_user(connection, &ECHO, connection);
    }
}

static void handle_echo(struct http_request *request, struct http_worker *worker)
{
    if (!http_request_upgrade(request, NULL, on_echo_upgrade, worker->context)) {
        http_request_refuse(request, STATUS_BAD_REQUEST, "A WebSocket is expected here");
    }
}

/* --- /engine.io/ --- */

static void on_raw_message(struct sio_socket *socket, struct slice message, bool is_binary)
{
    sio_send_raw(socket, message, is_binary);
}

/* --- wiring --- */

static void handle_engine(struct http_request *request, struct http_worker *worker)
{
    sio_server_handle(((struct lane *)worker->context)->engine, request);
}

static void handle_sockets(struct http_request *request, struct http_worker *worker)
{
    sio_server_handle(((struct lane *)worker->context)->sockets, request);
}

static bool let_go(struct server_worker *worker, int max)
{
    struct lane *lane = worker->http.context;
    bool is_done = sio_server_let_go(lane->engine, max);
    is_done = sio_server_let_go(lane->sockets, max) && is_done;
    return ws_host_let_go(&lane->echo, WS_CLOSE_GOING_AWAY, max) && is_done;
}

static int count_sessions(struct server_worker *worker)
{
    struct lane *lane = worker->http.context;
    return sio_server_session_count(lane->engine) + sio_server_session_count(lane->sockets);
}

static const struct operation *const NO_ROUTES[] = {NULL};
static const struct http_mount MOUNTS[] = {
    {"/engine.io/", handle_engine, NULL},
    {"/socket.io/", handle_sockets, NULL},
    {"/ws-echo", handle_echo, NULL},
    {0},
};
static const struct http_mount *const MOUNT_TABLES[] = {MOUNTS, NULL};
static char *ANY_ORIGIN[] = {"*", NULL};
static const struct http_site SITE = {
    .routes = NO_ROUTES, .mounts = MOUNT_TABLES, .allowed_origins = ANY_ORIGIN, .max_body_bytes = BODY_MAX_BYTES};

static bool start_lane(int worker, struct sio_group *engines, struct sio_group *groups)
{
    struct lane *lane = &lanes[worker];
    struct loop *loop = loop_create();
    struct sio_options options = {.ping_interval_ms = (uint32_t)settings[PING_INTERVAL_MS].value,
                                  .ping_timeout_ms = (uint32_t)settings[PING_TIMEOUT_MS].value,
                                  .connect_timeout_ms = (uint32_t)settings[CONNECT_TIMEOUT_MS].value,
                                  .max_payload_bytes = MAX_PAYLOAD_BYTES,
                                  .send_queue_max_bytes = (uint32_t)settings[QUEUE_MAX_BYTES].value,
                                  .polling_hold_ms = (uint32_t)settings[POLLING_HOLD_MS].value,
                                  .is_origin_allowed = is_origin_allowed,
                                  .context = loop};
    if (loop == NULL) {
        return false;
    }
    workers[worker] = (struct server_worker){.loop = loop, .let_go = let_go, .count_open = count_sessions};
    workers[worker].http = (struct http_worker){.site = &SITE, .loop = loop, .context = lane};
    options.path = "/engine.io/";
    options.on_raw_message = on_raw_message;
    lane->engine = sio_server_create(engines, worker, loop, &options);
    options.path = "/socket.io/";
    options.on_raw_message = NULL;
    options.namespaces = NAMESPACES;
    lane->sockets = sio_server_create(groups, worker, loop, &options);
    ws_host_init(&lane->echo, loop, ECHO_MAX_BYTES, 4 * ECHO_MAX_BYTES);
    return lane->engine != NULL && lane->sockets != NULL;
}

static void stop_lane(int worker)
{
    sio_server_destroy(lanes[worker].engine);
    sio_server_destroy(lanes[worker].sockets);
    ws_host_dispose(&lanes[worker].echo);
}

static void block_signals(void)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    sigaction(SIGPIPE, &(struct sigaction){.sa_handler = SIG_IGN}, NULL);
}

static int read_number(const char *name, const char *text, int low, int high)
{
    char *end;
    intmax_t number = strtoimax(text, &end, 10);
    if (*text == '\0' || *end != '\0' || number < low || number > high) {
        fprintf(stderr, "conformance: %s is a number from %d to %d\n", name, low, high);
        exit(2);
    }
    return (int)number;
}

static void read_settings(void)
{
    for (int i = 0; i < SETTING_COUNT; i++) {
        const char *text = getenv(settings[i].name);
        if (text != NULL) {
            settings[i].value = read_number(settings[i].name, text, settings[i].low, settings[i].high);
        }
    }
    log_configure(getenv("LOG_LEVEL") != NULL ? LOG_INFO : LOG_WARN, LOG_JSON);
}

/* Serves until a signal comes. True when everything ended in time. */
static bool serve(int port, int count)
{
    struct server_options options = {.host = "::",
                                     .port = port,
                                     .max_body_bytes = BODY_MAX_BYTES,
                                     .max_held_bytes = HELD_MAX_BYTES,
                                     .request_timeout_s = 30,
                                     .drain_s = 3};
    struct server *server = server_create(&options, workers, count);
    if (server == NULL) {
        return false;
    }
    printf("%d\n", server_port(server));
    fflush(stdout);
    bool is_clean = server_run(server);
    for (int i = 0; i < count; i++) {
        stop_lane(i);
    }
    server_destroy(server);
    return is_clean;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        puts("conformance");
        return 0;
    }
    if (argc != 2) {
        fputs("usage: conformance PORT (0: any free one, told on stdout)\n", stderr);
        return 2;
    }
    int port = read_number("PORT", argv[1], 0, UINT16_MAX);
    read_settings();
    block_signals();
    int count = settings[WORKERS].value;
    struct sio_group *engines = sio_group_create(count), *groups = sio_group_create(count);
    for (int i = 0; i < count; i++) {
        if (engines == NULL || groups == NULL || !start_lane(i, engines, groups)) {
            fputs("conformance: no memory or descriptors\n", stderr);
            return 1;
        }
    }
    bool is_clean = serve(port, count);
    for (int i = 0; i < count; i++) {
        loop_destroy(workers[i].loop);
    }
    sio_group_destroy(engines);
    sio_group_destroy(groups);
    return is_clean ? 0 : 1;
}
