/* The inside of a request, shared by the files of http. */
#ifndef STONECHAT_HTTP_REQUEST_PRIVATE_H
#define STONECHAT_HTTP_REQUEST_PRIVATE_H

#include <h2o.h>

#include "http/request.h"
#include "http/site.h"

enum { REQUEST_ID_MAX_LENGTH = 128 };

struct http_request {
    int references;
    h2o_req_t *raw; /* NULL once the client has left or all was sent */
    struct http_worker *worker;
    bool is_replied;
    bool is_watched; /* for the client's leaving, by HTTP/1.1 */
    bool has_user;
    struct uuid user_id; /* for the log */
    void (*on_leave)(void *data);
    void *on_leave_data;
    struct timespec started_at;
    char address[46];
    char id[REQUEST_ID_MAX_LENGTH + 1];
};

/* A request around libh2o's, with one reference for the caller. */
struct http_request *http_request_create(h2o_req_t *raw, struct http_worker *worker);

#endif
