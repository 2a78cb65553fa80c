/* The socket scenarios: a crowd of clients is let in, 64 at a time, and then talks.
 *
 * Messages go between neighbours (users 1 and 2, 3 and 4, …) and carry in their content who sent them, a number counted
 * from 0 by each sender, and when. So the receiver knows what is lost, comes twice, or out of order, and how long it
 * took. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "socketio_client.h"

enum { HANDSHAKES_AT_ONCE = 64, TALKERS = 200, PACED_TALKERS = 1000, FANOUT_SOCKETS = 1000, FANOUT_EVENTS_AHEAD = 2 };
enum { RESUMERS = 200, RESUMED_EVENTS = 500 };
static const double HANDSHAKE_LIMIT_S = 180, DRAIN_LIMIT_S = 20, IDLE_SETTLE_S = 4;

/* --- a crowd of clients --- */

struct crowd {
    struct bench *bench;
    struct socketio_client *clients; /* owned */
    size_t count, ready, failed;
    size_t *turned_away; /* they try again; NULL: that is an error */
    size_t turned_away_count;
    struct tally tally;
};

static void on_ready(struct socketio_client *client)
{
    struct crowd *crowd = client->owner;
    crowd->ready++;
    tally_count(&crowd->tally, net_now_ns() - client->started_at_ns);
}

static void on_failure(struct socketio_client *client, const char *reason, struct slice detail)
{
    struct crowd *crowd = client->owner;
    if (crowd->turned_away != NULL) {
        crowd->turned_away[crowd->turned_away_count++] = client->index;
        return;
    }
    crowd->failed++;
    tally_error(&crowd->tally, reason, detail);
}

static bool starts_with(struct slice text, struct slice prefix)
{
    return text.length >= prefix.length && memcmp(text.data, prefix.data, prefix.length) == 0;
}

/* Connects all clients, so many at a time. False when some are not let in. */
static bool crowd_connect(struct crowd *crowd, size_t at_once, const struct socketio_callbacks *callbacks)
{
    const uint64_t deadline_ns = net_now_ns() + (uint64_t)(HANDSHAKE_LIMIT_S * 1e9);
    const size_t count = crowd->count;
    size_t started = 0;
    crowd->ready = crowd->failed = 0;
    while (crowd->ready + crowd->failed < count && net_now_ns() < deadline_ns) {
        while (started < count && started - crowd->ready - crowd->failed < at_once) {
            socketio_connect(&crowd->clients[started++], &crowd->bench->net, callbacks);
        }
        net_poll(&crowd->bench->net, 10000000u);
        while (crowd->turned_away_count > 0) {
            socketio_connect(&crowd->clients[crowd->turned_away[--crowd->turned_away_count]], &crowd->bench->net,
                             callbacks);
        }
    }
    crowd->count = started;
    return crowd->ready == count;
}

/* Lets `count` clients in: client i is user i, or (`is_one_user`) user 0 for client 0 and user 1 for all others. */
static bool crowd_open(struct crowd *crowd, struct bench *bench, size_t count, bool is_one_user,
                       const struct socketio_callbacks *callbacks)
{
    crowd->bench = bench;
    crowd->clients = calloc(count, sizeof *crowd->clients);
    crowd->count = crowd->clients != NULL ? count : 0;
    if (crowd->count == 0 || bench->user_count < (is_one_user ? 2 : count)) {
        tally_error(&crowd->tally, "too few users, or no memory", SLICE(""));
        crowd->count = 0;
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        struct socketio_client *client = &crowd->clients[i];
        client->owner = crowd;
        client->index = i;
        client->token = bench->users[is_one_user && i > 1 ? 1 : i].token;
        client->connection.fd = -1;
    }
    return crowd_connect(crowd, HANDSHAKES_AT_ONCE, callbacks);
}

/* All connections end at once. */
static void crowd_cut(struct crowd *crowd)
{
    net_poll(&crowd->bench->net, 0); /* nothing of ours may stay queued */
    for (size_t i = 0; i < crowd->count; i++) {
        socketio_close(&crowd->clients[i]);
    }
}

/* How many have not gone on with the session that they had. */
static int64_t crowd_count_unrecovered(const struct crowd *crowd)
{
    int64_t count = 0;
    for (size_t i = 0; i < crowd->count; i++) {
        count += !crowd->clients[i].is_recovered;
    }
    return count;
}

