/* What a statement that changes something tells: an outcome, and the events that it has put into users' logs. All such
 * statements return the same columns, one row an event, or one row without a recipient when nobody is told. */
#ifndef STONECHAT_REPOSITORY_EVENT_H
#define STONECHAT_REPOSITORY_EVENT_H

#include "db/db.h"

struct event {
    bool has_recipient; /* else there is no event, only the outcome */
    struct uuid recipient;
    int64_t seq;          /* its place in the recipient's log */
    struct slice type;    /* "friend_request_received" */
    struct slice payload; /* JSON */
    struct uuid origin;   /* the session that is not told; nil for none */
};

/* The outcome, the same in every row: for example "OK". */
struct slice event_status(const struct db_rows *rows);
struct event event_decode(const struct db_rows *rows, int row);

/* For the statements of the repository. */
#define EVENT_COLUMNS "ord, status, user_id, event_seq, type, payload, origin"

#endif
