/* A result shared by the members of a group. Private to db. */
#ifndef STONECHAT_DB_ROWS_H
#define STONECHAT_DB_ROWS_H

#include <libpq-fe.h>

#include "db/db.h"

/* Takes the PGresult, finds the rows of each call by its ordinal, and gives each a reference (call->rows). False, and
 * the PGresult freed, if the rows don't fit the calls. */
bool rows_distribute(PGresult *result, struct db_call *calls, int count);

/* Drops one member's reference. A member without rows is fine. Any thread. */
void rows_unref(struct db_rows *rows);

#endif