static void crowd_close(struct crowd *crowd)
{
    crowd_cut(crowd);
    free(crowd->clients);
}

/* --- messages between neighbours --- */

/* What a client has sent, and what it got from its neighbour. */
struct talker {
    uint64_t sent, acked;
    uint64_t received, duplicated, reordered, highest;
    unsigned char *is_received; /* by number; owned */
    size_t capacity;
};

struct talk {
    struct crowd crowd; /* first: the clients' owner */
    struct talker *talkers;
    uint64_t run_id; /* tells this run's messages from others */
    uint64_t window; /* messages under way a client; 0: the clock sends */
    uint64_t limit;  /* messages of a client; 0: without end */
    bool is_stopped;
};

static void say(struct talk *talk, struct socketio_client *client, uint64_t at_ns)
{
    static const char padding[] = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"; /* 64 */
    const struct user *users = talk->crowd.bench->users;
    char content[128], arguments[512];
    int length = snprintf(content, sizeof content, "%016" PRIx64 ".%zu.%" PRIu64 ".%" PRIu64 ".", talk->run_id,
                          client->index, talk->talkers[client->index].sent++, at_ns);
    const int missing = (int)sizeof padding - 1 - length;
    length = snprintf(arguments, sizeof arguments, "{\"receiverId\":\"%s\",\"content\":\"%s%.*s\"}",
                      users[client->index ^ 1].id, content, missing > 0 ? missing : 0, padding);
    socketio_emit(client, "private-message", (struct slice){arguments, (size_t)length});
}

/* Marks message `number` as received, and counts what is wrong with it. */
static void hear(struct talker *talker, uint64_t number)
{
    if (number >= talker->capacity) {
        const size_t capacity = (number + 1) * 2;
        unsigned char *grown = realloc(talker->is_received, capacity);
        if (grown == NULL) {
            abort();
        }
        memset(grown + talker->capacity, 0, capacity - talker->capacity);
        talker->is_received = grown;
        talker->capacity = capacity;
    }
    if (talker->is_received[number]) {
        talker->duplicated++;
        return;
    }
    talker->is_received[number] = 1;
    talker->reordered += talker->received > 0 && number < talker->highest;
    talker->received++;
    talker->highest = number > talker->highest ? number : talker->highest;
}

/* Hears a message of this run. False when it is something else. */
static bool take_message(struct socketio_client *client, struct slice packet, uint64_t *ret_sent_at_ns)
{
    static const char key[] = "\"content\":\"";
    struct talk *talk = client->owner;
    if (!starts_with(packet, SLICE("[\"private-message\","))) {
        return false;
    }
    const char *at = memmem(packet.data, packet.length, key, sizeof key - 1);
    char *next;
    if (at == NULL || strtoull(at + sizeof key - 1, &next, 16) != talk->run_id || *next != '.') {
        return false;
    }
    const size_t sender = strtoull(next + 1, &next, 10);
    const uint64_t number = strtoull(next + 1, &next, 10);
    *ret_sent_at_ns = strtoull(next + 1, &next, 10);
    if (sender != (client->index ^ 1) || number >= talk->talkers[sender].sent) {
        tally_error(&talk->crowd.tally, "a message for someone else", packet);
        return false;
    }
    hear(&talk->talkers[client->index], number);
    return true;
}

static void on_message(struct socketio_client *client, struct slice packet)
{
    struct talk *talk = client->owner;
    uint64_t sent_at_ns;
    if (take_message(client, packet, &sent_at_ns)) {
        tally_count(&talk->crowd.tally, net_now_ns() - sent_at_ns);
    }
}

static void fill_window(struct talk *talk, struct socketio_client *client)
{
    const struct talker *talker = &talk->talkers[client->index];
    while (!talk->is_stopped && talker->sent - talker->acked < talk->window &&
           (talk->limit == 0 || talker->sent < talk->limit)) {
        say(talk, client, net_now_ns());
    }
}

static void on_message_ack(struct socketio_client *client, struct slice packet)
{
    struct talk *talk = client->owner;
    talk->talkers[client->index].acked++;
    if (!starts_with(packet, SLICE("[{\"success\":true"))) {
        tally_error(&talk->crowd.tally, "message refused", packet);
    }
    fill_window(talk, client);
}

