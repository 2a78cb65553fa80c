/* The inside of a request, shared by the files of http. */
#ifndef STONECHAT_HTTP_REQUEST_PRIVATE_H
#define STONECHAT_HTTP_REQUEST_PRIVATE_H

#include <h2o.h>

#include "http/request.h"
#include "http/site.h"
#include "trace_context.h"
#include "util/log.h"

struct http_streaming;

/* As the log and the metrics say it; nobody is sent it. */
enum { HTTP_CLIENT_LEFT = 499 };

struct http_request {
    int references;
    h2o_req_t *raw; /* NULL once the client has left or all was sent */
    struct http_worker *worker;
    bool is_replied;
    bool is_over;                     /* answered for whoever works on it: what that one replies later goes nowhere */
    bool is_watched;                  /* for the client's leaving, by HTTP/1.1 */
    struct http_streaming *streaming; /* a reply in pieces, or NULL */
    bool has_user;
    struct uuid user_id; /* for the log */
    void (*on_leave)(void *data);
    void *on_leave_data;
    struct timer watch_timer;
    uint64_t replied_at_ms;
    size_t sending_bytes;
    struct http_request *next_sending, **sending_link; /* `sending_link` is NULL while it is not in the list */
    int64_t started_us;
    const char *route_method, *route_name; /* for the metrics: as in a table, or NULL */
    struct http_client client;
    struct rate_verdict rate;   /* of the tightest limit that it came under */
    struct log_context log;     /* with its id */
    struct trace_context trace; /* while log.trace_id is not empty */
};

/* A request around libh2o's, with one reference for the caller. */
struct http_request *http_request_create(h2o_req_t *raw, struct http_worker *worker);

/* Takes a token of the rule from the bucket of `key`. False: there is none, and the refusal is up to the caller. */
bool http_request_take(struct http_request *request, enum rate_rule rule, const struct rate_key *key);

/* Is it an opening handshake of RFC 6455, by HTTP/1.1? */
bool http_request_is_websocket_upgrade(const struct http_request *request);

/* Answers 503, if there was no reply yet, and ends the connection, which is by HTTP/1. */
void http_request_cut(struct http_request *request);

/* Puts it on the list of replies, or pieces of them, that have not left. `bytes` of it are kept by the server. */
void http_request_remember_sending(struct http_request *request, size_t bytes);
/* Takes it off that list. Nothing happens if it is not in it. */
void http_request_forget_sending(struct http_request *request);

/* Looks for the client's leaving by HTTP/1.1, and stops to. Nothing happens by HTTP/2, where libh2o tells. */
void http_request_start_watching(struct http_request *request);
void http_request_stop_watching(struct http_request *request);

/* The client of a reply in pieces has left, and libh2o does not know yet. */
void http_streaming_cut(struct http_streaming *streaming);
/* libh2o's request is gone. */
void http_streaming_forget(struct http_streaming *streaming);

#endif
