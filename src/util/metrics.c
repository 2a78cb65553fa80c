#include "util/metrics.h"

#include <inttypes.h>
#include <stdatomic.h>

static const struct {
    const char *name, *labels, *type, *help;
} TABLE[] = {
#define X(name, metric, labels, type, help) {metric, labels, type, help},
    METRIC_MAP(X)
#undef X
};

static _Atomic(int64_t) values[METRIC_COUNT];

void metrics_add(enum metric metric, int64_t amount)
{
    atomic_fetch_add_explicit(&values[metric], amount, memory_order_relaxed);
}

void metrics_write(struct buffer *out)
{
    for (int i = 0; i < METRIC_COUNT; i++) {
        if (TABLE[i].help != NULL) {
            buffer_printf(out, "# HELP %s %s\n# TYPE %s %s\n", TABLE[i].name, TABLE[i].help, TABLE[i].name,
                          TABLE[i].type);
        }
        buffer_printf(out, "%s%s %" PRId64 "\n", TABLE[i].name, TABLE[i].labels,
                      atomic_load_explicit(&values[i], memory_order_relaxed));
    }
}
