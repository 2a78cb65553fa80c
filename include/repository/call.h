/* Phone calls. Each function fills `call`; those that change something return events (repository/event.h). */
#ifndef STONECHAT_REPOSITORY_CALL_H
#define STONECHAT_REPOSITORY_CALL_H

#include "repository/event.h"
#include "repository/user.h"

/* Status OK, FORBIDDEN (not a contact) or BUSY. `signal` is JSON; data NULL for none. */
void call_start(struct db_call *call, struct uuid id, struct uuid caller, struct uuid callee, struct slice signal);
/* Status OK, NOT_FOUND, FORBIDDEN or CONFLICT (it does not ring). */
void call_answer(struct db_call *call, struct uuid id, struct uuid callee, struct slice signal, struct uuid origin);
/* `ending` is "ended", "missed" or "rejected". Status OK, NOT_FOUND, FORBIDDEN or CONFLICT (it is over). */
void call_end(struct db_call *call, struct uuid id, struct uuid actor, struct slice ending, struct uuid origin);
/* Calls that ring for longer are missed. */
void call_expire(struct db_call *call, int64_t ring_seconds);
/* Both parties are gone. Status as call_end. */
void call_abandon(struct db_call *call, struct uuid id);

/* A row if there is a call between the two that is not over, and (unless nil) that has this id. */
void call_check(struct db_call *call, struct uuid id, struct uuid caller, struct uuid callee);

/* The calls that are not over: a row each. */
struct call_parties {
    struct uuid id, caller_id, callee_id;
    bool is_late; /* it has rung for longer than `ring_seconds` */
};
void call_list_active(struct db_call *call, int64_t ring_seconds);
struct call_parties call_parties_decode(const struct db_rows *rows, int row);

/* --- the history --- */

struct call_cursor {
    bool is_set;
    int64_t started_at_us;
    struct uuid id;
};
struct call_record {
    struct uuid id;
    struct user caller, callee;
    struct slice status;
    int64_t started_at_us;
    bool is_answered, is_over;
    int64_t answered_at_us, ended_at_us;
};
/* The calls of `user_id` behind the cursor, newest first. */
void call_list(struct db_call *call, struct uuid user_id, int64_t limit, const struct call_cursor *cursor);
struct call_record call_decode(const struct db_rows *rows, int row);

#endif
