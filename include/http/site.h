/* What is served: the tables of routes, the paths that are served otherwise, and the rules for all of them. main fills
 * one site for the process, and one http_worker a thread. */
#ifndef STONECHAT_HTTP_SITE_H
#define STONECHAT_HTTP_SITE_H

#include "auth/token.h"
#include "http/client_address.h"
#include "http/exchange.h"
#include "http/request.h"

struct forward;
struct http_worker;

/* A path, or a prefix that ends with '/', whose requests are not exchanges: sockets, files, streams. "/" is the root
 * alone, no prefix of everything. */
struct http_mount {
    const char *path;
    void (*handle)(struct http_request *request, struct http_worker *worker);
    enum rate_rule (*rate)(const struct http_request *request); /* NULL: RATE_REQUESTS */
};

struct http_site {
    const struct operation *const *routes;  /* tables that end with a row whose name is NULL; the list ends with NULL */
    const struct http_mount *const *mounts; /* tables that end with a row whose path is NULL; the list ends with NULL */
    char *const *allowed_origins;           /* NULL-terminated; "*" allows every origin */
    struct ip_networks trust_proxy;         /* whose X-Forwarded-For counts */
    bool has_proxy_headers;                 /* other servers of ours expect a PROXY header before what is forwarded */
    size_t max_body_bytes;                  /* of the body of an exchange */
};

/* One thread's view of the site. The members are main's to set; handlers read them. */
struct http_worker {
    const struct http_site *site;
    struct loop *loop;
    struct token_cache *tokens; /* NULL where no route needs a token */
    struct rate_limiter limiter;
    void *context;    /* exchange->context */
    bool is_draining; /* set by server: it is about to stop, and nobody should send anything more */
    /* private */
    struct forward *forwards; /* requests that other servers answer */
    bool is_stopping;
};

/* Ends what is forwarded, WebSockets too, and forwards nothing any more. On the worker's thread. */
void http_worker_stop_forwarding(struct http_worker *worker);

/* Is this Origin header's value allowed? */
bool http_site_allows_origin(const struct http_site *site, struct slice origin);

#endif
