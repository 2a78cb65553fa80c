/* Random numbers for model checks: the same ones in each run, so that a failure comes again (splitmix64). */
#ifndef STONECHAT_TESTS_SUPPORT_PRNG_H
#define STONECHAT_TESTS_SUPPORT_PRNG_H

#include <stdint.h>

struct prng {
    uint64_t state;
};

static inline struct prng prng_init(uint64_t seed)
{
    return (struct prng){seed};
}

static inline uint64_t prng_next(struct prng *prng)
{
    uint64_t z = (prng->state += 0x9e3779b97f4a7c15ull);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

/* 0 … limit - 1; 0 when limit is 0. */
static inline uint64_t prng_below(struct prng *prng, uint64_t limit)
{
    return limit == 0 ? 0 : prng_next(prng) % limit;
}

#endif
