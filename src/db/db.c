#include "db/db.h"

#include <assert.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "advice.h"
#include "connection.h"
#include "queue.h"
#include "rows.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/metrics.h"

/* Calls wait in one queue a statement, or, where it is to go in turn, in one of several statements. At the end of each
 * loop turn every idle connection takes what waits, a group a statement. A group that fails is split, and its members
 * are tried one at a time, in their order and before anything that is not sent yet; what the server undid for somebody
 * else's sake is tried again, and never shown.
 *
 * Order is kept for whoever a call concerns: it waits while another that concerns the same is under way on another
 * connection, or has to wait itself. So two groups that are under way at once never wait for each other's locks either,
 * but where a row's owner is known to the database alone. */

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

struct db {
    struct loop *loop;
    struct db_options options;
    struct connection **connections;
    struct queue *queues; /* in the order of options.statements */
    struct queue alone;   /* tried one at a time */
    int queue_count, waiting;
    struct loop_deferred dispatch;
    atomic_int ready;
    atomic_bool is_outdated;
    atomic_int posted; /* calls on their way here or back by a task: they keep this alive */
    void (*on_doubt)(void *data);
    void *on_doubt_data;
    bool is_in_doubt;
    bool is_destroyed;
    struct {
        char sqlstate[6];
        int64_t logged_us, unlogged;
    } outage; /* the failure that was logged last */
};

