/* The database layer against a real PostgreSQL: groups, their rows, what fails and whom it harms, and what becomes of
 * calls when connections break. Skipped where STONECHAT_TEST_DATABASE_URL does not name one. */
#include "db/db.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <libpq-fe.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "util/log.h"

/* --- the statements --- */

static const struct db_statement ECHO = {"t_echo", "utibz",
                                         "SELECT q.ord, q.u, q.t, q.i, q.b, q.z, q.i::integer, q.i::smallint "
                                         "FROM unnest($1::uuid[], $2::text[], $3::bigint[], $4::boolean[], "
                                         "$5::timestamptz[]) WITH ORDINALITY q (u, t, i, b, z, ord) "
                                         "ORDER BY q.ord DESC"};
static const struct db_statement GROUP = {
    "t_group", "i", "SELECT q.ord, count(*) OVER (), q.i FROM unnest($1::bigint[]) WITH ORDINALITY q (i, ord)"};
static const struct db_statement ROWS = {"t_rows", "i",
                                         "SELECT q.ord, n FROM unnest($1::bigint[]) WITH ORDINALITY q (i, ord), "
                                         "generate_series(1, q.i) n ORDER BY n, q.ord"};
static const struct db_statement DIVIDE = {
    "t_divide", "i", "SELECT q.ord, 100 / q.i FROM unnest($1::bigint[]) WITH ORDINALITY q (i, ord)"};
static const struct db_statement INSERT = {
    "t_insert", "i",
    "WITH q AS (SELECT * FROM unnest($1::bigint[]) WITH ORDINALITY q (i, ord)), "
    "w AS (INSERT INTO test_db_rows (i) SELECT q.i FROM q ORDER BY q.ord) SELECT q.ord FROM q"};
static const struct db_statement INSERT_TOO = {
    "t_insert_too", "i",
    "WITH q AS (SELECT * FROM unnest($1::bigint[]) WITH ORDINALITY q (i, ord)), "
    "w AS (INSERT INTO test_db_rows (i) SELECT q.i FROM q ORDER BY q.ord) SELECT q.ord FROM q"};
static const struct db_statement DEFERRED = {
    "t_deferred", "i",
    "WITH q AS (SELECT * FROM unnest($1::bigint[]) WITH ORDINALITY q (i, ord)), "
    "w AS (INSERT INTO test_db_deferred (i) SELECT q.i FROM q) SELECT q.ord FROM q"};
static const struct db_statement ADD_MISSING = {
    "t_add_missing", "i",
    "WITH q AS (SELECT q.*, EXISTS (SELECT FROM test_db_unique u WHERE u.i = q.i) AS is_there "
    "FROM unnest($1::bigint[]) WITH ORDINALITY q (i, ord)), "
    "w AS (INSERT INTO test_db_unique (i) SELECT q.i FROM q WHERE NOT q.is_there) SELECT q.ord, q.is_there FROM q"};
static const struct db_statement LOCK_PAIR = {
    "t_lock_pair", "i", "SELECT q.ord FROM unnest($1::bigint[]) WITH ORDINALITY q (i, ord), test_db_lock_pair() l"};
static const struct db_statement SLEEP = {
    "t_sleep", "i", "SELECT q.ord, pg_sleep(q.i)::text FROM unnest($1::bigint[]) WITH ORDINALITY q (i, ord)"};
static const struct db_statement COUNT_UP = {
    "t_count_up", "iU",
    "WITH q AS (SELECT * FROM unnest($1::bigint[], $2::uuid[]) WITH ORDINALITY q (i, who, ord)),"
    " w AS (UPDATE test_db_pair p SET n = p.n + 1 FROM q WHERE p.i = q.i) SELECT q.ord FROM q"};
static const struct db_statement NO_ROWS = {"t_no_rows", "i",
                                            "INSERT INTO test_db_rows (i) SELECT unnest($1::bigint[])"};
