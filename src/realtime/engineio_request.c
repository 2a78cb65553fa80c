#include <assert.h>
#include <stdlib.h>

#include "engineio_private.h"
#include "origin.h"

/* The way of a request. It is checked where it arrives; a handshake is served there. What names a session goes to the
 * thread of the session, by a task if that is another one, and the answer comes back the same way; or to the session's
 * node, if that is another one. */

static const struct {
    int http_status;
    const char *body;
} ERRORS[] = {
    [EIO_ERROR_TRANSPORT_UNKNOWN] = {400, "{\"code\":0,\"message\":\"Transport unknown\"}"},
    [EIO_ERROR_SID_UNKNOWN] = {400, "{\"code\":1,\"message\":\"Session ID unknown\"}"},
    [EIO_ERROR_BAD_METHOD] = {400, "{\"code\":2,\"message\":\"Bad handshake method\"}"},
    [EIO_ERROR_BAD_REQUEST] = {400, "{\"code\":3,\"message\":\"Bad request\"}"},
    [EIO_ERROR_FORBIDDEN] = {403, "{\"code\":4,\"message\":\"Forbidden\"}"},
    [EIO_ERROR_PROTOCOL_VERSION] = {400, "{\"code\":5,\"message\":\"Unsupported protocol version\"}"},
};

static const char JSON_TYPE[] = "application/json";

static void reply(struct http_request *http, int http_status, const char *content_type, struct slice body)
{
    if (!http_request_is_done(http)) {
        http_request_add_header(http, "cache-control", SLICE("no-store"));
        http_request_reply(http, http_status, content_type, body);
    }
}

/* Engine.IO has no error for this: the client may come again. */
static void turn_away(struct http_request *http)
{
    if (!http_request_is_done(http)) {
        http_request_refuse(http, STATUS_UNAVAILABLE, status_message(STATUS_UNAVAILABLE));
    }
}

void eio_reply_error(struct http_request *http, enum eio_error error)
{
    reply(http, ERRORS[error].http_status, JSON_TYPE, slice_of(ERRORS[error].body));
}

/* --- between threads --- */

static struct eio_server *server_of(const struct eio_group *group, int worker)
{
    return atomic_load(&group->servers[worker]);
}

static void request_unref(struct eio_request *request)
{
    if (atomic_fetch_sub(&request->references, 1) > 1) {
        return;
    }
    if (request->owns_body) {
        free((char *)request->body.data);
    }
    buffer_dispose(&request->reply);
    eio_group_unref(request->group);
    free(request);
}

/* The request is done with. On its own thread. */
static void release(struct eio_request *request)
{
    http_request_unref(request->http);
    request_unref(request);
}

/* A stream on its way to the session that it is for. */
struct arrival {
    struct eio_group *group;
    int owner;
    uint8_t sid[15];
};

static void on_arrival(struct stream *stream, void *data)
{
    struct arrival *arrival = data;
    struct eio_server *server = server_of(arrival->group, arrival->owner);
    if (server != NULL) {
        eio_probe_start(server, arrival->sid, stream);
    } else {
        stream_close(stream);
    }
    eio_group_unref(arrival->group);
    free(arrival);
}

static void on_upgraded(struct stream *stream, void *data)
{
    struct eio_request *request = data;
    struct eio_server *owner = server_of(request->group, request->owner);
    struct arrival *arrival = stream != NULL && owner != NULL ? malloc(sizeof *arrival) : NULL;
    if (arrival == NULL) {
        stream_close(stream);
    } else {
        *arrival = (struct arrival){.group = eio_group_ref(request->group), .owner = request->owner};
        memcpy(arrival->sid, request->sid, sizeof arrival->sid);
        if (request->home == request->owner) {
            on_arrival(stream, arrival);
        } else {
            stream_move(stream, request->owner_loop, on_arrival, arrival);
        }
    }
    release(request);
}

/* The answer has come to the thread of the request. */
static void finish(struct eio_request *request)
{
    if (server_of(request->group, request->home) == NULL) {
        release(request);
        return;
    }
    if (request->type == EIO_REQUEST_UPGRADE && request->http_status == 101) {
        if (http_request_upgrade(request->http, NULL, on_upgraded, request)) {
            return;
        }
        eio_reply_error(request->http, EIO_ERROR_BAD_REQUEST);
    } else if (request->http_status == 503) {
        turn_away(request->http);
    } else {
        reply(request->http, request->http_status, request->content_type, buffer_slice(&request->reply));
    }
    release(request);
}

static void on_answer(struct loop_task *task)
{
    finish((struct eio_request *)((char *)task - offsetof(struct eio_request, task)));
}

void eio_request_answer(struct eio_request *request, int http_status, const char *content_type, struct buffer *body)
{
    assert(!request->is_answered && request->session == NULL);
    request->is_answered = true;
    request->http_status = http_status;
    request->content_type = content_type;
    request->reply = *body;
    *body = buffer_init(0);
    if (request->home == request->owner || server_of(request->group, request->home) == NULL) {
        finish(request);
    } else {
        request->task.run = on_answer;
        loop_post(request->home_loop, &request->task);
    }
}

