/* The second factor of a user: the statements, and what their rows say. Each function fills `call`; the texts must stay
 * until the call is done. `ip` is for the audit log: from where it was asked, maybe empty. All but two_factor_find give
 * one row, a status: see migrations/0011_two_factors.sql and 0013_corrections.sql. */
#ifndef STONECHAT_REPOSITORY_TWO_FACTOR_H
#define STONECHAT_REPOSITORY_TWO_FACTOR_H

#include "db/db.h"

/* What there is of a user's second factor; texts live as long as the rows. */
struct two_factor {
    bool exists, is_enabled, is_locked;
    struct slice secret; /* sealed; empty where there is none */
};
void two_factor_find(struct db_call *call, struct uuid user_id);
struct two_factor two_factor_decode(const struct db_rows *rows);

void two_factor_setup(struct db_call *call, struct uuid user_id, struct slice secret, struct slice ip);
/* `secret` as it was found, sealed: another is not enabled. `hashes` of the recovery codes, separated by commas. */
void two_factor_enable(struct db_call *call, struct uuid user_id, struct slice secret, int64_t step,
                       struct slice hashes, struct slice ip);
/* Takes a right code: of a step, or the recovery code with this hash (empty: none). */
void two_factor_use(struct db_call *call, struct uuid user_id, int64_t step, struct slice hash, struct slice ip);
void two_factor_fail(struct db_call *call, struct uuid user_id, int64_t max_failures, int64_t lockout_minutes,
                     struct slice ip);
void two_factor_disable(struct db_call *call, struct uuid user_id, struct slice ip);
/* Puts the secret, sealed anew, in place of `old`. Gives no row of interest. */
void two_factor_reseal(struct db_call *call, struct uuid user_id, struct slice old, struct slice new);

#endif