static const struct db_statement *const TABLE[] = {&ECHO,       &GROUP,    &ROWS,        &DIVIDE,    &INSERT,
                                                   &INSERT_TOO, &DEFERRED, &ADD_MISSING, &LOCK_PAIR, &SLEEP,
                                                   &COUNT_UP,   &NO_ROWS,  NULL};
static const struct db_statement *const *const STATEMENTS[] = {TABLE, NULL};
static const struct db_statement *const IN_TURN[] = {&INSERT_TOO, &INSERT, NULL};

static const char TABLES[] =
    "DROP TABLE IF EXISTS test_db_rows, test_db_deferred, test_db_unique, test_db_pair;"
    "CREATE TABLE test_db_rows (n bigserial, i bigint);"
    "CREATE TABLE test_db_deferred (i bigint UNIQUE DEFERRABLE INITIALLY DEFERRED);"
    "CREATE TABLE test_db_unique (i bigint UNIQUE);"
    "CREATE TABLE test_db_pair (i bigint PRIMARY KEY, n bigint NOT NULL);"
    "INSERT INTO test_db_pair VALUES (1, 0), (2, 0);"
    "CREATE OR REPLACE FUNCTION test_db_lock_pair() RETURNS void LANGUAGE plpgsql AS $$"
    "BEGIN UPDATE test_db_pair SET n = n + 1 WHERE i = 1; UPDATE test_db_pair SET n = n + 1 WHERE i = 2; END $$;";

/* --- the other session --- */

static const char *url;
static PGconn *other;

static void sql(const char *text)
{
    PGresult *result = PQexec(other, text);
    ExecStatusType status = PQresultStatus(result);
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) {
        fail_msg("%s: %s", text, PQresultErrorMessage(result));
    }
    PQclear(result);
}

static int64_t number(const char *text)
{
    PGresult *result = PQexec(other, text);
    int64_t value = strtoll(PQgetvalue(result, 0, 0), NULL, 10);
    PQclear(result);
    return value;
}

/* --- a run: a loop and a db, and calls that are counted when they are done --- */

enum { CALLS = 400 };

struct call {
    struct db_call call; /* first: a db_call is its call */
    int dones, commits;
    enum status status;
    int64_t answer;
    int rows, place, commit_place;
    bool committed_before;
};

static struct loop *loop;
static struct db *db;
static struct call calls[CALLS];
static int awaited, done_count, commit_count;
static void (*on_available)(void), (*on_last)(void);
static struct timer ticker;
static struct loop *submitter; /* NULL: the db's own loop */

static void on_commit(struct db_call *call, const struct db_rows *rows)
{
    struct call *self = (struct call *)call;
    self->commits++;
    self->commit_place = commit_count++;
    assert_true(db_rows_count(rows) >= 0);
}

static void on_done(struct db_call *call, enum status status, const struct db_rows *rows)
{
    struct call *self = (struct call *)call;
    self->dones++;
    self->status = status;
    self->place = done_count++;
    self->committed_before = self->commits == 1;
    assert_int_equal(rows != NULL, status == STATUS_OK);
    self->rows = rows != NULL ? db_rows_count(rows) : -1;
    if (self->rows > 0 && call->statement != &ECHO && call->statement != &INSERT && call->statement != &INSERT_TOO &&
        call->statement != &LOCK_PAIR && call->statement != &DEFERRED && call->statement != &SLEEP &&
        call->statement != &COUNT_UP) {
        self->answer = db_integer(rows, 0, 0);
    }
    if (--awaited == 0) {
        if (on_last != NULL) {
            void (*next)(void) = on_last;
            on_last = NULL;
            next();
        } else {
            loop_stop(loop);
        }
    }
}

static void submit(int index, const struct db_statement *statement, int64_t value)
{
    struct call *call = &calls[index];
    *call = (struct call){.call = {.statement = statement, .on_commit = on_commit, .on_done = on_done}};
    call->call.values[0] = DB_INT(value);
    db_submit(db, submitter != NULL ? submitter : loop, &call->call);
    assert_int_equal(call->dones, 0);
}

