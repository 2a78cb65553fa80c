/* The program's face to the network: listeners, TLS, a thread a worker, and the orderly end of it all. */
#ifndef STONECHAT_SERVER_SERVER_H
#define STONECHAT_SERVER_SERVER_H

#include <stdbool.h>
#include <stddef.h>

#include "http/site.h"
#include "loop/loop.h"

struct server;

struct server_options {
    const char *host;          /* an address; "0.0.0.0" and "::" listen everywhere */
    int port;                  /* 0: the system chooses one */
    const char *operator_host; /* NULL: no port for operators, who find `operator_site` there, in clear text */
    int operator_port;
    const struct http_site *operator_site; /* must stay */
    const char *tls_cert, *tls_key;        /* PEM files; NULL: no TLS */
    size_t max_body_bytes;                 /* of any request; larger ones are refused before they are read */
    size_t max_held_bytes;          /* for requests on their way in and replies on their way out, of all connections */
    int request_timeout_s;          /* for a request to arrive, and for an idle connection */
    struct ip_networks trust_proxy; /* whose connections count for nobody */
    bool has_proxy_headers;         /* these begin with a PROXY header that names the client */
    int max_connections;            /* 0: no limit */
    int max_connections_per_ip;     /* 0: no limit; IPv6 by /64 */
    int drain_delay_s;              /* how long all goes on after SIGTERM, while proxies see that it is not ready */
    int drain_s;                    /* how long work under way may take at the end */
    void (*on_reload)(void *data);  /* upon SIGHUP, on the thread of server_run; may be NULL */
    void *reload_data;
};

/* One thread: its loop, what it serves, and what has to happen on it when the server stops. */
struct server_worker {
    struct loop *loop;
    struct http_worker http;
    /* Lets no sockets or streams in any more, and ends at most `max`. Called again until it says that none is left. May
     * be NULL. */
    bool (*let_go)(struct server_worker *worker, int max);
    int (*count_open)(struct server_worker *worker); /* upgraded connections that still say goodbye; may be NULL */
    /* Its connections have gone, and those of all workers when it is the first. Called again, for a second at most,
     * until it says that nothing is left to do. May be NULL. */
    bool (*leave)(struct server_worker *worker);
};

/* Opens the listeners, so that every problem is met before a thread starts. Problems are logged. `workers` must stay.
 */
struct server *server_create(const struct server_options *options, struct server_worker *workers, int count);

/* The port it listens on. */
int server_port(const struct server *server);

/* The address that it listens on, as a URL for others: for "everywhere" one of the machine's own. */
enum { SERVER_URL_LENGTH = 256 };
void server_url(const struct server *server, char out[SERVER_URL_LENGTH]);

/* Runs the workers until SIGINT or SIGTERM, then stops: no new connections, sockets told to go, a few at a time so that
 * they don't all come back at once, work under way finished. True when all of it was done in time. SIGTERM leaves
 * `drain_delay_s` before that, unless another signal cuts it short. SIGHUP has the certificate and its key read again.
 * The caller has blocked these signals in every thread. The loops have ended then, and their threads do nothing. */
bool server_run(struct server *server);

/* Ends the threads, too: whatever else has sockets on the loops has closed them by then. NULL is fine. */
void server_destroy(struct server *server);

#endif
