#include "fallback.h"

#include "handler.h"
#include "http_exchange.h"

/* libh2o answers from its fallback path, on which nothing is served: each of its answers is an error, and its text is
 * replaced on the way out. The request gets an id and a line in the log, as any other. */

struct fallback {
    h2o_filter_t super;
    h2o_handler_t *handler;
};

struct replacement {
    h2o_ostream_t super;
    h2o_iovec_t body;
    bool is_sent;
};

static void do_send(h2o_ostream_t *ostream, h2o_req_t *raw, h2o_iovec_t *texts, size_t count, h2o_send_state_t state)
{
    (void)texts, (void)count;
    struct replacement *replacement = (struct replacement *)ostream;
    h2o_iovec_t body = replacement->body;
    size_t bodies = replacement->is_sent ? 0 : 1;
    replacement->is_sent = true;
    h2o_ostream_send_next(ostream, raw, &body, bodies, state);
}

static void on_setup(h2o_filter_t *filter, h2o_req_t *raw, h2o_ostream_t **slot)
{
    h2o_handler_t *handler = ((struct fallback *)filter)->handler;
    struct http_request *request = http_request_create(raw, h2o_context_get_handler_context(raw->conn->ctx, handler));
    enum status status = raw->res.status == 413 ? STATUS_PAYLOAD_TOO_LARGE : STATUS_BAD_REQUEST;
    struct buffer body = http_exchange_failure(request, status, status_message(status), (struct slice){NULL, 0});
    struct replacement *replacement = (struct replacement *)h2o_add_ostream(raw, sizeof *replacement, slot);
    replacement->super.do_send = do_send;
    replacement->is_sent = false;
    replacement->body = h2o_strdup(&raw->pool, body.data, body.length);
    buffer_dispose(&body);
    handler_add_headers(request);
    h2o_set_header(&raw->pool, &raw->res.headers, H2O_TOKEN_CONTENT_TYPE, H2O_STRLIT(HTTP_EXCHANGE_TYPE), 1);
    raw->res.content_length = replacement->body.len;
    request->is_replied = true;
    http_request_unref(request);
    h2o_setup_next_ostream(raw, &replacement->super.next);
}

void fallback_install(h2o_pathconf_t *path, h2o_handler_t *handler)
{
    struct fallback *fallback = (struct fallback *)h2o_create_filter(path, sizeof *fallback);
    fallback->super.on_setup_ostream = on_setup;
    fallback->handler = handler;
}
