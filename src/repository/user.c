#include "repository/user.h"

#include "optional.h"
#include "statement_list.h"

const struct db_statement STATEMENT_USER_FIND = {
    "user_find", "u",
    "SELECT q.ord, u.id, u.username, u.last_seen_at"
    " FROM unnest($1::uuid[]) WITH ORDINALITY q (id, ord) JOIN users u ON u.id = q.id"};

/* Names are of characters below 0x7f, so that this byte ends the range of a prefix. */
const struct db_statement STATEMENT_USER_SEARCH = {
    "user_search", "uti",
    "SELECT q.ord, f.* FROM unnest($1::uuid[], $2::text[], $3::bigint[]) WITH ORDINALITY q (self, prefix, max, ord)"
    " CROSS JOIN LATERAL (SELECT u.id, u.username, u.last_seen_at FROM users u"
    "  WHERE u.username >= lower(q.prefix) COLLATE \"C\" AND u.username < (lower(q.prefix) || chr(127)) COLLATE \"C\""
    "  AND u.id <> q.self AND u.deleted_at IS NULL ORDER BY u.username LIMIT q.max) f"};

const struct db_statement STATEMENT_USER_REGISTER = {
    "user_register", "uttuttttzz",
    "SELECT ord, status FROM register_user($1::uuid[], $2::text[], $3::text[], $4::uuid[], $5::text[], $6::text[],"
    " $7::text[], $8::text[], $9::timestamptz[], $10::timestamptz[])"};

const struct db_statement STATEMENT_USER_FIND_CREDENTIALS = {
    "user_find_credentials", "t",
    "SELECT q.ord, u.id, u.password_hash, greatest(ceil(extract(epoch FROM f.locked_until - now())), 0)::bigint,"
    " u.password_version"
    " FROM unnest($1::text[]) WITH ORDINALITY q (name, ord)"
    " LEFT JOIN users u ON u.username = q.name COLLATE \"C\" AND u.deleted_at IS NULL"
    " LEFT JOIN login_failures f ON f.username = q.name COLLATE \"C\""};

const struct db_statement STATEMENT_USER_LOGIN_FAILED = {
    "user_login_failed", "tiit",
    "SELECT ord, failures FROM login_failed($1::text[], $2::bigint[], $3::bigint[], $4::text[])"};

const struct db_statement STATEMENT_USER_LOGIN_SUCCEEDED = {
    "user_login_succeeded", "tuiuttttzz",
    "SELECT ord, status FROM login_succeeded($1::text[], $2::uuid[], $3::bigint[], $4::uuid[], $5::text[], $6::text[],"
    " $7::text[], $8::text[], $9::timestamptz[], $10::timestamptz[])"};

const struct db_statement STATEMENT_USER_CHANGE_PASSWORD = {
    "user_change_password", "uitut",
    "SELECT ord, status, login_id, user_id, tokens_until"
    " FROM password_change($1::uuid[], $2::bigint[], $3::text[], $4::uuid[], $5::text[])"};

const struct db_statement STATEMENT_USER_DELETE = {"user_delete", "uit",
                                                   "SELECT ord, status, login_id, user_id, tokens_until, contact_id"
                                                   " FROM user_delete($1::uuid[], $2::bigint[], $3::text[])"};

const struct db_statement STATEMENT_USER_CHANGE_HASH = {
    "user_change_hash", "utt",
    "WITH locked AS MATERIALIZED ("
    "  SELECT u.id FROM users u WHERE u.id = ANY ($1::uuid[]) ORDER BY u.id FOR NO KEY UPDATE)"
    " UPDATE users u SET password_hash = q.new"
    " FROM unnest($1::uuid[], $2::text[], $3::text[]) WITH ORDINALITY q (id, old, new, ord)"
    "  JOIN locked l ON l.id = q.id"
    " WHERE u.id = q.id AND u.password_hash = q.old RETURNING q.ord"};

struct user user_decode(const struct db_rows *rows, int row, int column)
{
    bool has_last_seen = !db_is_null(rows, row, column + 2);
    return (struct user){.id = db_uuid(rows, row, column),
                         .username = db_text(rows, row, column + 1),
                         .has_last_seen = has_last_seen,
                         .last_seen_us = has_last_seen ? db_time_us(rows, row, column + 2) : 0};
}

