/* Takes out what is of no use any more, a few rows at a time, in the background: events that are older than
 * EVENT_RETENTION_DAYS, logins whose tokens have expired, names whose failed logins count no more, and what
 * AUDIT_RETENTION_DAYS ends in the audit log. */
#ifndef STONECHAT_SERVICE_PRUNING_H
#define STONECHAT_SERVICE_PRUNING_H

#include "service/services.h"

/* Starts on the loop of `services`; one a process. NULL without memory. */
struct pruning *pruning_start(struct services *services);
/* After the loop has ended. NULL is fine. */
void pruning_destroy(struct pruning *pruning);

#endif
