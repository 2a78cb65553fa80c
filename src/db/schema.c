#include <libpq-fe.h>
#include <stdlib.h>
#include <string.h>

#include "advice.h"
#include "db/db.h"
#include "util/log.h"

/* The one blocking use of libpq: before any thread runs. */

static PGconn *open_connection(const char *url)
{
    const char *const names[] = {"dbname", "fallback_application_name", "connect_timeout", NULL};
    const char *const values[] = {url, "stonechat", "5", NULL};
    return PQconnectdbParams(names, values, 1);
}

/* The table of scripts/migrate, by its columns: other programs have one of this name too. What belongs to an extension
 * is nobody's. */
static const char WHOSE[] =
    "SELECT CASE"
    " WHEN ours.id IS NULL THEN CASE WHEN EXISTS (SELECT FROM pg_class c WHERE relnamespace = "
    "current_schema()::regnamespace"
    "   AND relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND NOT EXISTS (SELECT FROM pg_depend d"
    "     WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')) THEN 'another''s' ELSE "
    "'empty' END"
    " WHEN (SELECT count(*) FROM pg_attribute WHERE attrelid = ours.id AND (attname, atttypid::regtype::text) IN"
    "   (('version', 'bigint'), ('name', 'text'), ('applied_at', 'timestamp with time zone'))) = 3 THEN 'ours'"
    " ELSE 'another''s' END FROM (SELECT to_regclass('schema_migrations') AS id) ours";

static bool is_anothers(PGconn *connection)
{
    PGresult *result = PQexec(connection, WHOSE);
    bool is = PQresultStatus(result) == PGRES_TUPLES_OK && strcmp(PQgetvalue(result, 0, 0), "another's") == 0;
    PQclear(result);
    return is;
}

static bool is_missing_table(const PGresult *result)
{
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    return state != NULL && strcmp(state, "42P01") == 0;
}

static enum status check_version(PGconn *connection, int64_t needed)
{
    PGresult *result = PQexec(connection, "SELECT coalesce(max(version), 0) FROM schema_migrations");
    bool is_known = PQresultStatus(result) == PGRES_TUPLES_OK;
    int64_t present = is_known ? strtoll(PQgetvalue(result, 0, 0), NULL, 10) : 0;
    enum status status = STATUS_UNAVAILABLE; /* whoever connects next says why */
    if (is_known && present >= needed) {
        status = STATUS_OK;
    } else if (is_known || is_missing_table(result)) {
        status = STATUS_CONFLICT;
        log_write(LOG_ERROR, "the database has an older schema: run scripts/migrate up", LOG_INT("schema", present),
                  LOG_INT("needed", needed));
    }
    PQclear(result);
    return status;
}

enum status db_check_schema(const char *url, int64_t schema_version)
{
    const char *problem = advice_of_url(url);
    if (problem != NULL) {
        log_write(LOG_ERROR, problem);
        return STATUS_CONFLICT;
    }
    PGconn *connection = open_connection(url);
    enum status status = STATUS_UNAVAILABLE;
    if (PQstatus(connection) == CONNECTION_OK && is_anothers(connection)) {
        status = STATUS_CONFLICT;
        log_write(LOG_ERROR,
                  "the database belongs to another program, and is left alone: name an empty one in DATABASE_URL, and "
                  "run scripts/migrate up",
                  LOG_STR("database", PQdb(connection)));
    } else if (PQstatus(connection) == CONNECTION_OK) {
        status = check_version(connection, schema_version);
    }
    PQfinish(connection);
    return status;
}
