/* The outcomes of util/status.h as tables: one row a status, all written from the one map. */
#include "util/status.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

static const struct {
    const char *code, *message;
    int http;
} statuses[STATUS_COUNT] = {
#define X(name, stable_code, http_status, default_message, advice) {stable_code, default_message, http_status},
    STATUS_MAP(X)
#undef X
};

const char *status_code(enum status status)
{
    assert((unsigned)status < STATUS_COUNT);
    return statuses[status].code;
}

enum status status_of_code(const char *code)
{
    for (size_t i = 0; i < STATUS_COUNT; i++) {
        if (strcmp(statuses[i].code, code) == 0) {
            return (enum status)i;
        }
    }
    return STATUS_INTERNAL;
}

int status_http(enum status status)
{
    assert((unsigned)status < STATUS_COUNT);
    return statuses[status].http;
}

const char *status_message(enum status status)
{
    assert((unsigned)status < STATUS_COUNT);
    return statuses[status].message;
}
