#include <libpq-fe.h>
#include <stdlib.h>
#include <string.h>

#include "db/db.h"
#include "util/log.h"

/* The one blocking use of libpq: before any thread runs. */

static PGconn *open_connection(const char *url)
{
    const char *const names[] = {"dbname", "fallback_application_name", "connect_timeout", NULL};
    const char *const values[] = {url, "stonechat", "5", NULL};
    return PQconnectdbParams(names, values, 1);
}

static bool is_missing_table(const PGresult *result)
{
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    return state != NULL && strcmp(state, "42P01") == 0;
}

enum status db_check_schema(const char *url, int64_t schema_version)
{
    PGconn *connection = open_connection(url);
    enum status status = STATUS_UNAVAILABLE;
    PGresult *result = NULL;
    if (PQstatus(connection) == CONNECTION_OK) {
        result = PQexec(connection, "SELECT coalesce(max(version), 0) FROM schema_migrations");
        bool is_known = PQresultStatus(result) == PGRES_TUPLES_OK;
        int64_t present = is_known ? strtoll(PQgetvalue(result, 0, 0), NULL, 10) : 0;
        if (is_known && present >= schema_version) {
            status = STATUS_OK;
        } else if (is_known || is_missing_table(result)) {
            status = STATUS_CONFLICT;
            log_write(LOG_ERROR, "the database has an older schema: run scripts/migrate up", LOG_INT("schema", present),
                      LOG_INT("needed", schema_version));
        }
    }
    PQclear(result);
    PQfinish(connection);
    return status;
}