static void finish(struct db_call *call)
{
    struct db_rows rows = call->rows;
    struct log_context context = call->context; /* the call may be freed */
    const struct log_context *before = log_enter(&context);
    call->on_done(call, call->status, call->status == STATUS_OK ? &rows : NULL);
    log_leave(before);
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
    metrics_observe(HISTOGRAM_DB_CALL, clock_now_us() - call->submitted_us);
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
        struct db_call *calls = queue_take_all(queue, &count);
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

/* What is under way concerns whoever must wait for it, and so does what waits already. */
struct turn {
    struct concerns held;
    struct concerns own; /* what was sent on this connection in this turn, and goes in its order without waiting */
};

/* Sends a group of the queue's next statement; gives how many calls it took, 0 when all have to wait. */
static int send_group(struct db *db, struct connection *connection, struct queue *queue, int max, struct turn *turn)
{
    int count;
    struct db_call *calls = queue_take_group(queue, max, &turn->held, &turn->own, &count);
    if (count == 0) {
        return 0;
    }
    count_waiting(db, -count);
    loop_defer(db->loop, &db->dispatch); /* in case that nothing gets under way now */
    struct execution *execution = calloc(1, sizeof *execution);
    if (execution == NULL) {
        complete_all(db, calls, STATUS_UNAVAILABLE);
        return count;
    }
    *execution = (struct execution){.statement = calls->statement, .calls = calls, .count = count};
    metrics_add(METRIC_DB_EXECUTING, 1);
    if (connection_send(connection, execution)) {
        return count;
    }
    metrics_add(METRIC_DB_EXECUTING, -1);
    free(execution);
    if (count > 1) {
        split(db, calls);
    } else {
        log_write(LOG_ERROR, "values are too long", LOG_STR("statement", calls->statement->name));
        complete(db, calls, STATUS_INTERNAL);
    }
    return count;
}

/* A queue's share of a turn: one group, or more where statements take turns. */
static void send_queue(struct db *db, struct connection *connection, struct queue *queue, struct turn *turn)
{
    int room = GROUP_MAX, taken = 1;
    while (room > 0 && taken > 0 && connection_is_ready(connection)) {
        taken = send_group(db, connection, queue, room, turn);
        room -= taken;
    }
}

static void send_waiting(struct db *db, struct connection *connection, struct turn *turn)
{
    if (db->alone.first != NULL) {
        send_group(db, connection, &db->alone, 1, turn);
        return;
    }
    for (int i = 0; i < db->queue_count; i++) {
        if (db->queues[i].first != NULL) {
            send_queue(db, connection, &db->queues[i], turn);
        }
    }
}

static void dispatch(struct loop_deferred *deferred)
{
    struct db *db = (struct db *)((char *)deferred - offsetof(struct db, dispatch));
    struct turn turn = {0};
    for (int i = 0; i < db->options.connections; i++) {
        connection_add_concerns(db->connections[i], &turn.held);
    }
    for (int i = 0; i < db->options.connections && db->waiting > 0; i++) {
        if (connection_is_idle(db->connections[i])) {
            send_waiting(db, db->connections[i], &turn);
            concerns_add_all(&turn.held, &turn.own);
            turn.own = (struct concerns){0};
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
    atomic_store(&db->is_outdated, false);
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

static void on_outdated(void *data)
{
    atomic_store(&((struct db *)data)->is_outdated, true);
}

static const struct failure *failure_of(const char *sqlstate)
{
    const struct failure *failure = FAILURES;
    while (strncmp(failure->sqlstate, sqlstate, strlen(failure->sqlstate)) != 0) {
        failure++;
    }
    return failure;
}

/* A full disk fails everything that writes: of what comes again and again, a line in ten seconds says how often. A
 * mistake of ours is always told. */
static bool is_told(struct db *db, const char *sqlstate, enum status status)
{
    enum { PAUSE_US = 10 * 1000 * 1000 };
    int64_t now_us = clock_now_us();
    bool is_same = strcmp(db->outage.sqlstate, sqlstate) == 0;
    if (status != STATUS_UNAVAILABLE || (is_same && now_us - db->outage.logged_us < PAUSE_US)) {
        db->outage.unlogged += status == STATUS_UNAVAILABLE;
        return status != STATUS_UNAVAILABLE;
    }
    db->outage.unlogged = is_same ? db->outage.unlogged : 0;
    db->outage.logged_us = now_us;
    snprintf(db->outage.sqlstate, sizeof db->outage.sqlstate, "%s", sqlstate);
    return true;
}

static void log_failure(struct db *db, const struct db_call *call, const struct execution *execution,
                        enum status status)
{
    const char *sqlstate = PQresultErrorField(execution->result, PG_DIAG_SQLSTATE);
    const char *advice = advice_of_statement(sqlstate != NULL ? sqlstate : "");
    bool is_outage = status == STATUS_UNAVAILABLE;
    enum log_level level = is_told(db, sqlstate != NULL ? sqlstate : "", status) ? LOG_ERROR : LOG_DEBUG;
    const struct log_context *before = log_enter(&call->context);
    log_write(level, "statement failed", LOG_STR("statement", call->statement->name),
              LOG_INT("backend", execution->backend_pid),
              LOG_STR("error", PQresultErrorField(execution->result, PG_DIAG_MESSAGE_PRIMARY)),
              LOG_STR("sqlstate", sqlstate), LOG_INT("unlogged", is_outage ? db->outage.unlogged : 0),
              advice != NULL ? LOG_STR("advice", advice) : (struct log_field){0});
    log_leave(before);
    if (is_outage && level == LOG_ERROR) {
        db->outage.unlogged = 0;
    }
}

/* From here a request's way goes on in PostgreSQL's own log, by the process that has served it. */
static void log_execution(const struct execution *execution)
{
    for (const struct db_call *call = execution->calls; call != NULL && log_enabled(LOG_DEBUG); call = call->next) {
        const struct log_context *before = log_enter(&call->context);
        log_write(LOG_DEBUG, "statement", LOG_STR("statement", call->statement->name),
                  LOG_REAL("ms", (double)(clock_now_us() - call->submitted_us) / 1e3),
                  LOG_INT("group", execution->count), LOG_INT("backend", execution->backend_pid));
        log_leave(before);
    }
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
        log_failure(db, call, execution, failure->status);
        complete(db, call, failure->status);
    }
    PQclear(execution->result);
}

/* A mistake of ours: it was committed, so that it must not be tried again, and there is no answer in it. */
static void fail_without_rows(struct db *db, struct execution *execution)
{
    log_failure(db, execution->calls, execution, STATUS_INTERNAL);
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
    metrics_add(METRIC_DB_EXECUTING, -1);
    metrics_observe(HISTOGRAM_DB_GROUP, execution->count);
    log_execution(execution);
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

static const struct connection_callbacks CALLBACKS = {on_ready, on_lost, on_executed, on_outdated};

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

/* In whose queue its calls wait. */
static const struct db_statement *waits_with(const struct db *db, const struct db_statement *statement)
{
    const struct db_statement *const *in_turn = db->options.in_turn;
    for (int i = 0; in_turn != NULL && in_turn[i] != NULL; i++) {
        if (in_turn[i] == statement) {
            return in_turn[0];
        }
    }
    return statement;
}

static struct queue *queue_of(struct db *db, const struct db_statement *statement)
{
    statement = waits_with(db, statement);
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
    call->submitted_us = clock_now_us();
    log_get_context(&call->context);
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

bool db_is_outdated(const struct db *db)
{
    return atomic_load(&db->is_outdated);
}
