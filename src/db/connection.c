#include "connection.h"

#include <assert.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "encode.h"
#include "util/log.h"

/* States: waiting (for the pause to end) → connecting → preparing → ready, and back to waiting from anywhere. Only
 * change_state moves between them. Each execution ends with a sync of its own, so its answer is known to be committed.
 */

enum state { WAITING, CONNECTING, PREPARING, READY };

enum { PAUSE_MIN_MS = 100, PAUSE_MAX_MS = 5000, PARAMETER_MAX_BYTES = 64 << 20, CONNECT_TIMEOUT_MS = 10000 };

struct connection {
    struct loop *loop;
    const struct db_options *options;
    const struct connection_callbacks *callbacks;
    void *data;
    enum state state;
    PGconn *postgres;
    struct loop_watch *watch;
    struct timer timer; /* the pause, or the limit on connecting */
    uint64_t pause_ms;
    struct execution *oldest, **newest; /* under way */
    bool has_reported;                  /* why it can't connect: said once an outage */
};

/* Sent before the statements are prepared: one node's plans must not depend on when its statistics were gathered. */
static const char *const SETTINGS[] = {
    "SET plan_cache_mode = force_generic_plan",
    "SET enable_hashjoin = off",
    "SET enable_mergejoin = off",
    "SET jit = off",
    "SET statement_timeout = '30s'",
    "SET lock_timeout = '3s'",
    "SET idle_in_transaction_session_timeout = '30s'",
    "SET TIME ZONE 'UTC'",
    NULL,
};

static void change_state(struct connection *connection, enum state state);
static void on_readable(void *data);

static void lose(struct connection *connection, const char *why)
{
    struct slice text = slice_of(why);
    while (text.length > 0 && text.data[text.length - 1] == '\n') {
        text.length--;
    }
    if (!connection->has_reported) {
        connection->has_reported = true;
        log_write(LOG_ERROR, "database connection lost", LOG_SLICE("reason", text));
    }
    change_state(connection, WAITING);
}

/* While libpq connects it may close its socket and open another one, often with the same number: each step gets a watch
 * of its own. */
static bool watch_socket(struct connection *connection)
{
    int fd = PQsocket(connection->postgres);
    loop_watch_destroy(connection->watch);
    connection->watch = fd < 0 ? NULL : loop_watch_create(connection->loop, fd, on_readable, connection);
    return connection->watch != NULL;
}

/* What the server remarks; libpq itself would print it between the lines of the log. */
static void on_notice(void *data, const PGresult *result)
{
    (void)data;
    log_write(LOG_WARN, "database notice", LOG_STR("severity", PQresultErrorField(result, PG_DIAG_SEVERITY)),
              LOG_STR("notice", PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY)));
}

static void flush(void *data)
{
    struct connection *connection = data;
    int result = PQflush(connection->postgres);
    if (result < 0) {
        lose(connection, PQerrorMessage(connection->postgres));
    } else if (result > 0) {
        loop_watch_writable(connection->watch, flush);
    }
}

/* Settings, the schema's version and all statements, in one go. */
static void prepare(struct connection *connection)
{
    PGconn *postgres = connection->postgres;
    bool good = PQsetnonblocking(postgres, 1) == 0 && PQenterPipelineMode(postgres) == 1;
    for (int i = 0; good && SETTINGS[i] != NULL; i++) {
        good = PQsendQueryParams(postgres, SETTINGS[i], 0, NULL, NULL, NULL, NULL, 0) == 1;
    }
    good = good && PQsendQueryParams(postgres, "SELECT max(version)::bigint FROM schema_migrations", 0, NULL, NULL,
                                     NULL, NULL, 0) == 1;
    const struct db_statement *const *const *table = connection->options->statements;
    for (; good && *table != NULL; table++) {
        for (const struct db_statement *const *row = *table; good && *row != NULL; row++) {
            good = PQsendPrepare(postgres, (*row)->name, (*row)->sql, 0, NULL) == 1;
        }
    }
    if (!good || PQpipelineSync(postgres) != 1) {
        lose(connection, PQerrorMessage(postgres));
        return;
    }
    flush(connection);
}