static bool is_all_said(const struct talk *talk)
{
    for (size_t i = 0; i < talk->crowd.count; i++) {
        const struct talker *talker = &talk->talkers[i];
        if (talker->acked < talker->sent || talk->talkers[i ^ 1].received < talker->sent) {
            return false;
        }
    }
    return true;
}

/* Waits until everything sent is acked and delivered. */
static void talk_drain(struct talk *talk)
{
    const uint64_t deadline_ns = net_now_ns() + (uint64_t)(DRAIN_LIMIT_S * 1e9);
    while (!is_all_said(talk) && net_now_ns() < deadline_ns) {
        net_poll(&talk->crowd.bench->net, 10000000u);
    }
}

/* Drains, counts what is missing, closes and frees. */
static void talk_finish(struct talk *talk, struct row *row)
{
    talk->is_stopped = true;
    talk_drain(talk);
    row->lost = row->duplicated = row->reordered = 0;
    for (size_t i = 0; i < talk->crowd.count; i++) {
        const struct talker *talker = &talk->talkers[i];
        row->lost += (int64_t)(talk->talkers[i ^ 1].sent - talker->received);
        row->duplicated += (int64_t)talker->duplicated;
        row->reordered += (int64_t)talker->reordered;
        free(talker->is_received);
    }
    row->errors = talk->crowd.tally.errors;
    crowd_close(&talk->crowd);
    free(talk->talkers);
}

static struct talk *talk_open(struct bench *bench, size_t count, uint64_t window)
{
    static const struct socketio_callbacks callbacks = {
        .on_ready = on_ready, .on_event = on_message, .on_ack = on_message_ack, .on_failure = on_failure};
    struct talk *talk = calloc(1, sizeof *talk);
    if (talk == NULL) {
        return NULL;
    }
    talk->talkers = calloc(count, sizeof *talk->talkers);
    talk->run_id = net_now_ns();
    talk->window = window;
    if (talk->talkers == NULL || !crowd_open(&talk->crowd, bench, count, false, &callbacks)) {
        crowd_close(&talk->crowd);
        free(talk->talkers);
        free(talk);
        return NULL;
    }
    return talk;
}

static bool run_sockets(struct bench *bench, const char *name)
{
    struct row row = row_init(name, "message");
    struct talk *talk = talk_open(bench, TALKERS, (uint64_t)bench->options.window);
    if (talk == NULL) {
        return false;
    }
    for (size_t i = 0; i < talk->crowd.count; i++) {
        fill_window(talk, &talk->crowd.clients[i]);
    }
    bench_measure(bench, &talk->crowd.tally, &row);
    talk_finish(talk, &row);
    bench_report(bench, &row);
    free(talk);
    return true;
}

bool scenario_sockets(struct bench *bench)
{
    return run_sockets(bench, "sockets");
}

/* Neighbours are at different nodes. */
bool scenario_nodes(struct bench *bench)
{
    return bench->options.other_port != 0 && run_sockets(bench, "nodes");
}

/* Sends by the clock for that long. Latencies count from when a message was due, so that a pause isn't hidden. */
static void talk_by_clock(struct talk *talk, double seconds, uint64_t *next_sender, uint64_t *next_ns)
{
    struct bench *bench = talk->crowd.bench;
    const uint64_t end_ns = net_now_ns() + (uint64_t)(seconds * 1e9);
    const uint64_t step_ns = 1000000000u / (uint64_t)bench->options.rate;
    for (uint64_t now_ns; (now_ns = net_now_ns()) < end_ns;) {
        for (; *next_ns <= now_ns; *next_ns += step_ns) {
            say(talk, &talk->crowd.clients[(*next_sender)++ % talk->crowd.count], *next_ns);
        }
        const uint64_t wake_ns = *next_ns < end_ns ? *next_ns : end_ns;
        now_ns = net_now_ns();
        net_poll(&bench->net, wake_ns > now_ns ? wake_ns - now_ns : 0);
    }
}

