#include "connection.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "encode.h"
#include "link.h"

/* A link that gets every statement prepared, and then carries executions. Each ends with a sync of its own, so its
 * answer is known to be committed. */

/* A statement ends by statement_timeout, so that a line on which nothing has come for longer is dead. */
enum { PARAMETER_MAX_BYTES = 64 << 20, ANSWER_TIMEOUT_MS = 35 * 1000 };

struct connection {
    struct link link;
    const struct db_options *options;
    const struct connection_callbacks *callbacks;
    void *data;
    struct execution *oldest, **newest; /* under way */
    bool is_ready;
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

/* Settings, the schema's version and all statements, in one go. */
static void on_connected(void *data)
{
    struct connection *connection = data;
    PGconn *postgres = connection->link.postgres;
    bool good = PQenterPipelineMode(postgres) == 1;
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
    if (good && PQpipelineSync(postgres) == 1) {
        link_flush(&connection->link);
    } else {
        link_lose(&connection->link, PQerrorMessage(postgres));
    }
}

/* What was under way is perhaps committed, perhaps not: only a sync says so. */
static void give_back_all(struct connection *connection)
{
    while (connection->oldest != NULL) {
        struct execution *execution = connection->oldest;
        connection->oldest = execution->next;
        PQclear(execution->result);
        execution->result = NULL;
        connection->callbacks->on_executed(connection->data, execution);
    }
    connection->newest = &connection->oldest;
}

static void on_lost(void *data)
{
    struct connection *connection = data;
    bool was_ready = connection->is_ready;
    connection->is_ready = false;
    give_back_all(connection);
    connection->callbacks->on_lost(connection->data, was_ready);
}

/* One result while preparing. */
static void on_prepared(struct connection *connection, PGresult *result)
{
    switch (PQresultStatus(result)) {
    case PGRES_PIPELINE_SYNC:
        connection->is_ready = true;
        link_settle(&connection->link);
        connection->callbacks->on_ready(connection->data);
        break;
    case PGRES_TUPLES_OK:
        if (PQntuples(result) != 1 ||
            strtoll(PQgetvalue(result, 0, 0), NULL, 10) < connection->options->schema_version) {
            connection->callbacks->on_outdated(connection->data);
            link_lose(&connection->link, "the database has an older schema; run scripts/migrate up");
        }
        break;
    case PGRES_COMMAND_OK:
        break;
    default:
        link_lose(&connection->link, PQresultErrorMessage(result));
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
    link_expect(&connection->link, connection->oldest != NULL ? ANSWER_TIMEOUT_MS : 0);
    connection->callbacks->on_executed(connection->data, execution);
}

static void on_input(void *data)
{
    struct connection *connection = data;
    PGconn *postgres = connection->link.postgres;
    while ((!connection->is_ready || connection->oldest != NULL) && !PQisBusy(postgres)) {
        PGresult *result = PQgetResult(postgres);
        if (PQstatus(postgres) == CONNECTION_BAD) {
            PQclear(result);
            return; /* the link sees it too */
        }
        if (result == NULL) {
            continue; /* the end of one statement */
        }
        if (connection->is_ready) {
            on_result(connection, result);
        } else {
            on_prepared(connection, result);
        }
        if (connection->link.postgres != postgres) {
            return; /* lost */
        }
    }
}

static const struct link_callbacks LINK_CALLBACKS = {on_connected, on_input, on_lost};

struct connection *connection_create(struct loop *loop, const struct db_options *options,
                                     const struct connection_callbacks *callbacks, void *data)
{
    struct connection *connection = calloc(1, sizeof *connection);
    if (connection == NULL) {
        return NULL;
    }
    connection->options = options;
    connection->callbacks = callbacks;
    connection->data = data;
    connection->newest = &connection->oldest;
    link_start(&connection->link, loop, options->url, &LINK_CALLBACKS, connection);
    return connection;
}

void connection_destroy(struct connection *connection)
{
    if (connection == NULL) {
        return;
    }
    link_stop(&connection->link);
    connection->is_ready = false;
    give_back_all(connection);
    free(connection);
}

bool connection_is_ready(const struct connection *connection)
{
    return connection->is_ready;
}

bool connection_is_idle(const struct connection *connection)
{
    return connection->is_ready && connection->oldest == NULL;
}

void connection_add_concerns(const struct connection *connection, struct concerns *concerns)
{
    for (const struct execution *execution = connection->oldest; execution != NULL; execution = execution->next) {
        for (const struct db_call *call = execution->calls; call != NULL; call = call->next) {
            concerns_add(concerns, call);
        }
    }
}

bool connection_send(struct connection *connection, struct execution *execution)
{
    assert(connection->is_ready);
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
        if (connection->oldest == NULL) {
            link_expect(&connection->link, ANSWER_TIMEOUT_MS);
        }
        execution->backend_pid = PQbackendPID(connection->link.postgres);
        execution->next = NULL;
        *connection->newest = execution;
        connection->newest = &execution->next;
        is_sent =
            PQsendQueryPrepared(connection->link.postgres, statement->name, count, values, lengths, formats, 1) == 1 &&
            PQpipelineSync(connection->link.postgres) == 1;
    }
    for (int i = 0; i < count; i++) {
        buffer_dispose(&arrays[i]);
    }
    if (is_sent) {
        link_flush(&connection->link);
    } else if (is_encoded) {
        link_lose(&connection->link, PQerrorMessage(connection->link.postgres));
    }
    return is_encoded;
}