static void on_writable(void *data);

static void continue_connecting(struct connection *connection)
{
    switch (PQconnectPoll(connection->postgres)) {
    case PGRES_POLLING_OK:
        if (watch_socket(connection)) {
            change_state(connection, PREPARING);
        } else {
            lose(connection, "no file descriptor is free");
        }
        return;
    case PGRES_POLLING_FAILED:
        lose(connection, PQerrorMessage(connection->postgres));
        return;
    case PGRES_POLLING_WRITING:
        if (watch_socket(connection)) {
            loop_watch_writable(connection->watch, on_writable);
        }
        return;
    default:
        watch_socket(connection);
        return;
    }
}

static void on_writable(void *data)
{
    struct connection *connection = data;
    if (connection->state == CONNECTING) {
        continue_connecting(connection);
    } else {
        flush(connection);
    }
}

static void connect_start(struct connection *connection)
{
    const char *const names[] = {"dbname", "fallback_application_name", "keepalives_idle", "tcp_user_timeout", NULL};
    const char *const values[] = {connection->options->url, "stonechat", "20", "20000", NULL};
    connection->postgres = PQconnectStartParams(names, values, 1);
    if (connection->postgres == NULL || PQstatus(connection->postgres) == CONNECTION_BAD) {
        lose(connection, connection->postgres == NULL ? "out of memory" : PQerrorMessage(connection->postgres));
        return;
    }
    PQsetNoticeReceiver(connection->postgres, on_notice, NULL);
    loop_timer_start(connection->loop, &connection->timer, CONNECT_TIMEOUT_MS);
    if (watch_socket(connection)) {
        loop_watch_writable(connection->watch, on_writable);
    }
}

static void disconnect(struct connection *connection)
{
    loop_watch_destroy(connection->watch);
    connection->watch = NULL;
    PQfinish(connection->postgres);
    connection->postgres = NULL;
    loop_timer_stop(connection->loop, &connection->timer);
    while (connection->oldest != NULL) {
        struct execution *execution = connection->oldest;
        connection->oldest = execution->next;
        PQclear(execution->result); /* perhaps committed, perhaps not: only a sync says so */
        execution->result = NULL;
        connection->callbacks->on_executed(connection->data, execution);
    }
    connection->newest = &connection->oldest;
}

static void change_state(struct connection *connection, enum state state)
{
    enum state old = connection->state;
    assert(state == WAITING || state == old + 1);
    connection->state = state;
    switch (state) {
    case WAITING:
        disconnect(connection);
        loop_timer_start(connection->loop, &connection->timer, connection->pause_ms);
        connection->pause_ms = connection->pause_ms * 2 < PAUSE_MAX_MS ? connection->pause_ms * 2 : PAUSE_MAX_MS;
        connection->callbacks->on_lost(connection->data, old == READY);
        break;
    case CONNECTING:
        connect_start(connection);
        break;
    case PREPARING:
        prepare(connection);
        break;
    case READY:
        loop_timer_stop(connection->loop, &connection->timer);
        connection->pause_ms = PAUSE_MIN_MS;
        connection->has_reported = false;
        connection->callbacks->on_ready(connection->data);
        break;
    }
}

static void on_timer(struct timer *timer)
{
    struct connection *connection = (struct connection *)((char *)timer - offsetof(struct connection, timer));
    if (connection->state == WAITING) {
        change_state(connection, CONNECTING);
    } else {
        lose(connection, "connecting took too long");
    }
}

/* One result while preparing. */
static void on_prepared(struct connection *connection, PGresult *result)
{
    switch (PQresultStatus(result)) {
    case PGRES_PIPELINE_SYNC:
        change_state(connection, READY);
        break;
    case PGRES_TUPLES_OK:
        if (PQntuples(result) != 1 ||
            strtoll(PQgetvalue(result, 0, 0), NULL, 10) < connection->options->schema_version) {
            lose(connection, "the database has an older schema; run scripts/migrate up");
        }
        break;
    case PGRES_COMMAND_OK:
        break;
    default:
        lose(connection, PQresultErrorMessage(result));
        break;
    }
    PQclear(result);
}

