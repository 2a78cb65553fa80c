/* Whom and what calls concern: the values of their statement's parameters U. A set of a fixed size that never forgets
 * one, and may take another for it: then a call waits for a moment without need. Private to db. */
#ifndef STONECHAT_DB_CONCERNS_H
#define STONECHAT_DB_CONCERNS_H

#include "db/db.h"

enum { CONCERNS_BITS = 1 << 14 };

struct concerns {
    uint64_t bits[CONCERNS_BITS / 64];
};

void concerns_add(struct concerns *concerns, const struct db_call *call);
void concerns_add_all(struct concerns *concerns, const struct concerns *others);

/* Is something that the call concerns in the set? */
bool concerns_have(const struct concerns *concerns, const struct db_call *call);

#endif