static void on_tick(struct timer *timer)
{
    if (on_available != NULL && db_is_available(db)) {
        void (*start)(void) = on_available;
        on_available = NULL;
        start();
    }
    loop_timer_start(loop, timer, 2);
}

static void create_db(int connections, int queue_max, int64_t schema_version, const char *address)
{
    struct db_options options = {.url = address,
                                 .connections = connections,
                                 .queue_max = queue_max,
                                 .statements = STATEMENTS,
                                 .in_turn = IN_TURN,
                                 .schema_version = schema_version};
    loop = loop_create();
    db = db_create(loop, &options);
    assert_non_null(db);
    ticker.on_fire = on_tick;
    loop_timer_start(loop, &ticker, 0);
    done_count = commit_count = 0;
    memset(calls, 0, sizeof calls);
}

static void destroy_db(void)
{
    db_destroy(db);
    loop_timer_stop(loop, &ticker);
    loop_destroy(loop);
}

/* Runs `start` once a connection is there, until `count` calls are done. */
static void run_on(int connections, int queue_max, void (*start)(void), int count)
{
    create_db(connections, queue_max, 1, url);
    on_available = start;
    awaited = count;
    loop_run(loop);
    destroy_db();
}

static int connect_other(void **state)
{
    (void)state;
    url = getenv("STONECHAT_TEST_DATABASE_URL");
    if (url == NULL) {
        return 0;
    }
    log_configure(LOG_ERROR + 1, LOG_JSON); /* failures are meant here */
    other = PQconnectdb(url);
    if (PQstatus(other) != CONNECTION_OK) {
        return -1;
    }
    sql("SET client_min_messages = error");
    sql("SET deadlock_timeout = '60s'"); /* the victim is never this one */
    return 0;
}

static int disconnect_other(void **state)
{
    (void)state;
    PQfinish(other);
    return 0;
}

static int set_up(void **state)
{
    (void)state;
    on_last = NULL;
    submitter = NULL;
    if (url != NULL) {
        sql("ROLLBACK"); /* what a test that failed had begun */
        sql(TABLES);
    }
    return 0;
}

#define NEEDS_POSTGRES()                                                                                               \
    if (url == NULL) {                                                                                                 \
        skip();                                                                                                        \
    }

/* --- values --- */

static int echoes;

static void on_echo(struct db_call *call, enum status status, const struct db_rows *rows)
{
    int i = (int)(((struct call *)call) - calls);
    echoes++;
    assert_int_equal(status, STATUS_OK);
    assert_int_equal(db_rows_count(rows), 1);
    const struct db_value *values = call->values;
    for (int column = 0; column < 5; column++) {
        assert_int_equal(db_is_null(rows, 0, column), values[column].is_null);
    }
    if (!values[0].is_null) {
        assert_true(uuid_equals(db_uuid(rows, 0, 0), values[0].uuid));
        assert_true(slice_equals(db_text(rows, 0, 1), values[1].text));
        assert_int_equal(db_integer(rows, 0, 2), values[2].integer);
        assert_int_equal(db_integer(rows, 0, 3), values[3].integer);
        assert_int_equal(db_time_us(rows, 0, 4), values[4].integer);
        assert_int_equal(db_integer(rows, 0, 5), values[2].integer);
        assert_int_equal(db_integer(rows, 0, 6), values[2].integer);
    } else {
        assert_true(uuid_is_nil(db_uuid(rows, 0, 0)));
        assert_int_equal(db_text(rows, 0, 1).length, 0);
    }
    if (i == CALLS - 1) {
        loop_stop(loop);
    }
}

