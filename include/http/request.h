/* One HTTP request, whichever version it came by, and its one reply. Refcounted, with memory of its own, so that
 * whoever works on it may finish after the client has left: replying then does nothing. Lives on its worker's thread.
 */
#ifndef STONECHAT_HTTP_REQUEST_H
#define STONECHAT_HTTP_REQUEST_H

#include <stdbool.h>

#include "loop/loop.h"
#include "loop/stream.h"
#include "util/slice.h"
#include "util/status.h"

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
/* The peer's address as text, for example "127.0.0.1"; lives as long as the request. */
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

/* The reply: at most once. The body is copied, unless the client left. HEAD gets no body. */
void http_request_reply(struct http_request *request, int http_status, const char *content_type, struct slice body);

/* The same with a body in parts. */
void http_request_reply_parts(struct http_request *request, int http_status, const char *content_type,
                              const struct slice *parts, int count);

/* The reply of a failure, in the envelope that all failures have. */
void http_request_refuse(struct http_request *request, enum status status, const char *message);

/* True once the reply was given or the client has left. */
bool http_request_is_done(const struct http_request *request);

/* `on_leave` is called, at most once, when the client leaves before the reply. For requests that wait long. */
void http_request_on_leave(struct http_request *request, void (*on_leave)(void *data), void *data);

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
