/* What every scenario is given: the options, the users, the connections' loop, and the window of time that is measured.
 */
#ifndef STONECHAT_BENCH_BENCH_H
#define STONECHAT_BENCH_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net.h"
#include "statistics.h"

struct user {
    char *id, *name, *token;
};

struct options {
    const char *host, *users_file;
    const char *server_pids, *postgres_pids; /* "" for none: then there are no CPU figures */
    double seconds, warmup_seconds;
    long port, other_port; /* other_port: of a second node on the same database; 0: none */
    long sockets, rate, window;
    bool is_json;
};

struct bench {
    struct options options;
    struct net net;
    struct user *users; /* in the order of their numbers; neighbours are contacts */
    size_t user_count;
};

/* Lets the connections work for that long. */
void bench_run_for(struct bench *bench, double seconds);

/* Runs the warm-up and then the window: counts into `tally` are taken during the window alone, and `row` is filled. */
void bench_measure(struct bench *bench, struct tally *tally, struct row *row);

struct usage bench_usage(const struct bench *bench);
/* Fills `row` from two readings of the scenario's own. */
void bench_fill_row(const struct bench *bench, struct row *row, const struct tally *tally, const struct usage *from,
                    const struct usage *to);

/* Prints the row. */
void bench_report(const struct bench *bench, const struct row *row);

/* A scenario: it runs once and reports its rows. False when it could not run. */
typedef bool scenario_run(struct bench *bench);

/* http_scenarios.c */
scenario_run scenario_chats, scenario_messages, scenario_post, scenario_health, scenario_login, scenario_pages,
    scenario_logins;
/* socket_scenarios.c */
scenario_run scenario_sockets, scenario_nodes, scenario_paced, scenario_connect, scenario_idle, scenario_fanout,
    scenario_reconnect, scenario_resume;

#endif
