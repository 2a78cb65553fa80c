#include "realtime/event_log.h"

#include <stddef.h>

static const struct db_statement FIND_POSITION = {
    "event_log_find_position", "u",
    "SELECT q.ord, u.event_seq, u.pruned_seq FROM unnest($1::uuid[]) WITH ORDINALITY q (id, ord)"
    " JOIN users u ON u.id = q.id"};

static const struct db_statement READ = {
    "event_log_read", "uiii",
    "SELECT q.ord, l.seq, l.type, l.payload, l.origin"
    " FROM unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::bigint[]) WITH ORDINALITY q (id, after, max, bytes, ord)"
    " CROSS JOIN LATERAL (SELECT p.*,"
    "   sum(octet_length(p.payload)) OVER (ORDER BY p.seq ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before"
    "  FROM (SELECT e.seq, e.type, e.payload, e.origin FROM event_log e"
    "   WHERE e.user_id = q.id AND e.seq > q.after ORDER BY e.seq LIMIT q.max) p) l"
    " WHERE coalesce(l.before, 0) < q.bytes"};

static const struct db_statement PRUNE = {"event_log_prune", "ii",
                                          "SELECT ord, pruned FROM prune_events($1::bigint[], $2::bigint[])"};

const struct db_statement *const EVENT_LOG_STATEMENTS[] = {&FIND_POSITION, &READ, &PRUNE, NULL};

void event_log_find_position(struct db_call *call, struct uuid user_id)
{
    call->statement = &FIND_POSITION;
    call->values[0] = DB_UUID(user_id);
}

struct event_log_position event_log_decode_position(const struct db_rows *rows)
{
    return (struct event_log_position){db_integer(rows, 0, 0), db_integer(rows, 0, 1)};
}

void event_log_read(struct db_call *call, struct uuid user_id, int64_t after, int64_t max, int64_t max_bytes)
{
    call->statement = &READ;
    call->values[0] = DB_UUID(user_id);
    call->values[1] = DB_INT(after);
    call->values[2] = DB_INT(max);
    call->values[3] = DB_INT(max_bytes);
}

struct event_log_entry event_log_decode(const struct db_rows *rows, int row)
{
    return (struct event_log_entry){.seq = db_integer(rows, row, 0),
                                    .type = db_text(rows, row, 1),
                                    .payload = db_text(rows, row, 2),
                                    .origin = db_uuid(rows, row, 3)};
}

void event_log_prune(struct db_call *call, int64_t days, int64_t max)
{
    call->statement = &PRUNE;
    call->values[0] = DB_INT(days);
    call->values[1] = DB_INT(max);
}

int64_t event_log_decode_pruned(const struct db_rows *rows)
{
    return db_integer(rows, 0, 0);
}