void user_find(struct db_call *call, struct uuid id)
{
    call->statement = &STATEMENT_USER_FIND;
    call->values[0] = DB_UUID(id);
}

void user_search(struct db_call *call, struct uuid self, struct slice prefix, int64_t max)
{
    call->statement = &STATEMENT_USER_SEARCH;
    call->values[0] = DB_UUID(self);
    call->values[1] = DB_TEXT(prefix);
    call->values[2] = DB_INT(max);
}

/* A login's values, from `at` on: id, device, ip, user agent, hash, and when its tokens end. */
static void bind_login(struct db_value *at, const struct login_draft *login)
{
    at[0] = DB_UUID(login->id);
    at[1] = optional_text(login->device);
    at[2] = optional_text(login->ip);
    at[3] = optional_text(login->user_agent);
    at[4] = DB_TEXT(login->refresh_hash);
    at[5] = DB_INT(login->tokens_until_us);
    at[6] = DB_INT(login->expires_at_us);
}

void user_register(struct db_call *call, const struct user_registration *registration, const struct login_draft *login)
{
    call->statement = &STATEMENT_USER_REGISTER;
    call->values[0] = DB_UUID(registration->id);
    call->values[1] = DB_TEXT(registration->username);
    call->values[2] = DB_TEXT(registration->password_hash);
    bind_login(&call->values[3], login);
}

void user_find_credentials(struct db_call *call, struct slice username)
{
    call->statement = &STATEMENT_USER_FIND_CREDENTIALS;
    call->values[0] = DB_TEXT(username);
}

struct user_credentials user_decode_credentials(const struct db_rows *rows)
{
    bool exists = !db_is_null(rows, 0, 0);
    return (struct user_credentials){
        .exists = exists,
        .user = {.id = db_uuid(rows, 0, 0), .password_version = exists ? db_integer(rows, 0, 3) : 0},
        .password_hash = db_text(rows, 0, 1),
        .locked_s = db_is_null(rows, 0, 2) ? 0 : db_integer(rows, 0, 2)};
}

void user_login_failed(struct db_call *call, struct slice username, int64_t max_failures, int64_t lockout_minutes,
                       struct slice ip)
{
    call->statement = &STATEMENT_USER_LOGIN_FAILED;
    call->values[0] = DB_TEXT(username);
    call->values[1] = DB_INT(max_failures);
    call->values[2] = DB_INT(lockout_minutes);
    call->values[3] = optional_text(ip);
}

void user_login_succeeded(struct db_call *call, struct slice username, const struct user_checked *user,
                          const struct login_draft *login)
{
    call->statement = &STATEMENT_USER_LOGIN_SUCCEEDED;
    call->values[0] = DB_TEXT(username);
    call->values[1] = DB_UUID(user->id);
    call->values[2] = DB_INT(user->password_version);
    bind_login(&call->values[3], login);
}

void user_change_password(struct db_call *call, const struct user_checked *user, struct slice hash, struct uuid spared,
                          struct slice ip)
{
    call->statement = &STATEMENT_USER_CHANGE_PASSWORD;
    call->values[0] = DB_UUID(user->id);
    call->values[1] = DB_INT(user->password_version);
    call->values[2] = DB_TEXT(hash);
    call->values[3] = optional_uuid(spared);
    call->values[4] = optional_text(ip);
}

void user_delete(struct db_call *call, const struct user_checked *user, struct slice ip)
{
    call->statement = &STATEMENT_USER_DELETE;
    call->values[0] = DB_UUID(user->id);
    call->values[1] = DB_INT(user->password_version);
    call->values[2] = optional_text(ip);
}

struct uuid user_decode_lost_contact(const struct db_rows *rows, int row)
{
    return db_uuid(rows, row, 4);
}

void user_change_hash(struct db_call *call, struct uuid id, struct slice old_hash, struct slice new_hash)
{
    call->statement = &STATEMENT_USER_CHANGE_HASH;
    call->values[0] = DB_UUID(id);
    call->values[1] = DB_TEXT(old_hash);
    call->values[2] = DB_TEXT(new_hash);
}