static void start_echoes(void)
{
    static const struct slice texts[] = {{"", 0}, {"plain", 5}, {"z\xc3\xbc\xf0\x9f\x98\x80", 7}, {"\"{},NULL\\", 9}};
    for (int i = 0; i < CALLS; i++) {
        struct db_call *call = &calls[i].call;
        *call = (struct db_call){.statement = &ECHO, .on_done = on_echo};
        for (int j = 0; j < 5; j++) {
            call->values[j] = DB_NULL;
        }
        if (i % 5 != 4) {
            call->values[0] = DB_UUID(uuid_generate());
            call->values[1] = DB_TEXT(texts[i % 4]);
            call->values[2] = DB_INT(i % 2 == 0 ? -i : i);
            call->values[3] = DB_INT(i % 3 == 0);
            call->values[4] = DB_INT((int64_t)(i - 200) * 86400000001);
        }
        db_submit(db, loop, call);
    }
}

static void test_every_type(void **state)
{
    (void)state;
    NEEDS_POSTGRES();
    run_on(1, 1000, start_echoes, CALLS);
    assert_int_equal(echoes, CALLS);
}

static void start_rows(void)
{
    for (int i = 0; i < 50; i++) {
        submit(i, &ROWS, i % 7);
    }
}

/* The rows of the members come mixed, and each member gets its own. */
static void test_rows_of_each_member(void **state)
{
    (void)state;
    NEEDS_POSTGRES();
    run_on(2, 1000, start_rows, 50);
    for (int i = 0; i < 50; i++) {
        assert_int_equal(calls[i].status, STATUS_OK);
        assert_int_equal(calls[i].rows, i % 7);
    }
}

/* --- groups --- */

static void start_group(void)
{
    for (int i = 0; i < 200; i++) {
        submit(i, &GROUP, i);
    }
}

/* What waits goes together, up to 64 at a time, and is answered in order; commits are told first. */
static void test_groups(void **state)
{
    (void)state;
    NEEDS_POSTGRES();
    run_on(1, 1000, start_group, 200);
    for (int i = 0; i < 200; i++) {
        assert_int_equal(calls[i].status, STATUS_OK);
        assert_int_equal(calls[i].answer, i < 192 ? 64 : 8);
        assert_int_equal(calls[i].place, i);
        assert_int_equal(calls[i].commit_place, i);
        assert_true(calls[i].committed_before);
    }
}

static void start_inserts(void)
{
    for (int i = 0; i < 150; i++) {
        submit(i, &INSERT, i);
    }
}

static void count_inserts(void)
{
    assert_int_equal(number("SELECT count(*) FROM test_db_rows"), 150); /* so it was committed */
    loop_stop(loop);
}

static void test_answer_after_commit(void **state)
{
    (void)state;
    NEEDS_POSTGRES();
    on_last = count_inserts;
    run_on(1, 1000, start_inserts, 150);
    assert_int_equal(
        number("SELECT count(*) FROM (SELECT i - lag(i) OVER (ORDER BY n) AS d FROM test_db_rows) t WHERE d <> 1"), 0);
}

/* Runs of both statements, of all lengths; three turns' worth. */
static void start_in_turn(void)
{
    for (int i = 0; i < 190; i++) {
        submit(i, (i & (i >> 3)) % 2 == 0 ? &INSERT : &INSERT_TOO, i);
    }
}

static void test_some_go_in_turn(void **state)
{
    (void)state;
    NEEDS_POSTGRES();
    run_on(1, 1000, start_in_turn, 190);
    for (int i = 0; i < 190; i++) {
        assert_int_equal(calls[i].place, i);
        assert_int_equal(calls[i].commit_place, i);
    }
    assert_int_equal(number("SELECT count(*) FROM (SELECT i, row_number() OVER (ORDER BY n) - 1 AS place"
                            " FROM test_db_rows) t WHERE i = place"),
                     190);
}

static const struct uuid ALICE = {{1}}, BOB = {{[15] = 2}};

static void submit_for(int index, int64_t row, struct uuid whom)
{
    struct call *call = &calls[index];
    *call = (struct call){.call = {.statement = &COUNT_UP, .on_commit = on_commit, .on_done = on_done}};
    call->call.values[0] = DB_INT(row);
    call->call.values[1] = DB_UUID(whom);
    db_submit(db, loop, &call->call);
}

