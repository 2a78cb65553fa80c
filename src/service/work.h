/* What every operation of a service is made of: one statement, who asked for it, and how its outcome is told. Private
 * to service. */
#ifndef STONECHAT_SERVICE_WORK_H
#define STONECHAT_SERVICE_WORK_H

#include "repository/event.h"
#include "service/services.h"
#include "util/buffer.h"

/* Malloc'd by work_create, freed when the outcome has been told. Lives on its worker's thread, but for `on_commit`. */
struct work {
    struct db_call call; /* first: a call is its work */
    struct services *services;
    struct actor actor;
    on_outcome *on_done;
    void *data;
    /* Writes the data into `json` and returns the outcome of a statement that went well. */
    struct outcome (*finish)(struct work *work, const struct db_rows *rows);
    struct buffer json; /* what outcomes point at: freed with the work */
    struct buffer pagination;
    union { /* what an operation keeps from its start to its end */
        struct uuid id;
        int64_t number;
    } kept;
};

/* NULL without memory; the outcome has then been told. */
struct work *work_create(struct services *services, const struct actor *actor, on_outcome *on_done, void *data);

/* Sends the call that was put into `work->call`: to the worker's own connections, or to the one for what is published.
 */
void work_read(struct work *work, struct outcome (*finish)(struct work *work, const struct db_rows *rows));
void work_append(struct work *work, struct outcome (*finish)(struct work *work, const struct db_rows *rows));

/* An outcome with `json`, or STATUS_UNAVAILABLE if there was no memory to write it. */
struct outcome work_success(struct work *work, enum status status, const char *name);

/* For call.on_commit of a statement that returns events: sends each to its recipient's sessions. */
void work_publish(struct db_call *call, const struct db_rows *rows);

/* What the outcomes of SQL functions mean to clients; a table ends with a row whose `code` is NULL. A code that is not
 * in it is one of util/status.h. */
struct verdict {
    const char *code;
    enum status status;
    const char *message;
};
struct outcome verdict_outcome(const struct verdict *verdicts, struct slice code);

#endif
