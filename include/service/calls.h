/* Phone calls: their state, their signalling, their history. */
#ifndef STONECHAT_SERVICE_CALLS_H
#define STONECHAT_SERVICE_CALLS_H

#include "service/services.h"

/* Rings the callee: {"callId"}. `signal` is JSON, data NULL for none. STATUS_FORBIDDEN: not a contact; STATUS_BUSY. */
void calls_start(struct services *services, const struct actor *actor, struct uuid callee_id, struct slice signal,
                 on_outcome *on_done, void *data);

/* The actor takes the call. STATUS_NOT_FOUND, FORBIDDEN, or CONFLICT when it does not ring. */
void calls_answer(struct services *services, const struct actor *actor, struct uuid call_id, struct slice signal,
                  on_outcome *on_done, void *data);

/* A party ends it: "ended", "missed" or "rejected". STATUS_NOT_FOUND, FORBIDDEN, or CONFLICT when it is over. */
void calls_end(struct services *services, const struct actor *actor, struct uuid call_id, struct slice ending,
               on_outcome *on_done, void *data);

/* Hands `payload` to the other party as the event "ice-candidate". `call_id` may be nil: any call between the two that
 * is not over. STATUS_FORBIDDEN when there is none. */
struct call_signal {
    struct uuid call_id, caller_id, callee_id;
    struct slice payload; /* JSON */
};
void calls_signal(struct services *services, const struct actor *actor, const struct call_signal *signal,
                  on_outcome *on_done, void *data);

/* A page of [Call], newest first. `cursor` is empty for the first page. STATUS_VALIDATION_ERROR: not a cursor of ours.
 */
void calls_list(struct services *services, const struct actor *actor, int64_t limit, struct slice cursor,
                on_outcome *on_done, void *data);

/* Ends calls that nobody answers, and those whose both parties are gone. One a process. On the loop of `services`. */
struct call_supervisor;
struct call_supervisor *calls_supervise(struct services *services);
/* After the loop has ended. NULL is fine. */
void calls_supervisor_destroy(struct call_supervisor *supervisor);

#endif
