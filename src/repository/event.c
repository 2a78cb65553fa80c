#include "repository/event.h"

struct slice event_status(const struct db_rows *rows)
{
    return db_rows_count(rows) > 0 ? db_text(rows, 0, 0) : SLICE("OK");
}

struct event event_decode(const struct db_rows *rows, int row)
{
    if (db_is_null(rows, row, 1)) {
        return (struct event){0};
    }
    return (struct event){.has_recipient = true,
                          .recipient = db_uuid(rows, row, 1),
                          .seq = db_integer(rows, row, 2),
                          .type = db_text(rows, row, 3),
                          .payload = db_text(rows, row, 4),
                          .origin = db_uuid(rows, row, 5)};
}
