#include "repository/call.h"

#include "statement_list.h"

const struct db_statement STATEMENT_CALL_START = {
    "call_start", "UUUt", "SELECT " EVENT_COLUMNS " FROM call_start($1::uuid[], $2::uuid[], $3::uuid[], $4::text[])"};

const struct db_statement STATEMENT_CALL_ANSWER = {
    "call_answer", "UUtu", "SELECT " EVENT_COLUMNS " FROM call_answer($1::uuid[], $2::uuid[], $3::text[], $4::uuid[])"};

const struct db_statement STATEMENT_CALL_END = {
    "call_end", "UUtu", "SELECT " EVENT_COLUMNS " FROM call_end($1::uuid[], $2::uuid[], $3::text[], $4::uuid[])"};

const struct db_statement STATEMENT_CALL_EXPIRE = {"call_expire", "i",
                                                   "SELECT " EVENT_COLUMNS " FROM call_expire($1::bigint[])"};

const struct db_statement STATEMENT_CALL_ABANDON = {"call_abandon", "U",
                                                    "SELECT " EVENT_COLUMNS " FROM call_abandon($1::uuid[])"};

const struct db_statement STATEMENT_CALL_CHECK = {
    "call_check", "UUU",
    "SELECT q.ord FROM unnest($1::uuid[], $2::uuid[], $3::uuid[]) WITH ORDINALITY q (id, caller, callee, ord)"
    " JOIN calls c ON c.caller_id = q.caller AND c.callee_id = q.callee AND c.ended_at IS NULL"
    " AND (q.id IS NULL OR c.id = q.id)"};

const struct db_statement STATEMENT_CALL_LIST_ACTIVE = {
    "call_list_active", "i",
    "SELECT q.ord, c.id, c.caller_id, c.callee_id,"
    "  c.status = 'ringing' AND c.started_at < now() - make_interval(secs => q.seconds)"
    " FROM unnest($1::bigint[]) WITH ORDINALITY q (seconds, ord) CROSS JOIN calls c WHERE c.ended_at IS NULL"};

const struct db_statement STATEMENT_CALL_LIST = {
    "call_list", "uibzu",
    "SELECT q.ord, l.id, f.id, f.username, f.last_seen_at, t.id, t.username, t.last_seen_at, l.status, l.started_at,"
    "  l.answered_at, l.ended_at"
    " FROM unnest($1::uuid[], $2::bigint[], $3::boolean[], $4::timestamptz[], $5::uuid[])"
    "  WITH ORDINALITY q (reader, max, is_behind, at, id, ord)"
    " CROSS JOIN LATERAL (SELECT b.* FROM ("
    "  (SELECT c.* FROM calls c WHERE c.caller_id = q.reader"
    "   AND (c.started_at, c.id) < (CASE WHEN q.is_behind THEN q.at ELSE 'infinity' END, q.id)"
    "   ORDER BY c.started_at DESC, c.id DESC LIMIT q.max)"
    "  UNION ALL"
    "  (SELECT c.* FROM calls c WHERE c.callee_id = q.reader"
    "   AND (c.started_at, c.id) < (CASE WHEN q.is_behind THEN q.at ELSE 'infinity' END, q.id)"
    "   ORDER BY c.started_at DESC, c.id DESC LIMIT q.max)"
    " ) b ORDER BY b.started_at DESC, b.id DESC LIMIT q.max) l"
    " JOIN users f ON f.id = l.caller_id JOIN users t ON t.id = l.callee_id"};

static struct db_value optional_text(struct slice text)
{
    return text.data != NULL ? DB_TEXT(text) : DB_NULL;
}

void call_start(struct db_call *call, struct uuid id, struct uuid caller, struct uuid callee, struct slice signal)
{
    call->statement = &STATEMENT_CALL_START;
    call->values[0] = DB_UUID(id);
    call->values[1] = DB_UUID(caller);
    call->values[2] = DB_UUID(callee);
    call->values[3] = optional_text(signal);
}

static void bind_step(struct db_call *call, const struct db_statement *statement, struct uuid id, struct uuid actor,
                      struct slice text, struct uuid origin)
{
    call->statement = statement;
    call->values[0] = DB_UUID(id);
    call->values[1] = DB_UUID(actor);
    call->values[2] = optional_text(text);
    call->values[3] = uuid_is_nil(origin) ? DB_NULL : DB_UUID(origin);
}

void call_answer(struct db_call *call, struct uuid id, struct uuid callee, struct slice signal, struct uuid origin)
{
    bind_step(call, &STATEMENT_CALL_ANSWER, id, callee, signal, origin);
}

void call_end(struct db_call *call, struct uuid id, struct uuid actor, struct slice ending, struct uuid origin)
{
    bind_step(call, &STATEMENT_CALL_END, id, actor, ending, origin);
}

void call_expire(struct db_call *call, int64_t ring_seconds)
{
    call->statement = &STATEMENT_CALL_EXPIRE;
    call->values[0] = DB_INT(ring_seconds);
}

void call_abandon(struct db_call *call, struct uuid id)
{
    call->statement = &STATEMENT_CALL_ABANDON;
    call->values[0] = DB_UUID(id);
}

void call_check(struct db_call *call, struct uuid id, struct uuid caller, struct uuid callee)
{
    call->statement = &STATEMENT_CALL_CHECK;
    call->values[0] = uuid_is_nil(id) ? DB_NULL : DB_UUID(id);
    call->values[1] = DB_UUID(caller);
    call->values[2] = DB_UUID(callee);
}

void call_list_active(struct db_call *call, int64_t ring_seconds)
{
    call->statement = &STATEMENT_CALL_LIST_ACTIVE;
    call->values[0] = DB_INT(ring_seconds);
}

struct call_parties call_parties_decode(const struct db_rows *rows, int row)
{
    return (struct call_parties){.id = db_uuid(rows, row, 0),
                                 .caller_id = db_uuid(rows, row, 1),
                                 .callee_id = db_uuid(rows, row, 2),
                                 .is_late = db_integer(rows, row, 3) != 0};
}

void call_list(struct db_call *call, struct uuid user_id, int64_t limit, const struct call_cursor *cursor)
{
    call->statement = &STATEMENT_CALL_LIST;
    call->values[0] = DB_UUID(user_id);
    call->values[1] = DB_INT(limit);
    call->values[2] = DB_INT(cursor->is_set);
    call->values[3] = DB_INT(cursor->started_at_us);
    call->values[4] = DB_UUID(cursor->id);
}

struct call_record call_decode(const struct db_rows *rows, int row)
{
    bool is_answered = !db_is_null(rows, row, 9), is_over = !db_is_null(rows, row, 10);
    return (struct call_record){.id = db_uuid(rows, row, 0),
                                .caller = user_decode(rows, row, 1),
                                .callee = user_decode(rows, row, 4),
                                .status = db_text(rows, row, 7),
                                .started_at_us = db_time_us(rows, row, 8),
                                .is_answered = is_answered,
                                .answered_at_us = is_answered ? db_time_us(rows, row, 9) : 0,
                                .is_over = is_over,
                                .ended_at_us = is_over ? db_time_us(rows, row, 10) : 0};
}