static void release_alice(void)
{
    assert_int_equal(calls[2].dones, 1);
    sql("ROLLBACK");
    awaited = 2;
}

static void submit_the_others(void)
{
    submit_for(1, 2, ALICE);
    submit_for(2, 2, BOB);
}

/* Alice's first call waits for a row. */
static void start_for_two(void)
{
    sql("BEGIN; UPDATE test_db_pair SET n = n + 1 WHERE i = 1");
    submit_for(0, 1, ALICE);
    on_available = submit_the_others; /* in another turn */
    on_last = release_alice;
}

/* The second connection is for others: what Alice asked later does not overtake. */
static void test_order_is_kept_on_two_connections(void **state)
{
    (void)state;
    NEEDS_POSTGRES();
    run_on(2, 1000, start_for_two, 1);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(calls[i].status, STATUS_OK);
        assert_int_equal(calls[i].place, (i + 1) % 3);
    }
}

static void start_for_many(void)
{
    for (int i = 0; i < 200; i++) {
        submit_for(i, i % 7 == 3 ? 3 : 2, i % 3 == 0 ? ALICE : BOB); /* row 3 cannot be counted up */
    }
}

/* Groups fail, and their members go one at a time, on both connections. */
static void test_order_is_kept_when_groups_fail(void **state)
{
    (void)state;
    NEEDS_POSTGRES();
    sql("INSERT INTO test_db_pair VALUES (3, 9223372036854775807)");
    run_on(2, 1000, start_for_many, 200);
    for (int i = 0, last[2] = {-1, -1}; i < 200; i++) {
        int *before = &last[i % 3 == 0];
        assert_int_equal(calls[i].status, i % 7 == 3 ? STATUS_INTERNAL : STATUS_OK);
        assert_true(calls[i].place > *before);
        *before = calls[i].place;
    }
}

static void start_division(void)
{
    for (int i = 0; i < 20; i++) {
        submit(i, &DIVIDE, i - 10);
    }
}

static void test_a_bad_member_harms_only_itself(void **state)
{
    (void)state;
    NEEDS_POSTGRES();
    run_on(2, 1000, start_division, 20);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(calls[i].dones, 1);
        assert_int_equal(calls[i].status, i == 10 ? STATUS_INTERNAL : STATUS_OK);
        assert_int_equal(calls[i].commits, i == 10 ? 0 : 1);
        assert_int_equal(calls[i].answer, i == 10 ? 0 : 100 / (i - 10));
    }
}

static void start_deferred(void)
{
    for (int i = 0; i < 4; i++) {
        submit(i, &DEFERRED, i == 3 ? 0 : i);
    }
}

/* Rows were returned, and only then did the commit fail: nobody is told that all is well. */
static void test_a_commit_that_fails(void **state)
{
    (void)state;
    NEEDS_POSTGRES();
    run_on(1, 1000, start_deferred, 4);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(calls[i].status, i == 3 ? STATUS_INTERNAL : STATUS_OK);
        assert_int_equal(calls[i].commits, i == 3 ? 0 : 1);
    }
    assert_int_equal(number("SELECT count(*) FROM test_db_deferred"), 3);
}

static void start_without_rows(void)
{
    submit(0, &NO_ROWS, 1);
    submit(1, &NO_ROWS, 2);
}

/* Our own mistake, a statement that returns nothing: it was committed, and must not be repeated. */
static void test_a_statement_without_rows(void **state)
{
    (void)state;
    NEEDS_POSTGRES();
    run_on(1, 1000, start_without_rows, 2);
    assert_int_equal(calls[0].status, STATUS_INTERNAL);
    assert_int_equal(number("SELECT count(*) FROM test_db_rows"), 2);
}

/* --- other transactions --- */

