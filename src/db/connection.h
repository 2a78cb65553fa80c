/* One connection to PostgreSQL on the loop: it connects, prepares every statement, comes back with growing pauses when
 * it breaks, and carries executions, each a transaction of its own. Loop's thread. */
#ifndef STONECHAT_DB_CONNECTION_H
#define STONECHAT_DB_CONNECTION_H

#include <libpq-fe.h>

#include "concerns.h"
#include "db/db.h"

/* One run of a statement for a group of calls. Malloc'd by the sender, given back by on_executed. */
struct execution {
    const struct db_statement *statement;
    struct db_call *calls; /* linked by `next`, ordinals 1… */
    int count;
    int backend_pid;  /* of the process of PostgreSQL that it was sent to */
    PGresult *result; /* owned; NULL when the connection broke, so that the outcome is unknown */
    struct execution *next;
};

struct connection;

struct connection_callbacks {
    void (*on_ready)(void *data);
    /* Nothing is under way on it any more; `was_ready` if on_ready had been called since it connected. */
    void (*on_lost)(void *data, bool was_ready);
    void (*on_executed)(void *data, struct execution *execution);
    /* The schema is too old for the statements; on_lost follows. */
    void (*on_outdated)(void *data);
};

struct connection *connection_create(struct loop *loop, const struct db_options *options,
                                     const struct connection_callbacks *callbacks, void *data);
/* Executions under way come back with a NULL result. NULL is fine. */
void connection_destroy(struct connection *connection);

bool connection_is_ready(const struct connection *connection);
/* Ready, and with nothing under way. */
bool connection_is_idle(const struct connection *connection);

/* Adds whom those concern that are under way on it. */
void connection_add_concerns(const struct connection *connection, struct concerns *concerns);

/* Sends; only while it is ready. False, and nothing done, when the values are too long to be sent together. */
bool connection_send(struct connection *connection, struct execution *execution);

#endif
