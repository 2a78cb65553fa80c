#include "service/pruning.h"

#include <stddef.h>
#include <stdlib.h>

#include "realtime/event_log.h"
#include "repository/audit.h"
#include "repository/login.h"
#include "work.h"

/* While there is more of a kind, a batch follows a short pause, so that others get their turn and the space of what
 * went is used again; else it looks again after a while. Several nodes may do it at once: they find less. */

enum { BATCH_ROWS = 5000, BATCH_PAUSE_MS = 200, LOOK_INTERVAL_MS = 60 * 1000, RETRY_MS = 2000 };

/* What is pruned. */
struct kind {
    void (*fill)(struct db_call *call, const struct config *config);
    int64_t (*decode_pruned)(const struct db_rows *rows);
};

static void fill_events(struct db_call *call, const struct config *config)
{
    event_log_prune(call, config->event_retention_days, BATCH_ROWS);
}

static void fill_logins(struct db_call *call, const struct config *config)
{
    (void)config;
    login_prune(call, BATCH_ROWS);
}

static void fill_login_failures(struct db_call *call, const struct config *config)
{
    login_prune_failures(call, config->lockout_minutes, BATCH_ROWS);
}

static void fill_audit(struct db_call *call, const struct config *config)
{
    audit_prune(call, config->audit_retention_days, BATCH_ROWS);
}

static const struct kind KINDS[] = {
    {fill_events, event_log_decode_pruned},
    {fill_logins, login_decode_pruned},
    {fill_login_failures, login_decode_pruned},
    {fill_audit, audit_decode_pruned},
};

enum { KIND_COUNT = sizeof KINDS / sizeof KINDS[0] };

struct chore {
    struct timer timer;
    struct services *services;
    const struct kind *kind;
};

struct pruning {
    struct chore chores[KIND_COUNT];
};

static struct outcome finish(struct work *work, const struct db_rows *rows)
{
    struct chore *chore = work->data;
    bool has_more = db_rows_count(rows) > 0 && chore->kind->decode_pruned(rows) > 0;
    loop_timer_start(chore->services->loop, &chore->timer, has_more ? BATCH_PAUSE_MS : LOOK_INTERVAL_MS);
    return (struct outcome){.status = STATUS_OK};
}

static void on_done(void *data, const struct outcome *outcome)
{
    struct chore *chore = data;
    if (outcome->status != STATUS_OK) {
        loop_timer_start(chore->services->loop, &chore->timer, RETRY_MS);
    }
}

static void on_timer(struct timer *timer)
{
    struct chore *chore = (struct chore *)((char *)timer - offsetof(struct chore, timer));
    struct work *work = work_create(chore->services, &(struct actor){.username = ""}, on_done, chore);
    if (work != NULL) {
        chore->kind->fill(&work->call, chore->services->config);
        work_read(work, finish);
    }
}

struct pruning *pruning_start(struct services *services)
{
    struct pruning *pruning = calloc(1, sizeof *pruning);
    for (int i = 0; pruning != NULL && i < KIND_COUNT; i++) {
        struct chore *chore = &pruning->chores[i];
        *chore = (struct chore){.timer.on_fire = on_timer, .services = services, .kind = &KINDS[i]};
        loop_timer_start(services->loop, &chore->timer, BATCH_PAUSE_MS);
    }
    return pruning;
}

void pruning_destroy(struct pruning *pruning)
{
    free(pruning);
}