/* Until a statement with this text is seen in that state. */
static void wait_for_session(const char *text, const char *state)
{
    char query[500];
    snprintf(query, sizeof query,
             "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%%%s%%' AND pid <> pg_backend_pid() AND %s", text,
             state);
    do {
        number("SELECT 1 FROM pg_stat_clear_snapshot()");
    } while (number(query) == 0);
}

static void *finish_deadlock(void *data)
{
    (void)data;
    wait_for_session("test_db_lock_pair", "wait_event_type = 'Lock'");
    PGresult *result = PQexec(other, "UPDATE test_db_pair SET n = n + 1 WHERE i = 1; COMMIT");
    bool good = PQresultStatus(result) == PGRES_COMMAND_OK;
    PQclear(result);
    return good ? data : NULL;
}

static pthread_t helper;

static void start_deadlock(void)
{
    sql("BEGIN; UPDATE test_db_pair SET n = n + 1 WHERE i = 2");
    submit(0, &LOCK_PAIR, 0);
    pthread_create(&helper, NULL, finish_deadlock, calls);
}

/* The server undoes ours for the other's sake; it is tried again, and nobody hears of it. */
static void test_deadlock(void **state)
{
    (void)state;
    NEEDS_POSTGRES();
    void *outcome;
    run_on(1, 1000, start_deadlock, 1);
    pthread_join(helper, &outcome);
    assert_non_null(outcome);
    assert_int_equal(calls[0].status, STATUS_OK);
    assert_int_equal(number("SELECT sum(n) FROM test_db_pair"), 4);
}

static void *finish_insert(void *data)
{
    wait_for_session("test_db_unique", "wait_event_type = 'Lock'");
    PQclear(PQexec(other, "COMMIT"));
    return data;
}

static void start_duplicate(void)
{
    sql("BEGIN; INSERT INTO test_db_unique VALUES (7)");
    submit(0, &ADD_MISSING, 7);
    pthread_create(&helper, NULL, finish_insert, calls);
}

/* Somebody else writes the same at the same time: the second look finds it. */
static void test_the_same_at_the_same_time(void **state)
{
    (void)state;
    NEEDS_POSTGRES();
    run_on(1, 1000, start_duplicate, 1);
    pthread_join(helper, NULL);
    assert_int_equal(calls[0].status, STATUS_OK);
    assert_int_equal(calls[0].answer, 1);
}

/* --- connections that break --- */

static void after_recovery(void)
{
    on_last = NULL;
    awaited = 1;
    submit(1, &GROUP, 1);
}

static void wait_for_recovery(void)
{
    assert_int_equal(calls[0].status, STATUS_UNAVAILABLE);
    on_available = after_recovery;
}

static void *terminate_others(void *data)
{
    wait_for_session("pg_sleep", "state = 'active'");
    number("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'stonechat'");
    return data;
}

static void start_sleep(void)
{
    on_last = wait_for_recovery;
    submit(0, &SLEEP, 20);
    pthread_create(&helper, NULL, terminate_others, calls);
}

static void test_lost_connection_and_recovery(void **state)
{
    (void)state;
    NEEDS_POSTGRES();
    run_on(1, 1000, start_sleep, 1);
    pthread_join(helper, NULL);
    assert_int_equal(calls[0].dones, 1);
    assert_int_equal(calls[1].status, STATUS_OK);
}

static void stop_soon(struct timer *timer)
{
    (void)timer;
    loop_stop(loop);
}

static void start_short_sleep(void)
{
    submit(0, &SLEEP, 1);
}

/* libpq goes through its list of hosts twice here, and gets the same descriptor for the second socket: who went on
 * watching the first would never sleep again. */
static void test_another_host(void **state)
{
    (void)state;
    NEEDS_POSTGRES();
    static char hosts[1000];
    snprintf(hosts, sizeof hosts, "%s%ctarget_session_attrs=prefer-standby", url, strchr(url, '?') != NULL ? '&' : '?');
    const char *plain = url;
    url = hosts;
    clock_t before = clock();
    run_on(1, 1000, start_short_sleep, 1);
    url = plain;
    assert_int_equal(calls[0].status, STATUS_OK);
    assert_in_range((clock() - before) * 1000 / CLOCKS_PER_SEC, 0, 600); /* of a second */
}

