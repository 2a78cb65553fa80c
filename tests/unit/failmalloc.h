/* The allocator of a test whose allocations fail: linked with --wrap for the three functions (CMakeLists.txt). One file
 * a program includes it. */
#ifndef STONECHAT_TESTS_FAILMALLOC_H
#define STONECHAT_TESTS_FAILMALLOC_H

#include <stdbool.h>
#include <stddef.h>

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *block, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *block, size_t size);

static int allocations_left = -1; /* -1: they never fail */

static bool may_allocate(void)
{
    if (allocations_left < 0) {
        return true;
    }
    return allocations_left > 0 && allocations_left-- > 0;
}

void *__wrap_malloc(size_t size)
{
    return may_allocate() ? __real_malloc(size) : NULL;
}

void *__wrap_calloc(size_t count, size_t size)
{
    return may_allocate() ? __real_calloc(count, size) : NULL;
}

void *__wrap_realloc(void *block, size_t size)
{
    return may_allocate() ? __real_realloc(block, size) : NULL;
}

#endif
