#include "repository/contact.h"

#include "statement_list.h"

const struct db_statement STATEMENT_FRIEND_REQUEST_SEND = {
    "friend_request_send", "uUU",
    "SELECT " EVENT_COLUMNS " FROM friend_request_send($1::uuid[], $2::uuid[], $3::uuid[])"};

const struct db_statement STATEMENT_FRIEND_REQUEST_ACCEPT = {
    "friend_request_accept", "UUb",
    "SELECT " EVENT_COLUMNS " FROM friend_request_accept($1::uuid[], $2::uuid[], $3::boolean[])"};

const struct db_statement STATEMENT_FRIEND_REQUEST_REJECT = {
    "friend_request_reject", "UU", "SELECT " EVENT_COLUMNS " FROM friend_request_reject($1::uuid[], $2::uuid[])"};

const struct db_statement STATEMENT_CONTACT_REMOVE = {
    "contact_remove", "UU", "SELECT " EVENT_COLUMNS " FROM contact_remove($1::uuid[], $2::uuid[])"};

const struct db_statement STATEMENT_CONTACT_LIST = {
    "contact_list", "ub",
    "SELECT q.ord, l.*, me.last_seen_at"
    " FROM unnest($1::uuid[], $2::boolean[]) WITH ORDINALITY q (id, with_contacts, ord) JOIN users me ON me.id = q.id"
    " CROSS JOIN LATERAL (SELECT f.* FROM ("
    "  SELECT u.id, u.username, u.last_seen_at, NULL::uuid AS request, false AS is_sent, NULL::timestamptz AS "
    "created_at"
    "  FROM contacts c JOIN users u ON u.id = c.contact_id WHERE c.user_id = q.id AND q.with_contacts"
    "  UNION ALL"
    "  SELECT u.id, u.username, u.last_seen_at, r.id, true, r.created_at"
    "  FROM friend_requests r JOIN users u ON u.id = r.to_id WHERE r.from_id = q.id AND r.status = 'pending'"
    "  UNION ALL"
    "  SELECT u.id, u.username, u.last_seen_at, r.id, false, r.created_at"
    "  FROM friend_requests r JOIN users u ON u.id = r.from_id WHERE r.to_id = q.id AND r.status = 'pending'"
    " ) f ORDER BY f.created_at DESC NULLS FIRST, f.username) l"};

const struct db_statement STATEMENT_CONTACT_LIST_IDS = {
    "contact_list_ids", "u",
    "SELECT q.ord, c.contact_id FROM unnest($1::uuid[]) WITH ORDINALITY q (id, ord)"
    " JOIN contacts c ON c.user_id = q.id"};

const struct db_statement STATEMENT_CONTACT_CHECK = {
    "contact_check", "uu",
    "SELECT q.ord FROM unnest($1::uuid[], $2::uuid[]) WITH ORDINALITY q (id, other, ord)"
    " JOIN contacts c ON c.user_id = q.id AND c.contact_id = q.other"};

const struct db_statement STATEMENT_CONTACT_WENT_OFFLINE = {
    "contact_went_offline", "uz",
    "WITH q AS MATERIALIZED (SELECT * FROM unnest($1::uuid[], $2::timestamptz[]) WITH ORDINALITY q (id, at, ord)),"
    " locked AS MATERIALIZED ("
    "  SELECT u.id FROM users u WHERE u.id = ANY ($1::uuid[]) ORDER BY u.id FOR NO KEY UPDATE),"
    " seen AS (UPDATE users u SET last_seen_at = q.at FROM q JOIN locked l ON l.id = q.id"
    "  WHERE u.id = q.id AND u.deleted_at IS NULL)"
    " SELECT q.ord, c.contact_id FROM q JOIN contacts c ON c.user_id = q.id"};

void friend_request_send(struct db_call *call, struct uuid id, struct uuid sender, struct uuid receiver)
{
    call->statement = &STATEMENT_FRIEND_REQUEST_SEND;
    call->values[0] = DB_UUID(id);
    call->values[1] = DB_UUID(sender);
    call->values[2] = DB_UUID(receiver);
}

void friend_request_accept(struct db_call *call, struct uuid accepter, struct uuid requester, bool is_requester_online)
{
    call->statement = &STATEMENT_FRIEND_REQUEST_ACCEPT;
    call->values[0] = DB_UUID(accepter);
    call->values[1] = DB_UUID(requester);
    call->values[2] = DB_INT(is_requester_online);
}

static void bind_pair(struct db_call *call, const struct db_statement *statement, struct uuid one, struct uuid other)
{
    call->statement = statement;
    call->values[0] = DB_UUID(one);
    call->values[1] = DB_UUID(other);
}

void friend_request_reject(struct db_call *call, struct uuid rejecter, struct uuid requester)
{
    bind_pair(call, &STATEMENT_FRIEND_REQUEST_REJECT, rejecter, requester);
}

void contact_remove(struct db_call *call, struct uuid remover, struct uuid contact)
{
    bind_pair(call, &STATEMENT_CONTACT_REMOVE, remover, contact);
}

void contact_check(struct db_call *call, struct uuid user_id, struct uuid other)
{
    bind_pair(call, &STATEMENT_CONTACT_CHECK, user_id, other);
}

void contact_list(struct db_call *call, struct uuid user_id, bool with_contacts)
{
    call->statement = &STATEMENT_CONTACT_LIST;
    call->values[0] = DB_UUID(user_id);
    call->values[1] = DB_INT(with_contacts);
}

struct contact_row contact_decode(const struct db_rows *rows, int row)
{
    bool is_request = !db_is_null(rows, row, 3), has_own_last_seen = !db_is_null(rows, row, 6);
    return (struct contact_row){.is_request = is_request,
                                .other = user_decode(rows, row, 0),
                                .request_id = db_uuid(rows, row, 3),
                                .is_sent = db_integer(rows, row, 4) != 0,
                                .created_at_us = is_request ? db_time_us(rows, row, 5) : 0,
                                .has_own_last_seen = has_own_last_seen,
                                .own_last_seen_us = has_own_last_seen ? db_time_us(rows, row, 6) : 0};
}

void contact_list_ids(struct db_call *call, struct uuid user_id)
{
    call->statement = &STATEMENT_CONTACT_LIST_IDS;
    call->values[0] = DB_UUID(user_id);
}

void contact_went_offline(struct db_call *call, struct uuid user_id, int64_t last_seen_us)
{
    call->statement = &STATEMENT_CONTACT_WENT_OFFLINE;
    call->values[0] = DB_UUID(user_id);
    call->values[1] = DB_INT(last_seen_us);
}