void eio_request_answer_text(struct eio_request *request, int http_status, const char *content_type, struct slice body)
{
    struct buffer copy = buffer_init(body.length + 1);
    buffer_append_slice(&copy, body);
    eio_request_answer(request, http_status, content_type, &copy);
}

void eio_request_answer_error(struct eio_request *request, enum eio_error error)
{
    eio_request_answer_text(request, ERRORS[error].http_status, JSON_TYPE, slice_of(ERRORS[error].body));
}

static void serve(struct eio_request *request)
{
    struct eio_server *server = server_of(request->group, request->owner);
    if (server == NULL) {
        eio_request_answer_error(request, EIO_ERROR_SID_UNKNOWN);
    } else if (request->type == EIO_REQUEST_POLL) {
        eio_request_poll(server, request);
    } else if (request->type == EIO_REQUEST_POST) {
        eio_request_post(server, request);
    } else {
        eio_request_upgrade(server, request);
    }
}

static void on_request(struct loop_task *task)
{
    serve((struct eio_request *)((char *)task - offsetof(struct eio_request, task)));
}

static void on_leave_task(struct loop_task *task)
{
    struct eio_request *request = (struct eio_request *)((char *)task - offsetof(struct eio_request, leave_task));
    eio_poll_left(request);
    request_unref(request);
}

/* The client of a poll has left: its session is told. */
static void on_leave(void *data)
{
    struct eio_request *request = data;
    if (server_of(request->group, request->owner) == NULL) {
        return; /* it was answered when its session was closed */
    }
    atomic_fetch_add(&request->references, 1);
    if (request->home == request->owner) {
        on_leave_task(&request->leave_task);
    } else {
        loop_post(request->owner_loop, &request->leave_task);
    }
}

/* --- requests for a session --- */

static bool take_body(struct eio_request *request, struct slice body)
{
    request->body = body;
    if (request->home == request->owner || body.length == 0) {
        return true;
    }
    char *copy = malloc(body.length);
    if (copy == NULL) {
        return false;
    }
    memcpy(copy, body.data, body.length);
    request->body.data = copy;
    request->owns_body = true;
    return true;
}

static struct eio_request *request_create(struct eio_server *home, struct eio_server *owner, struct http_request *http,
                                          enum eio_request_type type, const uint8_t sid[15])
{
    struct eio_request *request = calloc(1, sizeof *request);
    struct slice body = http_request_body(http);
    if (request == NULL) {
        return NULL;
    }
    atomic_init(&request->references, 1);
    request->type = type;
    request->group = eio_group_ref(home->group);
    request->home_loop = home->loop;
    request->owner_loop = owner->loop;
    request->home = home->worker;
    request->owner = owner->worker;
    request->leave_task.run = on_leave_task;
    memcpy(request->sid, sid, sizeof request->sid);
    request->is_oversized = body.length > home->options.max_payload_bytes;
    if (type == EIO_REQUEST_POST && !request->is_oversized && !take_body(request, body)) {
        request_unref(request);
        return NULL;
    }
    request->http = http_request_ref(http);
    return request;
}

static void hand_over(struct eio_server *home, struct http_request *http, enum eio_request_type type,
                      const uint8_t sid[15])
{
    int node = eio_sid_node(sid), worker = eio_sid_worker(sid);
    if (node != 0 && node != atomic_load(&home->group->node)) {
        eio_forward(home, http, node);
        return;
    }
    struct eio_server *owner = worker < home->group->workers ? server_of(home->group, worker) : NULL;
    if (owner == NULL || atomic_load(&owner->is_closing)) { /* its loop may have ended */
        eio_reply_error(http, EIO_ERROR_SID_UNKNOWN);
        return;
    }
    struct eio_request *request = request_create(home, owner, http, type, sid);
    if (request == NULL) {
        turn_away(http);
        return;
    }
    if (type == EIO_REQUEST_POLL) {
        http_request_on_leave(http, on_leave, request);
    }
    if (request->home == request->owner) {
        serve(request);
    } else {
        request->task.run = on_request;
        loop_post(request->owner_loop, &request->task);
    }
}

/* --- handshakes --- */

static struct eio_opening opening_of(struct http_request *http)
{
    return (struct eio_opening){.query = http_request_query(http),
                                .authorization = http_request_header(http, "authorization"),
                                .address = http_request_address(http)};
}

static void open_by_polling(struct eio_server *server, struct http_request *http)
{
    struct eio_opening opening = opening_of(http);
    struct eio_session *session = eio_session_open(server, NULL, &opening);
    struct buffer body = buffer_init(512);
    if (session == NULL) {
        turn_away(http);
        return;
    }
    eio_session_describe(session, &body);
    reply(http, 200, "text/plain; charset=UTF-8", buffer_slice(&body));
    buffer_dispose(&body);
}

