#include "repository/audit.h"

#include "statement_list.h"

const struct db_statement STATEMENT_AUDIT_PRUNE = {"audit_prune", "ii",
                                                   "SELECT ord, pruned FROM prune_audit($1::bigint[], $2::bigint[])"};

void audit_prune(struct db_call *call, int64_t days, int64_t max)
{
    call->statement = &STATEMENT_AUDIT_PRUNE;
    call->values[0] = DB_INT(days);
    call->values[1] = DB_INT(max);
}

int64_t audit_decode_pruned(const struct db_rows *rows)
{
    return db_integer(rows, 0, 0);
}
