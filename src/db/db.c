#include "db/db.h"

#include <assert.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "connection.h"
#include "rows.h"
#include "util/log.h"
#include "util/metrics.h"

/* Calls wait in one queue a statement. At the end of each loop turn every idle connection takes what waits, a group a
 * statement. A group that fails is split, and its members are tried one at a time, in their order and before anything
 * newer; what the server undid for somebody else's sake is tried again, and never shown. */

enum { GROUP_MAX = 64 };

/* What becomes of a call that failed alone, by the beginning of its SQLSTATE. */
static const struct failure {
    const char *sqlstate;
    int retries;
    enum status status; /* when there are none left */
} FAILURES[] = {
    {"40001", 8, STATUS_UNAVAILABLE}, /* serialization failure */
    {"40P01", 8, STATUS_UNAVAILABLE}, /* deadlock */
    {"23505", 2, STATUS_INTERNAL},    /* a key that somebody else wrote at the same time: the next try sees it */
    {"55P03", 0, STATUS_UNAVAILABLE}, /* lock_timeout: it has waited long enough */
    {"57014", 0, STATUS_UNAVAILABLE}, /* statement_timeout */
    {"53", 0, STATUS_UNAVAILABLE},    /* out of memory, disk or connections */
    {"25006", 0, STATUS_UNAVAILABLE}, /* a standby: somebody is failing over */
    {"", 0, STATUS_INTERNAL},
};

struct queue {
    const struct db_statement *statement;
    struct db_call *first, **last;
};

struct db {
    struct loop *loop;
    struct db_options options;
    struct connection **connections;
    struct queue *queues; /* in the order of options.statements */
    struct queue alone;   /* tried one at a time */
    int queue_count, waiting;
    struct loop_deferred dispatch;
    atomic_int ready;
    atomic_int posted; /* calls on their way here or back by a task: they keep this alive */
    void (*on_doubt)(void *data);
    void *on_doubt_data;
    bool is_in_doubt;
    bool is_destroyed;
};

static void queue_push(struct queue *queue, struct db_call *call)
{
    call->next = NULL;
    *queue->last = call;
    queue->last = &call->next;
}

static void queue_push_front(struct queue *queue, struct db_call *call)
{
    call->next = queue->first;
    queue->first = call;
    if (call->next == NULL) {
        queue->last = &call->next;
    }
}

/* Takes up to `max` calls off the front. */
static struct db_call *queue_take(struct queue *queue, int max, int *ret_count)
{
    struct db_call *taken = NULL, **last = &taken;
    int count = 0;
    while (queue->first != NULL && count < max) {
        *last = queue->first;
        queue->first = queue->first->next;
        last = &(*last)->next;
        count++;
    }
    *last = NULL;
    if (queue->first == NULL) {
        queue->last = &queue->first;
    }
    *ret_count = count;
    return taken;
}

static void finish(struct db_call *call)
{
    struct db_rows rows = call->rows;
    call->on_done(call, call->status, call->status == STATUS_OK ? &rows : NULL);
    rows_unref(&rows);
}

static void on_finish_task(struct loop_task *task)
{
    finish((struct db_call *)((char *)task - offsetof(struct db_call, task)));
}

/* Reports on the caller's thread; directly when that is ours. */
static void complete(struct db *db, struct db_call *call, enum status status)
{
    call->status = status;
    metrics_observe(HISTOGRAM_DB_CALL, metrics_now_us() - call->submitted_us);
    if (call->caller == db->loop) {
        finish(call);
    } else {
        call->task.run = on_finish_task;
        loop_post(call->caller, &call->task);
    }
}

static void complete_all(struct db *db, struct db_call *calls, enum status status)
{
    while (calls != NULL) {
        struct db_call *call = calls;
        calls = call->next;
        complete(db, call, status);
    }
}

static void count_waiting(struct db *db, int more)
{
    db->waiting += more;
    metrics_add(METRIC_DB_WAITING, more);
}

static void fail_waiting(struct db *db)
{
    for (int i = 0; i <= db->queue_count; i++) {
        struct queue *queue = i < db->queue_count ? &db->queues[i] : &db->alone;
        int count;
        struct db_call *calls = queue_take(queue, db->waiting, &count);
        count_waiting(db, -count);
        complete_all(db, calls, STATUS_UNAVAILABLE);
    }
}

/* The members of a group go on one at a time. */
static void split(struct db *db, struct db_call *calls)
{
    while (calls != NULL) {
        struct db_call *call = calls;
        calls = call->next;
        queue_push(&db->alone, call);
        count_waiting(db, 1);
    }
}

