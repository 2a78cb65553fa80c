#include <stdio.h>
#include <stdlib.h>

#include "engineio_private.h"

/* A request whose session lives on another node goes there, and the answer comes back: the client sees one server. When
 * that node is gone, so is the session, and the client is told what makes it open a new one. */

static const char FORWARDED_HEADER[] = "x-stonechat-forwarded";

/* What comes above a poll's longest wait, which ends with the session's. */
enum { TIMEOUT_SLACK_MS = 10 * 1000 };

struct search {
    struct eio_group *group;
    int worker;
    struct http_request *http;
};

static void on_failure(struct http_request *http)
{
    eio_reply_error(http, EIO_ERROR_SID_UNKNOWN);
}

static void forward(struct eio_server *server, struct http_request *http, const char *url)
{
    const struct eio_options *options = &server->options;
    char number[8];
    snprintf(number, sizeof number, "%d", atomic_load(&server->group->node));
    http_request_forward(
        http, &(struct http_forward_options){
                  .url = url,
                  .header_name = FORWARDED_HEADER,
                  .header_value = number,
                  .timeout_ms = (uint64_t)options->ping_interval_ms + options->ping_timeout_ms + TIMEOUT_SLACK_MS,
                  .max_reply_bytes = 2 * (size_t)options->send_queue_max_bytes + options->max_payload_bytes,
                  .on_failure = on_failure});
}

static void on_found(void *data, const char *url)
{
    struct search *search = data;
    struct eio_server *server = atomic_load(&search->group->servers[search->worker]);
    if (server != NULL && url != NULL && !atomic_load(&server->is_closing)) {
        forward(server, search->http, url);
    } else if (server != NULL) {
        eio_reply_error(search->http, EIO_ERROR_SID_UNKNOWN);
    }
    http_request_unref(search->http);
    eio_group_unref(search->group);
    free(search);
}

void eio_forward(struct eio_server *server, struct http_request *http, int node)
{
    bool has_come_far = http_request_header(http, FORWARDED_HEADER).data != NULL; /* a node has sent it here: in vain */
    bool may_search = server->options.find_peer != NULL && !has_come_far && !atomic_load(&server->is_closing);
    struct search *search = may_search ? malloc(sizeof *search) : NULL;
    if (search == NULL) {
        eio_reply_error(http, EIO_ERROR_SID_UNKNOWN);
        return;
    }
    *search = (struct search){eio_group_ref(server->group), server->worker, http_request_ref(http)};
    server->options.find_peer(server->options.find_peer_data, node, on_found, search);
}