bool scenario_paced(struct bench *bench)
{
    struct row row = row_init("paced", "message");
    struct talk *talk = talk_open(bench, PACED_TALKERS, 0);
    if (talk == NULL) {
        return false;
    }
    uint64_t next_sender = 0, next_ns = net_now_ns();
    talk_by_clock(talk, bench->options.warmup_seconds, &next_sender, &next_ns);
    const struct usage from = bench_usage(bench);
    talk->crowd.tally.is_measuring = true;
    talk_by_clock(talk, bench->options.seconds, &next_sender, &next_ns);
    talk->crowd.tally.is_measuring = false;
    const struct usage to = bench_usage(bench);
    bench_fill_row(bench, &row, &talk->crowd.tally, &from, &to);
    talk_finish(talk, &row);
    bench_report(bench, &row);
    free(talk);
    return true;
}

/* --- catching up --- */

/* Its time counts from when the client began to connect. */
static void on_missed_message(struct socketio_client *client, struct slice packet)
{
    struct talk *talk = client->owner;
    uint64_t sent_at_ns;
    if (take_message(client, packet, &sent_at_ns)) {
        tally_count(&talk->crowd.tally, net_now_ns() - client->started_at_ns);
    }
}

static void forget_received(struct talk *talk)
{
    for (size_t i = 0; i < talk->crowd.count; i++) {
        struct talker *talker = &talk->talkers[i];
        free(talker->is_received);
        *talker = (struct talker){.sent = talker->sent, .acked = talker->acked};
    }
}

/* Everybody has been told something, is cut off, and comes back as if it had heard nothing of it. */
bool scenario_resume(struct bench *bench)
{
    static const struct socketio_callbacks callbacks = {
        .on_ready = on_ready, .on_event = on_missed_message, .on_ack = on_message_ack, .on_failure = on_failure};
    struct row row = row_init("resume", "event");
    struct talk *talk = talk_open(bench, RESUMERS, (uint64_t)bench->options.window);
    if (talk == NULL) {
        return false;
    }
    talk->limit = RESUMED_EVENTS;
    for (size_t i = 0; i < talk->crowd.count; i++) {
        fill_window(talk, &talk->crowd.clients[i]);
    }
    talk_drain(talk);
    crowd_cut(&talk->crowd);
    forget_received(talk);
    const struct usage from = bench_usage(bench);
    talk->crowd.tally.is_measuring = true;
    const bool is_back = crowd_connect(&talk->crowd, RESUMERS, &callbacks);
    talk_drain(talk);
    talk->crowd.tally.is_measuring = false;
    const struct usage to = bench_usage(bench);
    talk->crowd.tally.count -= is_back ? RESUMERS : 0; /* on_ready counted them */
    bench_fill_row(bench, &row, &talk->crowd.tally, &from, &to);
    talk_finish(talk, &row);
    bench_report(bench, &row);
    free(talk);
    return is_back;
}

/* --- connecting, and staying idle --- */

static void ignore(struct socketio_client *client, struct slice packet)
{
    (void)client;
    (void)packet;
}

static const struct socketio_callbacks idle_callbacks = {
    .on_ready = on_ready, .on_event = ignore, .on_ack = ignore, .on_failure = on_failure};

static bool connect_all(struct bench *bench, bool is_idle)
{
    struct row connect = row_init("connect", "socket"), idle = row_init("idle", "socket");
    struct crowd crowd = {.tally = {.is_measuring = true}};
    const struct usage from = bench_usage(bench);
    const bool is_open = crowd_open(&crowd, bench, (size_t)bench->options.sockets, false, &idle_callbacks);
    const struct usage to = bench_usage(bench);
    crowd.tally.is_measuring = false;
    bench_fill_row(bench, &connect, &crowd.tally, &from, &to);
    bench_report(bench, &connect);
    if (is_open && is_idle) {
        bench_run_for(bench, IDLE_SETTLE_S);
        const struct usage settled = bench_usage(bench);
        idle.count = crowd.ready;
        idle.errors = crowd.tally.errors;
        idle.memory_bytes = (settled.server_rss_bytes - from.server_rss_bytes) / (double)crowd.ready;
        bench_report(bench, &idle);
    }
    crowd_close(&crowd);
    return is_open;
}

bool scenario_connect(struct bench *bench)
{
    return connect_all(bench, false);
}

bool scenario_idle(struct bench *bench)
{
    return connect_all(bench, true);
}

