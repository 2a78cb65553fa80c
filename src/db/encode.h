/* Members' values as PostgreSQL's binary arrays. Private to db. */
#ifndef STONECHAT_DB_ENCODE_H
#define STONECHAT_DB_ENCODE_H

#include "db/db.h"
#include "util/buffer.h"

/* Appends the array of parameter `index` of all calls (linked by `next`). `type` is a letter of
 * db_statement.parameters. */
void encode_array(struct buffer *out, char type, const struct db_call *calls, int count, int index);

#endif
