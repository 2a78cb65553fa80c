#include "repository/two_factor.h"

#include "optional.h"
#include "statement_list.h"

const struct db_statement STATEMENT_TWO_FACTOR_FIND = {
    "two_factor_find", "u",
    "SELECT q.ord, f.secret, f.enabled_at IS NOT NULL, coalesce(f.locked_until > now(), false)"
    " FROM unnest($1::uuid[]) WITH ORDINALITY q (id, ord) JOIN two_factors f ON f.user_id = q.id"};

const struct db_statement STATEMENT_TWO_FACTOR_SETUP = {
    "two_factor_setup", "utt", "SELECT ord, status FROM two_factor_setup($1::uuid[], $2::text[], $3::text[])"};

const struct db_statement STATEMENT_TWO_FACTOR_ENABLE = {
    "two_factor_enable", "uittt",
    "SELECT ord, status FROM two_factor_enable($1::uuid[], $2::bigint[], $3::text[], $4::text[], $5::text[])"};

const struct db_statement STATEMENT_TWO_FACTOR_USE = {
    "two_factor_use", "uitt",
    "SELECT ord, status FROM two_factor_use($1::uuid[], $2::bigint[], $3::text[], $4::text[])"};

const struct db_statement STATEMENT_TWO_FACTOR_FAIL = {
    "two_factor_fail", "uiit",
    "SELECT ord, status FROM two_factor_fail($1::uuid[], $2::bigint[], $3::bigint[], $4::text[])"};

const struct db_statement STATEMENT_TWO_FACTOR_DISABLE = {
    "two_factor_disable", "ut", "SELECT ord, status FROM two_factor_disable($1::uuid[], $2::text[])"};

const struct db_statement STATEMENT_TWO_FACTOR_RESEAL = {
    "two_factor_reseal", "utt",
    "UPDATE two_factors f SET secret = q.new FROM (SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[])"
    "  WITH ORDINALITY q (id, old, new, ord) ORDER BY q.id) q"
    " WHERE f.user_id = q.id AND f.secret = q.old RETURNING q.ord"};

static void begin(struct db_call *call, const struct db_statement *statement, struct uuid user_id)
{
    call->statement = statement;
    call->values[0] = DB_UUID(user_id);
}

void two_factor_find(struct db_call *call, struct uuid user_id)
{
    begin(call, &STATEMENT_TWO_FACTOR_FIND, user_id);
}

struct two_factor two_factor_decode(const struct db_rows *rows)
{
    if (db_rows_count(rows) == 0) {
        return (struct two_factor){0};
    }
    return (struct two_factor){.exists = true,
                               .secret = db_text(rows, 0, 0),
                               .is_enabled = db_integer(rows, 0, 1) != 0,
                               .is_locked = db_integer(rows, 0, 2) != 0};
}

void two_factor_setup(struct db_call *call, struct uuid user_id, struct slice secret, struct slice ip)
{
    begin(call, &STATEMENT_TWO_FACTOR_SETUP, user_id);
    call->values[1] = DB_TEXT(secret);
    call->values[2] = optional_text(ip);
}

void two_factor_enable(struct db_call *call, struct uuid user_id, struct slice secret, int64_t step,
                       struct slice hashes, struct slice ip)
{
    begin(call, &STATEMENT_TWO_FACTOR_ENABLE, user_id);
    call->values[1] = DB_INT(step);
    call->values[2] = DB_TEXT(hashes);
    call->values[3] = optional_text(ip);
    call->values[4] = DB_TEXT(secret);
}

void two_factor_use(struct db_call *call, struct uuid user_id, int64_t step, struct slice hash, struct slice ip)
{
    begin(call, &STATEMENT_TWO_FACTOR_USE, user_id);
    call->values[1] = DB_INT(step);
    call->values[2] = optional_text(hash);
    call->values[3] = optional_text(ip);
}

void two_factor_fail(struct db_call *call, struct uuid user_id, int64_t max_failures, int64_t lockout_minutes,
                     struct slice ip)
{
    begin(call, &STATEMENT_TWO_FACTOR_FAIL, user_id);
    call->values[1] = DB_INT(max_failures);
    call->values[2] = DB_INT(lockout_minutes);
    call->values[3] = optional_text(ip);
}

void two_factor_disable(struct db_call *call, struct uuid user_id, struct slice ip)
{
    begin(call, &STATEMENT_TWO_FACTOR_DISABLE, user_id);
    call->values[1] = optional_text(ip);
}

void two_factor_reseal(struct db_call *call, struct uuid user_id, struct slice old, struct slice new)
{
    begin(call, &STATEMENT_TWO_FACTOR_RESEAL, user_id);
    call->values[1] = DB_TEXT(old);
    call->values[2] = DB_TEXT(new);
}
