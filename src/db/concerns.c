#include "concerns.h"

#include <string.h>

/* The last bytes of the ids that we make are random (version 7, RFC 9562 section 5.7). */
static unsigned place_of(struct uuid id)
{
    uint16_t last;
    memcpy(&last, id.bytes + sizeof id.bytes - sizeof last, sizeof last);
    return last % CONCERNS_BITS;
}

/* The next parameter that says whom the call concerns, from `index`; -1 when there is none. */
static int next_concern(const struct db_call *call, int index)
{
    const char *parameters = call->statement->parameters;
    for (const char *found = parameters + index; (found = strchr(found, 'U')) != NULL; found++) {
        if (!call->values[found - parameters].is_null) {
            return (int)(found - parameters);
        }
    }
    return -1;
}

void concerns_add(struct concerns *concerns, const struct db_call *call)
{
    for (int i = 0; (i = next_concern(call, i)) >= 0; i++) {
        unsigned place = place_of(call->values[i].uuid);
        concerns->bits[place / 64] |= (uint64_t)1 << place % 64;
    }
}

void concerns_add_all(struct concerns *concerns, const struct concerns *others)
{
    for (int i = 0; i < CONCERNS_BITS / 64; i++) {
        concerns->bits[i] |= others->bits[i];
    }
}

bool concerns_have(const struct concerns *concerns, const struct db_call *call)
{
    for (int i = 0; (i = next_concern(call, i)) >= 0; i++) {
        unsigned place = place_of(call->values[i].uuid);
        if ((concerns->bits[place / 64] >> place % 64 & 1) != 0) {
            return true;
        }
    }
    return false;
}