/* One result of the oldest execution: its rows or its error, and then the sync. */
static void on_result(struct connection *connection, PGresult *result)
{
    struct execution *execution = connection->oldest;
    if (PQresultStatus(result) != PGRES_PIPELINE_SYNC) {
        PQclear(execution->result);
        execution->result = result;
        return;
    }
    PQclear(result);
    connection->oldest = execution->next;
    if (connection->oldest == NULL) {
        connection->newest = &connection->oldest;
    }
    connection->callbacks->on_executed(connection->data, execution);
}

static void on_readable(void *data)
{
    struct connection *connection = data;
    if (connection->state == CONNECTING) {
        continue_connecting(connection);
        return;
    }
    if (PQconsumeInput(connection->postgres) == 0) {
        lose(connection, PQerrorMessage(connection->postgres));
        return;
    }
    while ((connection->state == PREPARING || connection->oldest != NULL) && !PQisBusy(connection->postgres)) {
        PGresult *result = PQgetResult(connection->postgres);
        if (PQstatus(connection->postgres) == CONNECTION_BAD) {
            PQclear(result);
            lose(connection, PQerrorMessage(connection->postgres));
            return;
        }
        if (result == NULL) {
            continue; /* the end of one statement */
        }
        if (connection->state == PREPARING) {
            on_prepared(connection, result);
        } else {
            on_result(connection, result);
        }
        if (connection->state == WAITING) {
            return;
        }
    }
    if (connection->state == READY && PQstatus(connection->postgres) == CONNECTION_BAD) {
        lose(connection, PQerrorMessage(connection->postgres));
    }
}

struct connection *connection_create(struct loop *loop, const struct db_options *options,
                                     const struct connection_callbacks *callbacks, void *data)
{
    struct connection *connection = calloc(1, sizeof *connection);
    if (connection == NULL) {
        return NULL;
    }
    connection->loop = loop;
    connection->options = options;
    connection->callbacks = callbacks;
    connection->data = data;
    connection->timer.on_fire = on_timer;
    connection->pause_ms = PAUSE_MIN_MS;
    connection->newest = &connection->oldest;
    loop_timer_start(loop, &connection->timer, 0);
    return connection;
}

void connection_destroy(struct connection *connection)
{
    if (connection == NULL) {
        return;
    }
    disconnect(connection);
    free(connection);
}

bool connection_is_ready(const struct connection *connection)
{
    return connection->state == READY;
}

bool connection_is_idle(const struct connection *connection)
{
    return connection->state == READY && connection->oldest == NULL;
}

bool connection_send(struct connection *connection, struct execution *execution)
{
    assert(connection->state == READY);
    const struct db_statement *statement = execution->statement;
    int count = (int)strlen(statement->parameters);
    struct buffer arrays[DB_PARAMETERS_MAX];
    const char *values[DB_PARAMETERS_MAX];
    int lengths[DB_PARAMETERS_MAX], formats[DB_PARAMETERS_MAX];
    bool is_encoded = true, is_sent = false;
    for (int i = 0; i < count; i++) {
        arrays[i] = buffer_init(PARAMETER_MAX_BYTES);
        encode_array(&arrays[i], statement->parameters[i], execution->calls, execution->count, i);
        is_encoded = is_encoded && !arrays[i].failed;
        values[i] = arrays[i].data;
        lengths[i] = (int)arrays[i].length;
        formats[i] = 1;
    }
    if (is_encoded) {
        execution->next = NULL;
        *connection->newest = execution;
        connection->newest = &execution->next;
        is_sent = PQsendQueryPrepared(connection->postgres, statement->name, count, values, lengths, formats, 1) == 1 &&
                  PQpipelineSync(connection->postgres) == 1;
    }
    for (int i = 0; i < count; i++) {
        buffer_dispose(&arrays[i]);
    }
    if (is_sent) {
        flush(connection);
    } else if (is_encoded) {
        lose(connection, PQerrorMessage(connection->postgres));
    }
    return is_encoded;
}