/* Nothing is asked of a database that is away or has another schema: the answer is there at once. */
static void refuse_all(int64_t schema_version, const char *address)
{
    struct timer soon = {.on_fire = stop_soon};
    create_db(1, 1000, schema_version, address);
    loop_timer_start(loop, &soon, 400);
    loop_run(loop);
    assert_false(db_is_available(db));
    destroy_db();
    create_db(1, 1000, schema_version, address);
    awaited = 2;
    submit(0, &GROUP, 1);
    submit(1, &GROUP, 1);
    loop_run(loop);
    assert_int_equal(calls[0].status, STATUS_UNAVAILABLE);
    assert_int_equal(calls[1].status, STATUS_UNAVAILABLE);
    assert_int_equal(calls[1].place, 1);
    destroy_db();
}

static void test_no_database(void **state)
{
    (void)state;
    refuse_all(1, "host=/nowhere dbname=none");
}

static void test_older_schema(void **state)
{
    (void)state;
    NEEDS_POSTGRES();
    refuse_all(1000000, url);
}

/* --- caps and ends --- */

static void start_too_many(void)
{
    for (int i = 0; i < 20; i++) {
        submit(i, &GROUP, i);
    }
}

static void test_full_queue(void **state)
{
    (void)state;
    NEEDS_POSTGRES();
    run_on(1, 5, start_too_many, 20);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(calls[i].status, i < 5 ? STATUS_OK : STATUS_UNAVAILABLE);
        assert_int_equal(calls[i].dones, 1);
    }
}

static char *long_text;
enum { LONG_TEXT = 20 << 20 };

static void start_long_texts(void)
{
    for (int i = 0; i < 6; i++) {
        submit(i, &ECHO, 0);
        calls[i].call.values[1] = DB_TEXT(((struct slice){long_text, i == 4 ? 5 * LONG_TEXT : LONG_TEXT}));
    }
    awaited = 7;
    submit(6, &GROUP, 0);
}

/* More than fits one message to the server: smaller groups then; what fits nowhere fails alone. */
static void test_long_values(void **state)
{
    (void)state;
    NEEDS_POSTGRES();
    long_text = malloc(5 * (size_t)LONG_TEXT);
    memset(long_text, 'x', 5 * (size_t)LONG_TEXT);
    run_on(1, 1000, start_long_texts, 7);
    for (int i = 0; i < 7; i++) {
        assert_int_equal(calls[i].status, i == 4 ? STATUS_INTERNAL : STATUS_OK);
    }
    free(long_text);
}

static int resubmitted;

static void on_done_again(struct db_call *call, enum status status, const struct db_rows *rows)
{
    (void)rows;
    assert_int_equal(status, STATUS_UNAVAILABLE);
    if (++resubmitted < 5) {
        db_submit(db, loop, call);
    }
}

static void submit_endless(int index, const struct db_statement *statement)
{
    submit(index, statement, 30);
    calls[index].call.on_done = on_done_again;
}

static void wait_and_stop(void)
{
    submit_endless(1, &GROUP);
    submit_endless(2, &GROUP);
    loop_stop(loop);
}

/* When the next tick comes, the only connection is taken. */
static void take_the_connection(void)
{
    submit_endless(0, &SLEEP);
    on_available = wait_and_stop;
}

/* What is under way or waits at the end is answered, and whoever asks again then is answered too. */
static void test_destroy_with_calls(void **state)
{
    (void)state;
    NEEDS_POSTGRES();
    run_on(1, 1000, take_the_connection, 0);
    assert_in_range(resubmitted, 3, 10);
}

/* --- another thread --- */

static int foreign_done;

