#include "service/pruning.h"

#include <stddef.h>
#include <stdlib.h>

#include "realtime/event_log.h"
#include "work.h"

/* While there is more, a batch follows a short pause, so that others get their turn and the space of what went is used
 * again; else it looks again after a while. Several nodes may do it at once: they find less. */

enum { BATCH_EVENTS = 5000, BATCH_PAUSE_MS = 200, LOOK_INTERVAL_MS = 60 * 1000, RETRY_MS = 2000 };

struct pruning {
    struct timer timer;
    struct services *services;
};

static struct outcome finish(struct work *work, const struct db_rows *rows)
{
    struct pruning *pruning = work->data;
    bool has_more = db_rows_count(rows) > 0 && event_log_decode_pruned(rows) > 0;
    loop_timer_start(pruning->services->loop, &pruning->timer, has_more ? BATCH_PAUSE_MS : LOOK_INTERVAL_MS);
    return (struct outcome){.status = STATUS_OK};
}

static void on_done(void *data, const struct outcome *outcome)
{
    struct pruning *pruning = data;
    if (outcome->status != STATUS_OK) {
        loop_timer_start(pruning->services->loop, &pruning->timer, RETRY_MS);
    }
}

static void on_timer(struct timer *timer)
{
    struct pruning *pruning = (struct pruning *)((char *)timer - offsetof(struct pruning, timer));
    struct services *services = pruning->services;
    struct work *work = work_create(services, &(struct actor){.username = ""}, on_done, pruning);
    if (work != NULL) {
        event_log_prune(&work->call, services->config->event_retention_days, BATCH_EVENTS);
        work_read(work, finish);
    }
}

struct pruning *pruning_start(struct services *services)
{
    struct pruning *pruning = calloc(1, sizeof *pruning);
    if (pruning != NULL) {
        pruning->services = services;
        pruning->timer.on_fire = on_timer;
        loop_timer_start(services->loop, &pruning->timer, BATCH_PAUSE_MS);
    }
    return pruning;
}

void pruning_destroy(struct pruning *pruning)
{
    free(pruning);
}
