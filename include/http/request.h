/* One HTTP request, whichever version it came by, and its one reply. Refcounted, with memory of its own, so that
 * whoever works on it may finish after the client has left: replying then does nothing. Lives on its worker's thread.
 */
#ifndef STONECHAT_HTTP_REQUEST_H
#define STONECHAT_HTTP_REQUEST_H

#include <stdbool.h>
#include <sys/uio.h>

#include "loop/loop.h"
#include "loop/stream.h"
#include "util/slice.h"
#include "util/status.h"

struct field_values;
struct http_request;

struct http_request *http_request_ref(struct http_request *request);
void http_request_unref(struct http_request *request);

struct loop *http_request_loop(const struct http_request *request);

/* These slices live until the reply or the client's leaving: inside the handler, always; later, copy them first. */
struct slice http_request_method(const struct http_request *request);
struct slice http_request_path(const struct http_request *request);  /* normalised, without the query */
struct slice http_request_query(const struct http_request *request); /* behind the '?', still percent-encoded */
struct slice http_request_body(const struct http_request *request);
/* `name` in lower case. Empty (data NULL) when it did not come. */
struct slice http_request_header(const struct http_request *request, const char *name);
/* The Host header, or HTTP/2's :authority. */
struct slice http_request_host(const struct http_request *request);
/* The client's address as text, for example "127.0.0.1"; lives as long as the request. http/client_address.h has more.
 */
const char *http_request_address(const struct http_request *request);
/* The X-Request-Id that was taken or made; lives as long as the request. */
const char *http_request_id(const struct http_request *request);

/* Percent-decodes the first query parameter `name` into `out` (terminated). False when it is missing, too long for
 * `size`, or broken. */
bool http_request_query_parameter(const struct http_request *request, const char *name, char *out, size_t size);

/* Adds a response header; `name` in lower case and static, `value` is copied. */
void http_request_add_header(struct http_request *request, const char *name, struct slice value);

/* The same, in place of a header of that name that every reply gets. */
void http_request_set_header(struct http_request *request, const char *name, struct slice value);

/* For a path that is no route: is the method one of `methods` ("GET, HEAD")? If not, the request is answered: OPTIONS
 * with 204, others with 405, both with Allow. */
bool http_request_allow(struct http_request *request, const char *methods);

/* The reply: at most once. The body is copied, unless the client left. HEAD gets no body. A 503 gets Retry-After. */
void http_request_reply(struct http_request *request, int http_status, const char *content_type, struct slice body);

/* The same with a body in parts. */
void http_request_reply_parts(struct http_request *request, int http_status, const char *content_type,
                              const struct slice *parts, int count);

/* The reply of a failure, in the envelope that all failures have. */
void http_request_refuse(struct http_request *request, enum status status, const char *message);

/* The same for input that is not good, with what is wrong with it. */
void http_request_refuse_input(struct http_request *request, const struct field_values *input);

/* True once the reply was given or the client has left. */
bool http_request_is_done(const struct http_request *request);

/* `on_leave` is called, at most once, when the client leaves before the reply. For requests that wait long. */
void http_request_on_leave(struct http_request *request, void (*on_leave)(void *data), void *data);

/* --- a reply that comes in pieces, for as long as the client stays --- */

struct http_stream_callbacks {
    /* What was sent, at first the head of the reply, has left: more may be sent. */
    void (*on_sent)(void *data);
    /* Once: the reply is over, since the client has left or http_request_end was called; no memory that was sent is
     * looked at any more, and no call may follow. */
    void (*on_end)(void *data);
};

/* Starts the reply with status 200, in place of http_request_reply; it is never compressed. `callbacks` must stay.
 * False when the client has left: then nothing is called. */
bool http_request_start(struct http_request *request, const char *content_type,
                        const struct http_stream_callbacks *callbacks, void *data);

/* Is something on its way? */
bool http_request_is_sending(const struct http_request *request);

/* Sends a piece, of at least one byte; only when nothing is on its way and http_request_end was not called. The memory
 * behind `vectors` must stay until on_sent or on_end; the array itself may go at once. A piece that is on its way for
 * longer than a reply may take ends the connection. Calls nothing back. */
void http_request_send(struct http_request *request, const struct iovec *vectors, int count);

/* How many bytes its user keeps for this reply alone until they have left, in place of what was said before. They count
 * as what the connection holds while something is on its way; what other replies share is nobody's. Calls nothing back.
 */
void http_request_hold(struct http_request *request, size_t bytes);

/* Ends the reply, behind what is on its way. on_end follows, maybe inside. */
void http_request_end(struct http_request *request);

/* --- upgrades --- */

/* Answers 101 to a WebSocket upgrade (RFC 6455 section 4.2.2) and gives the connection to `on_upgrade`; the stream is
 * NULL if the client left meanwhile. False, and nothing done, when the request is not a valid upgrade by HTTP/1.1;
 * `protocol` (may be NULL) is echoed as Sec-WebSocket-Protocol. */
bool http_request_upgrade(struct http_request *request, const char *protocol,
                          void (*on_upgrade)(struct stream *stream, void *data), void *data);

struct http_forward_options {
    const char *url;                        /* of the server alone: http:// or https://, host, port */
    const char *header_name, *header_value; /* goes with it, so that the other server knows */
    uint64_t timeout_ms;                    /* for the reply, once connected */
    size_t max_reply_bytes;
    /* There is no reply to be had: gives one. */
    void (*on_failure)(struct http_request *request);
};

/* Has another server of ours answer the request, which was not answered yet: by HTTP/1.1, with its path, body, and the
 * headers that say who asks; X-Forwarded-For names the client. A WebSocket upgrade becomes a tunnel, which lasts until
 * one side ends. When the client leaves, so do we there, unless it posted something. `options` may go at once. */
void http_request_forward(struct http_request *request, const struct http_forward_options *options);

#endif