/* All are cut off at once, and all come back at once: also those that a busy server sends away again. */
static bool reconnect_all(struct bench *bench, const char *name, size_t count)
{
    struct row row = row_init(name, "socket");
    struct crowd crowd = {0};
    bool is_open = crowd_open(&crowd, bench, count, false, &idle_callbacks);
    if (is_open) {
        crowd_cut(&crowd);
        crowd.turned_away = calloc(count, sizeof *crowd.turned_away);
        const struct usage from = bench_usage(bench);
        crowd.tally.is_measuring = true;
        is_open = crowd_connect(&crowd, count, &idle_callbacks);
        const struct usage to = bench_usage(bench);
        bench_fill_row(bench, &row, &crowd.tally, &from, &to);
        row.lost = crowd_count_unrecovered(&crowd);
        row.duplicated = row.reordered = 0;
        bench_report(bench, &row);
    }
    crowd_close(&crowd);
    free(crowd.turned_away);
    return is_open;
}

bool scenario_reconnect(struct bench *bench)
{
    const size_t most = (size_t)bench->options.sockets;
    return reconnect_all(bench, "reconnect-few", most / 10) && reconnect_all(bench, "reconnect-all", most);
}

/* --- one event to a thousand sockets of one user --- */

struct fanout {
    struct crowd crowd; /* first: the clients' owner */
    uint64_t sent_at_ns[FANOUT_EVENTS_AHEAD + 1];
    uint64_t sent, acked, frames;
    uint64_t frames_of[FANOUT_SOCKETS + 1];
    bool is_stopped;
};

static void fan_out(struct fanout *fanout)
{
    const struct bench *bench = fanout->crowd.bench;
    char arguments[128];
    while (!fanout->is_stopped && fanout->sent - fanout->acked < FANOUT_EVENTS_AHEAD &&
           fanout->sent * FANOUT_SOCKETS < fanout->frames + FANOUT_EVENTS_AHEAD * FANOUT_SOCKETS) {
        fanout->sent_at_ns[fanout->sent++ % (FANOUT_EVENTS_AHEAD + 1)] = net_now_ns();
        const int length = snprintf(arguments, sizeof arguments, "{\"receiverId\":\"%s\"}", bench->users[1].id);
        socketio_emit(&fanout->crowd.clients[0], "typing", (struct slice){arguments, (size_t)length});
    }
}

/* A socket's n-th frame is the n-th event's: they come in order. */
static void on_typing(struct socketio_client *client, struct slice packet)
{
    struct fanout *fanout = client->owner;
    if (!starts_with(packet, SLICE("[\"typing\","))) {
        return;
    }
    const uint64_t event = fanout->frames_of[client->index]++;
    fanout->frames++;
    tally_count(&fanout->crowd.tally, net_now_ns() - fanout->sent_at_ns[event % (FANOUT_EVENTS_AHEAD + 1)]);
    fan_out(fanout);
}

static void on_typing_ack(struct socketio_client *client, struct slice packet)
{
    struct fanout *fanout = client->owner;
    fanout->acked++;
    if (!starts_with(packet, SLICE("[{\"success\":true"))) {
        tally_error(&fanout->crowd.tally, "typing refused", packet);
    }
    fan_out(fanout);
}

bool scenario_fanout(struct bench *bench)
{
    static const struct socketio_callbacks callbacks = {
        .on_ready = on_ready, .on_event = on_typing, .on_ack = on_typing_ack, .on_failure = on_failure};
    struct row row = row_init("fanout", "frame");
    struct fanout *fanout = calloc(1, sizeof *fanout);
    if (fanout == NULL) {
        return false;
    }
    const bool is_open = crowd_open(&fanout->crowd, bench, FANOUT_SOCKETS + 1, true, &callbacks);
    if (is_open) {
        fan_out(fanout);
        bench_measure(bench, &fanout->crowd.tally, &row);
        fanout->is_stopped = true;
        const uint64_t deadline_ns = net_now_ns() + (uint64_t)(DRAIN_LIMIT_S * 1e9);
        while (fanout->frames < fanout->sent * FANOUT_SOCKETS && net_now_ns() < deadline_ns) {
            net_poll(&bench->net, 10000000u);
        }
        row.lost = (int64_t)(fanout->sent * FANOUT_SOCKETS) - (int64_t)fanout->frames;
        row.errors = fanout->crowd.tally.errors;
        bench_report(bench, &row);
    }
    crowd_close(&fanout->crowd);
    free(fanout);
    return is_open;
}
