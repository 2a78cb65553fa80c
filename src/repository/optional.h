/* Values that may be missing, as parameters and in rows. Private to repository. */
#ifndef STONECHAT_REPOSITORY_OPTIONAL_H
#define STONECHAT_REPOSITORY_OPTIONAL_H

#include "db/db.h"

/* A text that did not come is NULL. */
static inline struct db_value optional_text(struct slice text)
{
    return text.length > 0 ? DB_TEXT(text) : DB_NULL;
}

/* A nil id is NULL. */
static inline struct db_value optional_uuid(struct uuid id)
{
    return uuid_is_nil(id) ? DB_NULL : DB_UUID(id);
}

/* Data NULL where the row has NULL. */
static inline struct slice nullable_text(const struct db_rows *rows, int row, int column)
{
    return db_is_null(rows, row, column) ? (struct slice){NULL, 0} : db_text(rows, row, column);
}

#endif
