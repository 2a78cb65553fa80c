#include "origin.h"

bool origin_is_own(struct slice origin, struct slice host)
{
    if (origin.length == 0) {
        return true;
    }
    const char *colon = memchr(origin.data, ':', origin.length);
    size_t scheme = colon != NULL ? (size_t)(colon - origin.data) : 0;
    return scheme > 0 && origin.length > scheme + 3 && memcmp(colon, "://", 3) == 0 &&
           slice_equals((struct slice){colon + 3, origin.length - scheme - 3}, host);
}
