/* PostgreSQL as the rest sees it: statements over arrays, answered after commit.
 *
 * Every statement takes arrays and returns the ordinal of the member as its first column. While a group is on its way
 * to the database, what arrives waits; then all that waits for one statement goes as one execution, whose rows are
 * handed back to their members; on several connections, groups that concern different people go at the same time. So a
 * busy server pays the cost of a statement once a group, and an idle one sends at once. A group that fails is tried
 * again member by member, so that one bad member harms only itself. */
#ifndef STONECHAT_DB_DB_H
#define STONECHAT_DB_DB_H

#include <stdbool.h>
#include <stdint.h>

#include "loop/loop.h"
#include "util/log.h"
#include "util/slice.h"
#include "util/status.h"
#include "util/uuid.h"

enum { DB_PARAMETERS_MAX = 12 };

struct db_statement {
    const char *name; /* its name as a prepared statement */
    /* A letter a parameter: u uuid, t text, i bigint, b boolean, z timestamptz (µs since 1970); U a uuid of somebody or
     * something that keeps its order: calls with an equal one go after each other, whatever their statements, and never
     * at the same time on two connections. */
    const char *parameters;
    const char *sql; /* every $n is an array; the first result column is the member's ordinal, bigint, from 1 */
};

/* One parameter of one member. */
struct db_value {
    bool is_null;
    struct slice text;
    struct uuid uuid;
    int64_t integer; /* also boolean, and time in µs since 1970 */
};

#define DB_NULL ((struct db_value){.is_null = true})
#define DB_UUID(value) ((struct db_value){.uuid = (value)})
#define DB_TEXT(value) ((struct db_value){.text = (value)})
#define DB_INT(value) ((struct db_value){.integer = (value)})

/* The rows of one member; live inside the callback. Columns count from 0, the ordinal not included. */
struct db_rows {
    struct db_result *result; /* shared by the members of the group */
    int first, count;
};
static inline int db_rows_count(const struct db_rows *rows)
{
    return rows->count;
}
bool db_is_null(const struct db_rows *rows, int row, int column);
struct slice db_text(const struct db_rows *rows, int row, int column); /* text, json */
struct uuid db_uuid(const struct db_rows *rows, int row, int column);
int64_t db_integer(const struct db_rows *rows, int row, int column); /* int2, int4, int8, bool */
int64_t db_time_us(const struct db_rows *rows, int row, int column); /* timestamptz, in µs since 1970 */

/* One call of a statement: the caller fills and owns it (usually inside its own operation) until `on_done`. */
struct db_call {
    const struct db_statement *statement;
    struct db_value values[DB_PARAMETERS_MAX]; /* what they point at must stay until `on_done` */

    /* May be NULL. After a successful commit, on the thread of `db`'s loop; in commit order where the order is kept. */
    void (*on_commit)(struct db_call *call, const struct db_rows *rows);
    /* Exactly once, on the thread that called db_submit: STATUS_OK, STATUS_UNAVAILABLE (database away, queue full,
     * waited too long: it may have been committed all the same when a connection broke), or STATUS_INTERNAL (logged
     * here). `rows` is NULL unless STATUS_OK. May free the call. */
    void (*on_done)(struct db_call *call, enum status status, const struct db_rows *rows);

    /* private */
    struct db_call *next;
    struct db *db;
    struct loop *caller;
    struct loop_task task;
    struct db_rows rows;
    struct log_context context; /* of whoever asked */
    enum status status;
    int attempts;
    int64_t submitted_us;
};

/* A few connections that belong to one loop. */
struct db;

struct db_options {
    const char *url;
    int connections;
    int queue_max; /* calls that may wait; further ones get STATUS_UNAVAILABLE */
    /* Prepared on every connection: tables that end with NULL; the list of them ends with NULL. */
    const struct db_statement *const *const *statements;
    /* Of those that wait when a connection is free, the calls of these go in the order in which they came; others in
     * the order of the tables. Ends with NULL; NULL is none. */
    const struct db_statement *const *in_turn;
    int64_t schema_version; /* a connection to another schema is refused */
};

/* Looks, blocking, at the schema that the database has: STATUS_OK, CONFLICT when it is older or another program's, or
 * the address is none (logged, with what to do), or UNAVAILABLE when that cannot be told now. Before any thread runs.
 */
enum status db_check_schema(const char *url, int64_t schema_version);

struct db *db_create(struct loop *loop, const struct db_options *options);
/* Gives every waiting call STATUS_UNAVAILABLE. Nobody may submit from another thread any more; what these have posted
 * before is answered when the loop's tasks run. Before loop_destroy. */
void db_destroy(struct db *db);

/* Queues the call. Any thread; `on_done` comes on the loop that is current here, never inside this function. */
void db_submit(struct db *db, struct loop *caller, struct db_call *call);

/* A statement that was under way when its connection broke may have been committed, and its on_commit has not come:
 * once there is a connection again, `on_doubt` comes on the loop of `db`. Before the loop runs. */
void db_watch_doubt(struct db *db, void (*on_doubt)(void *data), void *data);

/* True while at least one connection is usable. Any thread. */
bool db_is_available(const struct db *db);

/* Was the schema too old when a connection last looked? Any thread. */
bool db_is_outdated(const struct db *db);

#endif