static void send_group(struct db *db, struct connection *connection, struct queue *queue, int max)
{
    int count;
    struct db_call *calls = queue_take(queue, max, &count);
    count_waiting(db, -count);
    loop_defer(db->loop, &db->dispatch); /* in case that nothing gets under way now */
    struct execution *execution = calloc(1, sizeof *execution);
    if (execution == NULL) {
        complete_all(db, calls, STATUS_UNAVAILABLE);
        return;
    }
    *execution = (struct execution){.statement = calls->statement, .calls = calls, .count = count};
    if (connection_send(connection, execution)) {
        return;
    }
    free(execution);
    if (count > 1) {
        split(db, calls);
    } else {
        log_write(LOG_ERROR, "values are too long", LOG_STR("statement", calls->statement->name));
        complete(db, calls, STATUS_INTERNAL);
    }
}

static void dispatch(struct loop_deferred *deferred)
{
    struct db *db = (struct db *)((char *)deferred - offsetof(struct db, dispatch));
    for (int i = 0; i < db->options.connections && db->waiting > 0; i++) {
        struct connection *connection = db->connections[i];
        if (!connection_is_idle(connection)) {
            continue;
        }
        if (db->alone.first != NULL) {
            send_group(db, connection, &db->alone, 1);
            continue;
        }
        for (int j = 0; j < db->queue_count; j++) {
            if (db->queues[j].first != NULL && connection_is_ready(connection)) {
                send_group(db, connection, &db->queues[j], GROUP_MAX);
            }
        }
    }
}

static void on_ready(void *data)
{
    struct db *db = data;
    metrics_add(METRIC_DB_CONNECTIONS, 1);
    if (atomic_fetch_add(&db->ready, 1) == 0) {
        log_write(LOG_INFO, "database available");
    }
    if (db->is_in_doubt && db->on_doubt != NULL) {
        db->on_doubt(db->on_doubt_data);
    }
    db->is_in_doubt = false;
    loop_defer(db->loop, &db->dispatch);
}

static void on_lost(void *data, bool was_ready)
{
    struct db *db = data;
    if (was_ready) {
        atomic_fetch_sub(&db->ready, 1);
        metrics_add(METRIC_DB_CONNECTIONS, -1);
    }
    if (atomic_load(&db->ready) == 0) {
        fail_waiting(db);
    }
}

static const struct failure *failure_of(const char *sqlstate)
{
    const struct failure *failure = FAILURES;
    while (strncmp(failure->sqlstate, sqlstate, strlen(failure->sqlstate)) != 0) {
        failure++;
    }
    return failure;
}

static void log_failure(const struct db_call *call, const PGresult *result)
{
    log_write(LOG_ERROR, "statement failed", LOG_STR("statement", call->statement->name),
              LOG_STR("error", PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY)),
              LOG_STR("sqlstate", PQresultErrorField(result, PG_DIAG_SQLSTATE)));
}

/* Nothing of it was committed. */
static void retry_or_fail(struct db *db, struct execution *execution)
{
    struct db_call *call = execution->calls;
    const char *sqlstate = PQresultErrorField(execution->result, PG_DIAG_SQLSTATE);
    const struct failure *failure = failure_of(sqlstate != NULL ? sqlstate : "");
    if (execution->count > 1) {
        split(db, call);
    } else if (call->attempts++ < failure->retries) {
        queue_push_front(&db->alone, call);
        count_waiting(db, 1);
    } else {
        log_failure(call, execution->result);
        complete(db, call, failure->status);
    }
    PQclear(execution->result);
}

/* A mistake of ours: it was committed, so that it must not be tried again, and there is no answer in it. */
static void fail_without_rows(struct db *db, struct execution *execution)
{
    log_failure(execution->calls, execution->result);
    PQclear(execution->result);
    complete_all(db, execution->calls, STATUS_INTERNAL);
}

static void succeed(struct db *db, struct execution *execution)
{
    if (!rows_distribute(execution->result, execution->calls, execution->count)) {
        complete_all(db, execution->calls, STATUS_INTERNAL);
        return;
    }
    for (struct db_call *call = execution->calls; call != NULL; call = call->next) {
        if (call->on_commit != NULL) {
            call->on_commit(call, &call->rows);
        }
    }
    complete_all(db, execution->calls, STATUS_OK);
}

static void on_executed(void *data, struct execution *execution)
{
    struct db *db = data;
    metrics_observe(HISTOGRAM_DB_GROUP, execution->count);
    if (execution->result == NULL) {
        db->is_in_doubt = true;
        complete_all(db, execution->calls, STATUS_UNAVAILABLE);
    } else if (PQresultStatus(execution->result) == PGRES_TUPLES_OK) {
        succeed(db, execution);
    } else if (PQresultStatus(execution->result) == PGRES_FATAL_ERROR) {
        retry_or_fail(db, execution);
    } else {
        fail_without_rows(db, execution);
    }
    free(execution);
    loop_defer(db->loop, &db->dispatch);
}