/* A handshake by WebSocket waits for its stream; what its request told is kept meanwhile. */
struct handshake {
    struct eio_group *group;
    int worker;
    struct http_request *http;
    struct slice query, authorization;
    char text[];
};

static void on_stream(struct stream *stream, void *data)
{
    struct handshake *handshake = data;
    struct eio_server *server = server_of(handshake->group, handshake->worker);
    struct eio_opening opening = {handshake->query, handshake->authorization, http_request_address(handshake->http)};
    if (stream != NULL && server != NULL && !server->is_closing) {
        eio_session_open(server, stream, &opening);
    } else {
        stream_close(stream);
    }
    http_request_unref(handshake->http);
    eio_group_unref(handshake->group);
    free(handshake);
}

static void open_by_websocket(struct eio_server *server, struct http_request *http)
{
    struct eio_opening opening = opening_of(http);
    struct handshake *handshake = malloc(sizeof *handshake + opening.query.length + opening.authorization.length);
    if (handshake == NULL) {
        turn_away(http);
        return;
    }
    *handshake = (struct handshake){.group = eio_group_ref(server->group), .worker = server->worker};
    handshake->http = http_request_ref(http);
    handshake->query = (struct slice){handshake->text, opening.query.length};
    handshake->authorization = (struct slice){handshake->text + opening.query.length, opening.authorization.length};
    if (opening.query.length > 0) {
        memcpy(handshake->text, opening.query.data, opening.query.length);
    }
    if (opening.authorization.length > 0) {
        memcpy(handshake->text + opening.query.length, opening.authorization.data, opening.authorization.length);
    }
    if (!http_request_upgrade(http, NULL, on_stream, handshake)) {
        eio_reply_error(http, EIO_ERROR_BAD_REQUEST);
        http_request_unref(http);
        eio_group_unref(handshake->group);
        free(handshake);
    }
}

/* --- what arrives --- */

static bool is_method(const struct http_request *http, const char *method)
{
    return slice_equals(http_request_method(http), slice_of(method));
}

/* Readable or not. */
static bool has_parameter(const struct http_request *http, const char *name)
{
    for (struct slice rest = http_request_query(http); rest.length > 0;) {
        struct slice parameter = slice_take_until(&rest, '&');
        bool has_value = parameter.length > strlen(name);
        if (slice_equals(slice_take_until(&parameter, '='), slice_of(name)) && has_value) {
            return true;
        }
    }
    return false;
}

static bool is_origin_good(const struct eio_server *server, const struct http_request *http)
{
    const struct eio_options *options = &server->options;
    struct slice origin = http_request_header(http, "origin");
    return origin_is_own(origin, http_request_host(http)) || options->is_origin_allowed == NULL ||
           options->is_origin_allowed(options->origin_data, origin);
}

static void handle_handshake(struct eio_server *server, struct http_request *http, bool is_websocket)
{
    char version[8];
    if (!is_method(http, "GET")) {
        eio_reply_error(http, EIO_ERROR_BAD_METHOD);
    } else if (!http_request_query_parameter(http, "EIO", version, sizeof version) || strcmp(version, "4") != 0) {
        eio_reply_error(http, EIO_ERROR_PROTOCOL_VERSION);
    } else if (server->is_closing) {
        turn_away(http);
    } else if (is_websocket) {
        open_by_websocket(server, http);
    } else {
        open_by_polling(server, http);
    }
}

void eio_server_handle(struct eio_server *server, struct http_request *http)
{
    char transport[16], sid_text[EIO_SID_LENGTH + 1];
    uint8_t sid[15];
    if (is_method(http, "OPTIONS")) {
        http_request_allow(http, "GET, POST");
        return;
    }
    bool has_transport = http_request_query_parameter(http, "transport", transport, sizeof transport);
    bool is_websocket = has_transport && strcmp(transport, "websocket") == 0;
    if (!is_websocket && (!has_transport || strcmp(transport, "polling") != 0)) {
        eio_reply_error(http, EIO_ERROR_TRANSPORT_UNKNOWN);
    } else if (!is_origin_good(server, http)) {
        eio_reply_error(http, EIO_ERROR_FORBIDDEN);
    } else if (!has_parameter(http, "sid")) {
        handle_handshake(server, http, is_websocket);
    } else if (!http_request_query_parameter(http, "sid", sid_text, sizeof sid_text) || !eio_sid_parse(sid_text, sid)) {
        eio_reply_error(http, EIO_ERROR_SID_UNKNOWN);
    } else if (is_websocket && is_method(http, "GET")) {
        hand_over(server, http, EIO_REQUEST_UPGRADE, sid);
    } else if (!is_websocket && is_method(http, "GET")) {
        hand_over(server, http, EIO_REQUEST_POLL, sid);
    } else if (!is_websocket && is_method(http, "POST")) {
        hand_over(server, http, EIO_REQUEST_POST, sid);
    } else {
        eio_reply_error(http, EIO_ERROR_BAD_REQUEST);
    }
}
