/* The audit log, which the functions of the schema write: see migrations/0009_audit.sql. */
#ifndef STONECHAT_REPOSITORY_AUDIT_H
#define STONECHAT_REPOSITORY_AUDIT_H

#include "db/db.h"

/* Takes out at most `max` rows that are older than `days`. One row: how many. */
void audit_prune(struct db_call *call, int64_t days, int64_t max);
int64_t audit_decode_pruned(const struct db_rows *rows);

#endif
