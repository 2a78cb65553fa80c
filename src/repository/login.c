#include "repository/login.h"

#include "optional.h"
#include "statement_list.h"

const struct db_statement STATEMENT_LOGIN_REFRESH = {
    "login_refresh", "uttttzz",
    "SELECT ord, status, login_id, user_id, tokens_until, username FROM login_refresh($1::uuid[], $2::text[], "
    "$3::text[], $4::text[], $5::text[], $6::timestamptz[], $7::timestamptz[])"};

const struct db_statement STATEMENT_LOGIN_REVOKE = {
    "login_revoke", "uuut",
    "SELECT ord, status, login_id, user_id, tokens_until"
    " FROM login_revoke($1::uuid[], $2::uuid[], $3::uuid[], $4::text[])"};

const struct db_statement STATEMENT_LOGIN_LIST = {
    "login_list", "uui",
    "SELECT q.ord, l.* FROM unnest($1::uuid[], $2::uuid[], $3::bigint[])"
    "  WITH ORDINALITY q (user_id, current, max, ord)"
    " CROSS JOIN LATERAL (SELECT i.id, i.device, i.ip, i.user_agent, i.created_at, i.last_used_at FROM logins i"
    "  WHERE i.user_id = q.user_id AND i.revoked_at IS NULL AND i.expires_at > now()"
    "  ORDER BY i.id = q.current DESC, i.last_used_at DESC, i.id LIMIT q.max) l"};

const struct db_statement STATEMENT_LOGIN_LIST_REVOKED = {
    "login_list_revoked", "z",
    "SELECT q.ord, now(), l.id, l.user_id, l.tokens_until FROM unnest($1::timestamptz[]) WITH ORDINALITY q (since, ord)"
    " LEFT JOIN logins l ON l.revoked_at >= q.since AND l.tokens_until > now() - interval '5 minutes'"};

const struct db_statement STATEMENT_LOGIN_PRUNE = {"login_prune", "i",
                                                   "SELECT ord, pruned FROM prune_logins($1::bigint[])"};

const struct db_statement STATEMENT_LOGIN_PRUNE_FAILURES = {
    "login_prune_failures", "ii", "SELECT ord, pruned FROM prune_login_failures($1::bigint[], $2::bigint[])"};

void login_refresh(struct db_call *call, const struct login_draft *draft, struct slice hash)
{
    call->statement = &STATEMENT_LOGIN_REFRESH;
    call->values[0] = DB_UUID(draft->id);
    call->values[1] = DB_TEXT(hash);
    call->values[2] = DB_TEXT(draft->refresh_hash);
    call->values[3] = optional_text(draft->ip);
    call->values[4] = optional_text(draft->user_agent);
    call->values[5] = DB_INT(draft->tokens_until_us);
    call->values[6] = DB_INT(draft->expires_at_us);
}

struct slice login_decode_username(const struct db_rows *rows)
{
    return db_text(rows, 0, 4);
}

void login_revoke(struct db_call *call, struct uuid user_id, struct uuid only, struct uuid spared, struct slice ip)
{
    call->statement = &STATEMENT_LOGIN_REVOKE;
    call->values[0] = DB_UUID(user_id);
    call->values[1] = optional_uuid(only);
    call->values[2] = optional_uuid(spared);
    call->values[3] = optional_text(ip);
}

struct slice login_decode_status(const struct db_rows *rows)
{
    return db_text(rows, 0, 0);
}

static struct login_ended decode_ended(const struct db_rows *rows, int row, int column)
{
    if (db_is_null(rows, row, column)) {
        return (struct login_ended){0};
    }
    return (struct login_ended){.id = db_uuid(rows, row, column),
                                .user_id = db_uuid(rows, row, column + 1),
                                .tokens_until_us = db_time_us(rows, row, column + 2)};
}

struct login_ended login_decode_ended(const struct db_rows *rows, int row)
{
    return decode_ended(rows, row, 1);
}

void login_list(struct db_call *call, struct uuid user_id, struct uuid current, int64_t max)
{
    call->statement = &STATEMENT_LOGIN_LIST;
    call->values[0] = DB_UUID(user_id);
    call->values[1] = DB_UUID(current);
    call->values[2] = DB_INT(max);
}

struct login_row login_decode(const struct db_rows *rows, int row)
{
    return (struct login_row){.id = db_uuid(rows, row, 0),
                              .device = nullable_text(rows, row, 1),
                              .ip = nullable_text(rows, row, 2),
                              .user_agent = nullable_text(rows, row, 3),
                              .created_at_us = db_time_us(rows, row, 4),
                              .last_used_at_us = db_time_us(rows, row, 5)};
}

void login_list_revoked(struct db_call *call, int64_t since_us)
{
    call->statement = &STATEMENT_LOGIN_LIST_REVOKED;
    call->values[0] = DB_INT(since_us);
}

struct login_ended login_decode_revoked(const struct db_rows *rows, int row)
{
    return decode_ended(rows, row, 1);
}

int64_t login_decode_now_us(const struct db_rows *rows)
{
    return db_time_us(rows, 0, 0);
}

void login_prune(struct db_call *call, int64_t max)
{
    call->statement = &STATEMENT_LOGIN_PRUNE;
    call->values[0] = DB_INT(max);
}

void login_prune_failures(struct db_call *call, int64_t lockout_minutes, int64_t max)
{
    call->statement = &STATEMENT_LOGIN_PRUNE_FAILURES;
    call->values[0] = DB_INT(lockout_minutes);
    call->values[1] = DB_INT(max);
}

int64_t login_decode_pruned(const struct db_rows *rows)
{
    return db_integer(rows, 0, 0);
}
