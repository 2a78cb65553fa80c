#include "repository/node.h"

#include "statement_list.h"

const struct db_statement STATEMENT_NODE_RENEW = {
    "node_renew", "uiit",
    "SELECT ord, is_new, number FROM node_renew($1::uuid[], $2::bigint[], $3::bigint[], $4::text[])"};

/* The rows of `nodes` are seen here as they were before node_bury has taken them out. */
const struct db_statement STATEMENT_NODE_BURY = {
    "node_bury", "u",
    "SELECT b.ord, b.node_id, b.user_id, coalesce(n.address = '', false)"
    " FROM node_bury($1::uuid[]) b LEFT JOIN nodes n ON n.id = b.node_id ORDER BY b.node_id"};

const struct db_statement STATEMENT_NODE_LIST = {
    "node_list", "u",
    "SELECT q.ord, n.id, o.user_id FROM unnest($1::uuid[]) WITH ORDINALITY q (asker, ord)"
    " JOIN nodes n ON n.id <> q.asker AND n.lease_until >= now() LEFT JOIN online o ON o.node_id = n.id"};

const struct db_statement STATEMENT_NODE_PEERS = {
    "node_peers", "u",
    "SELECT q.ord, n.number, n.address FROM unnest($1::uuid[]) WITH ORDINALITY q (asker, ord)"
    " JOIN nodes n ON n.id <> q.asker AND n.lease_until >= now() AND n.address <> ''"};

const struct db_statement STATEMENT_NODE_HOLD = {
    "node_hold", "uu",
    "INSERT INTO online (node_id, user_id) SELECT * FROM unnest($1::uuid[], $2::uuid[]) q (node_id, user_id)"
    " ORDER BY 1, 2 ON CONFLICT DO NOTHING RETURNING 1::bigint"};

const struct db_statement STATEMENT_NODE_RELEASE = {
    "node_release", "uu",
    "DELETE FROM online o USING unnest($1::uuid[], $2::uuid[]) q (node_id, user_id)"
    " WHERE o.node_id = q.node_id AND o.user_id = q.user_id RETURNING 1::bigint"};

void node_renew(struct db_call *call, struct uuid node_id, int64_t lease_seconds, int number, struct slice address)
{
    call->statement = &STATEMENT_NODE_RENEW;
    call->values[0] = DB_UUID(node_id);
    call->values[1] = DB_INT(lease_seconds);
    call->values[2] = DB_INT(number);
    call->values[3] = DB_TEXT(address);
}

bool node_decode_is_new(const struct db_rows *rows)
{
    return db_integer(rows, 0, 0) != 0;
}

int node_decode_number(const struct db_rows *rows)
{
    return (int)db_integer(rows, 0, 1);
}

void node_bury(struct db_call *call, struct uuid burier)
{
    call->statement = &STATEMENT_NODE_BURY;
    call->values[0] = DB_UUID(burier);
}

bool node_decode_has_left(const struct db_rows *rows, int row)
{
    return db_integer(rows, row, 2) != 0;
}

void node_list(struct db_call *call, struct uuid asker)
{
    call->statement = &STATEMENT_NODE_LIST;
    call->values[0] = DB_UUID(asker);
}

void node_peers(struct db_call *call, struct uuid asker)
{
    call->statement = &STATEMENT_NODE_PEERS;
    call->values[0] = DB_UUID(asker);
}

struct node_peer node_decode_peer(const struct db_rows *rows, int row)
{
    return (struct node_peer){(int)db_integer(rows, row, 0), db_text(rows, row, 1)};
}

struct node_user node_decode_user(const struct db_rows *rows, int row)
{
    return (struct node_user){db_uuid(rows, row, 0), db_uuid(rows, row, 1)};
}

static void bind_user(struct db_call *call, const struct db_statement *statement, struct uuid node_id,
                      struct uuid user_id)
{
    call->statement = statement;
    call->values[0] = DB_UUID(node_id);
    call->values[1] = DB_UUID(user_id);
}

void node_hold(struct db_call *call, struct uuid node_id, struct uuid user_id)
{
    bind_user(call, &STATEMENT_NODE_HOLD, node_id, user_id);
}

void node_release(struct db_call *call, struct uuid node_id, struct uuid user_id)
{
    bind_user(call, &STATEMENT_NODE_RELEASE, node_id, user_id);
}
