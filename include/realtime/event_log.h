/* The users' event logs, as sessions read them: where a log stands, and what is in it behind an offset. */
#ifndef STONECHAT_REALTIME_EVENT_LOG_H
#define STONECHAT_REALTIME_EVENT_LOG_H

#include "db/db.h"

/* For db_options.statements of the connections that sessions read by; ends with NULL. */
extern const struct db_statement *const EVENT_LOG_STATEMENTS[];

/* Where a user's log stands: one row, or none without the user. */
struct event_log_position {
    int64_t newest_seq; /* 0: nothing was ever told */
    int64_t pruned_seq; /* up to here it has been taken out */
};
void event_log_find_position(struct db_call *call, struct uuid user_id);
struct event_log_position event_log_decode_position(const struct db_rows *rows);

/* At most `max` events behind `after`, in order, and none behind those whose payloads have `max_bytes` together; the
 * first is there however long it is. */
struct event_log_entry {
    int64_t seq;
    struct slice type, payload; /* JSON */
    struct uuid origin;         /* nil for none */
};
void event_log_read(struct db_call *call, struct uuid user_id, int64_t after, int64_t max, int64_t max_bytes);
struct event_log_entry event_log_decode(const struct db_rows *rows, int row);

/* Takes out at most `max` events that are older. One row: how many. */
void event_log_prune(struct db_call *call, int64_t days, int64_t max);
int64_t event_log_decode_pruned(const struct db_rows *rows);

#endif
