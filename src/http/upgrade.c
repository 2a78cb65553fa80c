#include <h2o.h>
#include <h2o/http1.h>
#include <openssl/sha.h>
#include <stdlib.h>

#include "connection.h"
#include "headers.h"
#include "loop/h2o_loop.h"
#include "request.h"

/* The opening handshake of a WebSocket (RFC 6455, section 4.2). When the 101 has left, the connection is a stream. */

struct upgrade {
    struct http_request *request;
    void (*on_upgrade)(struct stream *stream, void *data);
    void *data;
};

static void release_place(void *place)
{
    place_give_back(place);
}

/* The record of the connection stays on this thread; its place goes wherever the stream does. */
static struct stream *make_stream(struct loop *loop, h2o_socket_t *socket)
{
    struct http_connection *connection = socket->on_close.data;
    struct place *place = NULL;
    if (connection != NULL) {
        http_connection_upgrade(connection);
        place = connection->place;
        connection->place = NULL;
    }
    struct stream *stream = stream_create(loop, socket);
    if (stream != NULL) {
        stream_keep(stream, place, release_place);
    } else {
        place_give_back(place);
    }
    return stream;
}

static void on_upgraded(void *data, h2o_socket_t *socket, size_t request_size)
{
    struct upgrade *upgrade = data;
    struct stream *stream = NULL;
    if (socket != NULL) {
        h2o_buffer_consume(&socket->input, request_size);
        stream = make_stream(upgrade->request->worker->loop, socket);
    }
    upgrade->on_upgrade(stream, upgrade->data);
    http_request_unref(upgrade->request);
    free(upgrade);
}

/* Sec-WebSocket-Accept: RFC 6455 section 4.2.2, item 5.4. */
static void make_accept_key(struct slice key, char out[29])
{
    static const char GUID[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    char joined[24 + sizeof GUID];
    unsigned char digest[SHA_DIGEST_LENGTH];
    memcpy(joined, key.data, 24);
    memcpy(joined + 24, GUID, sizeof GUID - 1);
    SHA1((const unsigned char *)joined, 24 + sizeof GUID - 1, digest);
    h2o_base64_encode(out, digest, sizeof digest, 0);
}

bool http_request_is_websocket_upgrade(const struct http_request *request)
{
    const h2o_req_t *raw = request->raw;
    struct slice upgrade = {raw->upgrade.base, raw->upgrade.len};
    return raw->version == 0x101 && slice_equals(http_request_method(request), SLICE("GET")) &&
           headers_list_holds(upgrade, "websocket") &&
           headers_list_holds(http_request_header(request, "connection"), "upgrade") &&
           http_request_header(request, "sec-websocket-key").length == 24 &&
           slice_equals(http_request_header(request, "sec-websocket-version"), SLICE("13"));
}

bool http_request_upgrade(struct http_request *request, const char *protocol,
                          void (*on_upgrade)(struct stream *stream, void *data), void *data)
{
    if (http_request_is_done(request) || !http_request_is_websocket_upgrade(request)) {
        return false;
    }
    h2o_req_t *raw = request->raw;
    struct upgrade *upgrade = h2o_mem_alloc(sizeof *upgrade);
    *upgrade = (struct upgrade){http_request_ref(request), on_upgrade, data};
    char accept_key[29];
    make_accept_key(http_request_header(request, "sec-websocket-key"), accept_key);
    http_request_stop_watching(request);
    http_request_add_header(request, "sec-websocket-accept", slice_of(accept_key));
    if (protocol != NULL) {
        http_request_add_header(request, "sec-websocket-protocol", slice_of(protocol));
    }
    request->is_replied = true;
    raw->res.status = 101;
    raw->res.reason = "Switching Protocols";
    h2o_add_header(&raw->pool, &raw->res.headers, H2O_TOKEN_UPGRADE, NULL, H2O_STRLIT("websocket"));
    h2o_http1_upgrade(raw, NULL, 0, on_upgraded, upgrade);
    return true;
}
