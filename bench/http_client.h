/* HTTP/1.1 as a load: a pool of keep-alive connections, each with one request under way, round and round a list of
 * ready-made requests. Each reply is checked: its status, and that it says what it must. */
#ifndef STONECHAT_BENCH_HTTP_CLIENT_H
#define STONECHAT_BENCH_HTTP_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net.h"
#include "statistics.h"
#include "util/slice.h"

struct http_client;

struct http_load {
    struct net *net;
    const struct buffer *requests; /* the caller's, like the texts below */
    size_t request_count, next_request;
    int expected_status;
    struct slice expected_text;  /* every reply holds it; empty for any */
    struct tally *tally;         /* where replies are counted */
    struct http_client *clients; /* owned */
    size_t client_count;
    bool is_stopped;
};

/* Connects `connections` clients, which start asking at once. The caller has filled the fields above `clients`. */
void http_load_start(struct http_load *load, size_t connections);

/* Sends no more requests, waits for the replies under way, closes and frees the clients. */
void http_load_stop(struct http_load *load);

#endif