static void on_foreign_done(struct db_call *call, enum status status, const struct db_rows *rows)
{
    struct call *self = (struct call *)call;
    self->status = loop_is_current(submitter) ? status : STATUS_INTERNAL;
    self->answer = rows != NULL ? db_integer(rows, 0, 1) : -1;
    self->place = foreign_done;
    if (++foreign_done == CALLS) {
        loop_stop(submitter);
        loop_stop(loop);
    }
}

static void submit_foreign(struct loop_task *task)
{
    (void)task;
    for (int i = 0; i < CALLS; i++) {
        calls[i] = (struct call){.call = {.statement = &GROUP, .on_commit = on_commit, .on_done = on_foreign_done}};
        calls[i].call.values[0] = DB_INT(i);
        db_submit(db, submitter, &calls[i].call);
    }
}

static void *run_submitter(void *data)
{
    loop_run(submitter);
    return data;
}

static struct loop_task foreign_task = {.run = submit_foreign};

static void start_foreign(void)
{
    loop_post(submitter, &foreign_task);
}

/* Answers come back on the thread that asked, in order; commits are told on the connection's. */
static void test_another_thread(void **state)
{
    (void)state;
    NEEDS_POSTGRES();
    pthread_t thread;
    create_db(1, 1000, 1, url);
    submitter = loop_create();
    on_available = start_foreign;
    assert_int_equal(pthread_create(&thread, NULL, run_submitter, NULL), 0);
    loop_run(loop);
    pthread_join(thread, NULL);
    for (int i = 0; i < CALLS; i++) {
        assert_int_equal(calls[i].status, STATUS_OK);
        assert_int_equal(calls[i].answer, i);
        assert_int_equal(calls[i].place, i);
        assert_int_equal(calls[i].commit_place, i);
    }
    destroy_db();
    loop_destroy(submitter);
}

/* A task that was posted to the database's loop and has not run when the database goes. */
static void test_destroy_with_posted_calls(void **state)
{
    (void)state;
    create_db(1, 1000, 1, "host=/nowhere dbname=none");
    struct loop *asking = loop_create();
    submitter = asking;
    resubmitted = 5;
    for (int i = 0; i < 3; i++) {
        submit(i, &GROUP, 1);
        calls[i].call.on_done = on_done_again;
    }
    destroy_db();
    loop_destroy(asking);
    assert_int_equal(resubmitted, 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_every_type, set_up),
        cmocka_unit_test_setup(test_rows_of_each_member, set_up),
        cmocka_unit_test_setup(test_groups, set_up),
        cmocka_unit_test_setup(test_answer_after_commit, set_up),
        cmocka_unit_test_setup(test_some_go_in_turn, set_up),
        cmocka_unit_test_setup(test_order_is_kept_on_two_connections, set_up),
        cmocka_unit_test_setup(test_order_is_kept_when_groups_fail, set_up),
        cmocka_unit_test_setup(test_a_bad_member_harms_only_itself, set_up),
        cmocka_unit_test_setup(test_a_commit_that_fails, set_up),
        cmocka_unit_test_setup(test_a_statement_without_rows, set_up),
        cmocka_unit_test_setup(test_deadlock, set_up),
        cmocka_unit_test_setup(test_the_same_at_the_same_time, set_up),
        cmocka_unit_test_setup(test_lost_connection_and_recovery, set_up),
        cmocka_unit_test_setup(test_another_host, set_up),
        cmocka_unit_test_setup(test_no_database, set_up),
        cmocka_unit_test_setup(test_older_schema, set_up),
        cmocka_unit_test_setup(test_full_queue, set_up),
        cmocka_unit_test_setup(test_long_values, set_up),
        cmocka_unit_test_setup(test_destroy_with_calls, set_up),
        cmocka_unit_test_setup(test_another_thread, set_up),
        cmocka_unit_test_setup(test_destroy_with_posted_calls, set_up),
    };
    return cmocka_run_group_tests(tests, connect_other, disconnect_other);
}
