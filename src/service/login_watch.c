#include <stddef.h>
#include <stdlib.h>
#include <time.h>

#include "ending.h"
#include "service/logins.h"
#include "work.h"

/* The database has the truth, and whoever says that there is something new need not be believed: it is read what was
 * revoked since the last reading, and a margin before it, since a transaction becomes visible later than it began. A
 * statement of ours takes 30 s at most. It goes by the database's clock. When that was put back, what was seen and
 * forgotten while it was ahead is not to be relied on: all is read again. */

enum { MARGIN_US = 60 * 1000 * 1000, PAUSE_MS = 100, RETRY_MS = 1000, FIRST_RETRY_MS = 50 };
enum { SWEPT_PLACES = 4096, SKEW_S = 5 * 60 /* as login_list_revoked allows: tokens end by the clock of each node */ };

struct login_watch {
    struct services *services;
    struct timer timer;
    int64_t since_us;
    int64_t now_us; /* the database's time at the last reading */
    bool is_busy;   /* it reads, or pauses after that */
    bool is_asked;  /* to look again */
};

static const struct actor NOBODY = {.username = ""};

static struct outcome finish(struct work *work, const struct db_rows *rows)
{
    struct login_watch *watch = work->data;
    struct services *services = watch->services;
    bool is_good = db_rows_count(rows) > 0;
    for (int i = 0; i < db_rows_count(rows); i++) {
        struct login_ended ended = login_decode_revoked(rows, i);
        is_good = (uuid_is_nil(ended.id) || ending_note(services, &ended)) && is_good;
    }
    if (!is_good) {
        watch->since_us = 0;
        return (struct outcome){.status = STATUS_UNAVAILABLE};
    }
    int64_t now_us = login_decode_now_us(rows);
    bool was_put_back = now_us < watch->now_us;
    watch->now_us = now_us;
    watch->since_us = was_put_back ? 0 : now_us - MARGIN_US;
    watch->is_asked = watch->is_asked || was_put_back;
    revocations_set_whole(services->revocations);
    int64_t now_s = now_us / 1000000, here_s = time(NULL); /* tokens end by the latter */
    revocations_sweep(services->revocations, (now_s < here_s ? now_s : here_s) - SKEW_S, SWEPT_PLACES);
    return (struct outcome){.status = STATUS_OK};
}

static void on_done(void *data, const struct outcome *outcome)
{
    struct login_watch *watch = data;
    bool is_first = !revocations_are_whole(watch->services->revocations);
    bool is_good = outcome->status == STATUS_OK;
    watch->is_asked = watch->is_asked || !is_good;
    loop_timer_start(watch->services->loop, &watch->timer, is_good ? PAUSE_MS : is_first ? FIRST_RETRY_MS : RETRY_MS);
}

static void read_newest(struct login_watch *watch)
{
    watch->is_busy = true;
    watch->is_asked = false;
    if (!revocations_are_whole(watch->services->revocations)) {
        watch->since_us = 0; /* for the first time, or there was no memory for one of them */
    }
    struct work *work = work_create(watch->services, &NOBODY, on_done, watch);
    if (work != NULL) {
        login_list_revoked(&work->call, watch->since_us);
        work_read(work, finish);
    }
}

static void on_timer(struct timer *timer)
{
    struct login_watch *watch = (struct login_watch *)((char *)timer - offsetof(struct login_watch, timer));
    watch->is_busy = false;
    if (watch->is_asked) {
        read_newest(watch);
    }
}

void login_watch_look(struct login_watch *watch)
{
    watch->is_asked = true;
    if (!watch->is_busy) {
        read_newest(watch);
    }
}

struct login_watch *login_watch_start(struct services *services)
{
    struct login_watch *watch = calloc(1, sizeof *watch);
    if (watch != NULL) {
        watch->services = services;
        watch->timer.on_fire = on_timer;
        watch->is_busy = watch->is_asked = true;
        loop_timer_start(services->loop, &watch->timer, 0);
    }
    return watch;
}

void login_watch_destroy(struct login_watch *watch)
{
    free(watch);
}
