/* What the services of one worker stand on, and how every service tells its outcome. A service knows neither HTTP nor
 * sockets: it is asked by an actor, and tells once how it ended. */
#ifndef STONECHAT_SERVICE_SERVICES_H
#define STONECHAT_SERVICE_SERVICES_H

#include "auth/password.h"
#include "auth/token.h"
#include "loop/loop.h"
#include "realtime/hub.h"
#include "realtime/presence.h"
#include "util/config.h"

struct cache;
struct db;
struct login_watch;
struct node;
struct rate_buckets;
struct seal_keys;

/* One a worker, filled by main. */
struct services {
    struct loop *loop;
    struct db *const *all_databases; /* of the process; ends with NULL */
    struct db *db;                   /* this worker's connections: for all that is not published */
    struct db *append;               /* the process's connections for what is published, so that there is one order */
    struct hub *hub;                 /* this worker's */
    struct hub *append_hub;          /* of the worker on whose thread `append` lives: its commits are published here */
    struct cache *cache;             /* this worker's; NULL without Redis */
    struct presence *presence;
    struct node *node; /* of the process */
    struct password_pool *passwords;
    struct rate_buckets *rates;        /* of the process; NULL: nothing is limited */
    const struct seal_keys *seal_keys; /* NULL: no two factors */
    const struct token_key *token_key;
    struct revocations *revocations; /* of the process */
    struct login_watch *login_watch; /* of the process; the first worker alone has it */
    const struct config *config;
};

/* What the workers need for their work. */
struct readiness {
    bool has_database; /* each worker is connected */
    bool has_schema;   /* as new as is needed, when it was last seen */
    bool has_bus;      /* the other nodes are heard, and know where this one is */
    bool has_logins;   /* it is known which tokens are good no longer */
};
/* Any thread, once all workers are made. */
struct readiness services_readiness(const struct services *services);

/* Who asks. */
struct actor {
    struct uuid id;
    const char *username;
    struct uuid origin; /* the session that asks, nil for HTTP: it is not told of its own actions */
    struct uuid login_id;
    struct slice address; /* from where, for the audit log; empty where it does not matter */
};

/* How it ended; lives inside the callback. */
struct outcome {
    enum status status;
    const char *message;     /* of a failure, for people; NULL: the status's own */
    const char *name;        /* of success: the name of `json` in an ack; NULL: its members are the ack's own */
    struct slice json;       /* the data */
    struct slice pagination; /* a JSON object, empty for none */
};

/* Called exactly once, on the worker's thread, perhaps before the service's function returns. What was passed to that
 * function by reference must stay until then. */
typedef void on_outcome(void *data, const struct outcome *outcome);

#endif
