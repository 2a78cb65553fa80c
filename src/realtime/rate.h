/* How much may come from one connection: so much a second, and twice that at once. */
#ifndef STONECHAT_REALTIME_RATE_H
#define STONECHAT_REALTIME_RATE_H

#include <stdbool.h>
#include <stdint.h>

/* All zeros is one of which nothing was taken. */
struct rate {
    uint64_t taken_milli; /* thousandths, not yet forgotten */
    uint64_t at_ms;
};

/* Takes `count`; false when that is more than may come. `per_second` 0 is no limit. */
static inline bool rate_take(struct rate *rate, uint32_t per_second, uint32_t count, uint64_t now_ms)
{
    uint64_t forgotten = (now_ms - rate->at_ms) * per_second;
    rate->taken_milli = rate->taken_milli > forgotten ? rate->taken_milli - forgotten : 0;
    rate->taken_milli += count * 1000ull;
    rate->at_ms = now_ms;
    return per_second == 0 || rate->taken_milli <= 2000ull * per_second;
}

#endif