static const struct connection_callbacks CALLBACKS = {on_ready, on_lost, on_executed};

/* A queue for each statement of the tables, in their order. NULL without memory. */
static struct queue *create_queues(const struct db_statement *const *const *tables, int *ret_count)
{
    int count = 0;
    for (const struct db_statement *const *const *table = tables; *table != NULL; table++) {
        for (const struct db_statement *const *row = *table; *row != NULL; row++) {
            count++;
        }
    }
    struct queue *queues = calloc((size_t)count, sizeof *queues);
    struct queue *queue = queues;
    for (const struct db_statement *const *const *table = tables; queues != NULL && *table != NULL; table++) {
        for (const struct db_statement *const *row = *table; *row != NULL; row++, queue++) {
            queue->statement = *row;
            queue->last = &queue->first;
        }
    }
    *ret_count = queues != NULL ? count : 0;
    return queues;
}

struct db *db_create(struct loop *loop, const struct db_options *options)
{
    struct db *db = calloc(1, sizeof *db);
    if (db == NULL) {
        return NULL;
    }
    db->loop = loop;
    db->options = *options;
    db->dispatch.run = dispatch;
    db->alone.last = &db->alone.first;
    db->queues = create_queues(options->statements, &db->queue_count);
    db->connections = calloc((size_t)options->connections, sizeof(struct connection *));
    if (db->queues == NULL || db->connections == NULL) {
        db_destroy(db);
        return NULL;
    }
    for (int i = 0; i < options->connections; i++) {
        db->connections[i] = connection_create(loop, &db->options, &CALLBACKS, db);
        if (db->connections[i] == NULL) {
            db_destroy(db);
            return NULL;
        }
    }
    return db;
}

void db_destroy(struct db *db)
{
    if (db == NULL) {
        return;
    }
    atomic_store(&db->ready, 0);
    for (int i = 0; db->connections != NULL && i < db->options.connections; i++) {
        connection_destroy(db->connections[i]);
    }
    fail_waiting(db);
    loop_defer_cancel(db->loop, &db->dispatch);
    free(db->connections);
    free(db->queues);
    db->is_destroyed = true;
    if (atomic_load(&db->posted) == 0) {
        free(db);
    }
}

static struct queue *queue_of(struct db *db, const struct db_statement *statement)
{
    for (int i = 0; i < db->queue_count; i++) {
        if (db->queues[i].statement == statement) {
            return &db->queues[i];
        }
    }
    assert(!"a statement that was not prepared");
    return NULL;
}

static bool has_room(const struct db *db)
{
    return db_is_available(db) && db->waiting < db->options.queue_max;
}

static void enqueue(struct db *db, struct db_call *call)
{
    queue_push(queue_of(db, call->statement), call);
    count_waiting(db, 1);
    loop_defer(db->loop, &db->dispatch);
}

static void release(struct db *db)
{
    if (atomic_fetch_sub(&db->posted, 1) == 1 && db->is_destroyed) {
        free(db);
    }
}

/* A call from another thread has come. */
static void on_posted(struct loop_task *task)
{
    struct db_call *call = (struct db_call *)((char *)task - offsetof(struct db_call, task));
    struct db *db = call->db;
    if (has_room(db)) {
        enqueue(db, call);
    } else {
        complete(db, call, STATUS_UNAVAILABLE);
    }
    release(db);
}

static void on_refused(struct loop_task *task)
{
    struct db_call *call = (struct db_call *)((char *)task - offsetof(struct db_call, task));
    struct db *db = call->db;
    finish(call);
    release(db);
}

void db_submit(struct db *db, struct loop *caller, struct db_call *call)
{
    assert(call->statement != NULL && call->on_done != NULL);
    call->db = db;
    call->caller = caller;
    call->rows = (struct db_rows){0};
    call->attempts = 0;
    call->submitted_us = metrics_now_us();
    call->status = STATUS_UNAVAILABLE;
    if (caller == db->loop && has_room(db)) {
        enqueue(db, call);
        return;
    }
    atomic_fetch_add(&db->posted, 1);
    call->task.run = caller == db->loop ? on_refused : on_posted;
    loop_post(db->loop, &call->task);
}

void db_watch_doubt(struct db *db, void (*on_doubt)(void *data), void *data)
{
    db->on_doubt = on_doubt;
    db->on_doubt_data = data;
}

bool db_is_available(const struct db *db)
{
    return atomic_load(&((struct db *)db)->ready) > 0;
}
