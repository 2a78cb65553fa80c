#include <limits.h>

#include "lane.h"
#include "util/log.h"

/* How a lane ends: nobody comes in, sockets are let go in turns, requests are answered, idle connections are shut, and
 * what is left when time is up is cut. The first lane ends last, and has a moment more to say that the process goes. */

enum { DRAIN_STEP_MS = 20, LET_GO_MIN = 20, SHUTDOWN_GRACE_MS = 1200, CUT_GRACE_MS = 500, LEAVE_MS = 1000 };

static int count_connections(const struct lane *lane)
{
    int upgraded = lane->worker->count_open != NULL ? lane->worker->count_open(lane->worker) : 0;
    return lane->proxied.count + lane->connections.count + upgraded;
}

/* By the others: what is on the first lane's loop answers the requests of all. */
static bool is_needed(const struct lane *lane)
{
    return lane_is_first(lane) && atomic_load(&lane->server->ended_count) < lane->server->count - 1;
}

static void end_lane(struct lane *lane)
{
    atomic_fetch_add(&lane->server->ended_count, 1);
    loop_timer_stop(lane->worker->loop, &lane->sweep);
    loop_timer_stop(lane->worker->loop, &lane->guard);
    loop_stop(lane->worker->loop);
}

static void on_leave(struct timer *timer)
{
    struct lane *lane = (struct lane *)((char *)timer - offsetof(struct lane, drain));
    struct server_worker *worker = lane->worker;
    bool has_left = worker->leave == NULL || worker->leave(worker);
    if (has_left || loop_now_ms(worker->loop) >= lane->drain_until_ms) {
        end_lane(lane);
    } else {
        loop_timer_start(worker->loop, timer, DRAIN_STEP_MS);
    }
}

static void leave(struct lane *lane)
{
    lane->drain_until_ms = loop_now_ms(lane->worker->loop) + LEAVE_MS;
    lane->drain.on_fire = on_leave;
    on_leave(&lane->drain);
}

/* Time is up: nothing may be left when the context goes, for libh2o has no way to end a connection from outside. */
static void on_cut(struct timer *timer)
{
    struct lane *lane = (struct lane *)((char *)timer - offsetof(struct lane, drain));
    struct loop *loop = lane->worker->loop;
    proxied_close_all(&lane->proxied);
    bool has_more = lane->connections.count > 0 && loop_now_ms(loop) < lane->drain_until_ms + CUT_GRACE_MS;
    if (has_more) {
        http_connections_cut(&lane->connections);
    }
    if (has_more || is_needed(lane)) {
        loop_timer_start(loop, &lane->drain, DRAIN_STEP_MS);
    } else {
        leave(lane);
    }
}

/* Sockets come back somewhere else, and a crowd that comes at once is as good as an attack. */
static int let_go_step(const struct lane *lane)
{
    int steps = lane->server->options.drain_s * 1000 / DRAIN_STEP_MS / 2;
    int share = steps > 0 ? count_connections(lane) / steps + 1 : INT_MAX;
    return share > LET_GO_MIN ? share : LET_GO_MIN;
}

static void let_go(struct lane *lane)
{
    struct server_worker *worker = lane->worker;
    if (lane->has_let_go) {
        return;
    }
    lane->has_let_go = worker->let_go == NULL || worker->let_go(worker, lane->let_go_step);
    lane->polite_until_ms = loop_now_ms(worker->loop) + SHUTDOWN_GRACE_MS;
    lane->let_go_turns++;
    if (lane->has_let_go && lane->let_go_turns > 1) {
        log_write(LOG_INFO, "sockets were told to come back, in turns", LOG_INT("turns", lane->let_go_turns));
    }
}

/* Looks again and again whether the last connection has gone; libh2o's own farewell takes a second. */
static void on_drain(struct timer *timer)
{
    struct lane *lane = (struct lane *)((char *)timer - offsetof(struct lane, drain));
    struct loop *loop = lane->worker->loop;
    uint64_t now_ms = loop_now_ms(loop);
    let_go(lane);
    lane->is_clean = count_connections(lane) == 0;
    if (lane->is_clean && !is_needed(lane)) {
        leave(lane);
    } else if (now_ms < lane->drain_until_ms) {
        if (lane->has_let_go && now_ms >= lane->polite_until_ms) {
            proxied_close_all(&lane->proxied);
            http_connections_shutdown(&lane->connections);
        }
        loop_timer_start(loop, timer, DRAIN_STEP_MS);
    } else {
        timer->on_fire = on_cut;
        on_cut(timer);
    }
}

static void on_notice(struct loop_task *task)
{
    struct lane *lane = (struct lane *)((char *)task - offsetof(struct lane, notice));
    lane->worker->http.is_draining = true;
    if (lane_is_first(lane)) {
        lane->server->operator_port.http.is_draining = true;
    }
}

static void on_stop(struct loop_task *task)
{
    struct lane *lane = (struct lane *)((char *)task - offsetof(struct lane, stop));
    lane_close_listener(lane);
    if (lane_is_first(lane)) {
        operator_port_close(&lane->server->operator_port);
    }
    lane->let_go_step = let_go_step(lane);
    let_go(lane);
    lane->connections.is_stopping = true;
    http_worker_stop_forwarding(&lane->worker->http);
    h2o_context_request_shutdown(&lane->context);
    uint64_t now_ms = loop_now_ms(lane->worker->loop);
    lane->drain_until_ms = now_ms + (uint64_t)lane->server->options.drain_s * 1000;
    lane->drain.on_fire = on_drain;
    loop_timer_start(lane->worker->loop, &lane->drain, DRAIN_STEP_MS);
}

void drain_announce(struct lane *lane)
{
    lane->notice.run = on_notice;
    loop_post(lane->worker->loop, &lane->notice);
}

void drain_start(struct lane *lane)
{
    lane->stop.run = on_stop;
    loop_post(lane->worker->loop, &lane->stop);
}
