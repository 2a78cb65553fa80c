/* Looks at the calls under way, once a second: they are few, and PostgreSQL has them in an index of their own. What
 * rang for too long is missed; a call whose both parties are offline has ended, which presence knows after its grace
 * time. */
#include <stddef.h>
#include <stdlib.h>

#include "repository/call.h"
#include "service/calls.h"
#include "work.h"

enum { LOOK_INTERVAL_MS = 1000 };

struct call_supervisor {
    struct timer timer;
    struct services *services;
    uint64_t not_before_ms; /* after a start, people get the grace time to come back */
};

static void ignore(void *data, const struct outcome *outcome)
{
    (void)data, (void)outcome;
}

static struct outcome finish_ending(struct work *work, const struct db_rows *rows)
{
    (void)work, (void)rows;
    return (struct outcome){.status = STATUS_OK};
}

static const struct actor NOBODY = {.username = ""};

static void expire(struct services *services)
{
    struct work *work = work_create(services, &NOBODY, ignore, NULL);
    if (work != NULL) {
        call_expire(&work->call, services->config->call_ring_seconds);
        work->call.on_commit = work_publish;
        work_append(work, finish_ending);
    }
}

static void abandon(struct services *services, struct uuid call_id)
{
    struct work *work = work_create(services, &NOBODY, ignore, NULL);
    if (work != NULL) {
        call_abandon(&work->call, call_id);
        work->call.on_commit = work_publish;
        work_append(work, finish_ending);
    }
}

static void on_looked(void *data, const struct outcome *outcome)
{
    (void)outcome;
    struct call_supervisor *supervisor = data;
    loop_timer_start(supervisor->services->loop, &supervisor->timer, LOOK_INTERVAL_MS);
}

static struct outcome finish_look(struct work *work, const struct db_rows *rows)
{
    struct call_supervisor *supervisor = work->data;
    struct services *services = work->services;
    bool may_abandon = loop_now_ms(services->loop) >= supervisor->not_before_ms, is_any_late = false;
    for (int i = 0; i < db_rows_count(rows); i++) {
        struct call_parties parties = call_parties_decode(rows, i);
        is_any_late = is_any_late || parties.is_late;
        if (may_abandon && !parties.is_late && !presence_is_online(services->presence, parties.caller_id) &&
            !presence_is_online(services->presence, parties.callee_id)) {
            abandon(services, parties.id);
        }
    }
    if (is_any_late) {
        expire(services);
    }
    return (struct outcome){.status = STATUS_OK};
}

static void on_timer(struct timer *timer)
{
    struct call_supervisor *supervisor =
        (struct call_supervisor *)((char *)timer - offsetof(struct call_supervisor, timer));
    struct services *services = supervisor->services;
    struct work *work = work_create(services, &NOBODY, on_looked, supervisor);
    if (work != NULL) {
        call_list_active(&work->call, services->config->call_ring_seconds);
        work_read(work, finish_look);
    }
}

struct call_supervisor *calls_supervise(struct services *services)
{
    struct call_supervisor *supervisor = calloc(1, sizeof *supervisor);
    if (supervisor != NULL) {
        supervisor->services = services;
        supervisor->timer.on_fire = on_timer;
        supervisor->not_before_ms = loop_now_ms(services->loop) + (uint64_t)services->config->presence_grace_ms;
        loop_timer_start(services->loop, &supervisor->timer, LOOK_INTERVAL_MS);
    }
    return supervisor;
}

void calls_supervisor_destroy(struct call_supervisor *supervisor)
{
    free(supervisor);
}
