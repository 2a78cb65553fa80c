/* The time on a clock that nobody sets, since some moment: for durations and deadlines. Any thread. */
#ifndef STONECHAT_UTIL_CLOCK_H
#define STONECHAT_UTIL_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline int64_t clock_now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static inline uint64_t clock_now_ms(void)
{
    return (uint64_t)clock_now_us() / 1000;
}

#endif
