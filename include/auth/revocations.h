/* The logins that were ended before their tokens have expired. Tokens say by themselves that they are good; this set
 * takes that back, at the price of a look at a counter for each request. Shared by all threads. What is in the set is
 * worked out from the database by whoever fills it: until that was done once, nobody knows which tokens are good. */
#ifndef STONECHAT_AUTH_REVOCATIONS_H
#define STONECHAT_AUTH_REVOCATIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/uuid.h"

struct revocations;

/* NULL without memory. Empty, and not known to be whole. */
struct revocations *revocations_create(void);
/* No thread may use it any more. NULL is fine. */
void revocations_destroy(struct revocations *revocations);

enum revocations_added {
    REVOCATIONS_NEW,
    REVOCATIONS_OLD,    /* it was in the set */
    REVOCATIONS_FAILED, /* without memory: the set is not whole any more, until revocations_set_whole says so */
};

/* No token of the login is good; the last one of them expires at `until_s` (seconds since 1970). */
enum revocations_added revocations_add(struct revocations *revocations, struct uuid login_id, int64_t until_s);
bool revocations_hold(struct revocations *revocations, struct uuid login_id);

/* Everything that the database knew was added. */
void revocations_set_whole(struct revocations *revocations);
bool revocations_are_whole(const struct revocations *revocations);

/* Changes with each login that is added: who has looked at a login since the last change need not look again. Never 0.
 */
uint64_t revocations_version(const struct revocations *revocations);

/* Looks through so many places of the set, where the last call has stopped, and forgets the logins whose tokens have
 * all expired. */
void revocations_sweep(struct revocations *revocations, int64_t now_s, size_t places);
size_t revocations_count(struct revocations *revocations);

#endif
