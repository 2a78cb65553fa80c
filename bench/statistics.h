/* What is measured and how it is told: latencies and counts of a window of time, CPU time and memory of the processes
 * under test, and the rows that come of them. */
#ifndef STONECHAT_BENCH_STATISTICS_H
#define STONECHAT_BENCH_STATISTICS_H

#include <stdbool.h>
#include <stdint.h>

#include "util/slice.h"

/* Latencies by logarithm, 128 steps an octave: under 1 % off, at any length of run in the same memory. */
enum { HISTOGRAM_SLOTS = 58 * 128 };

struct tally {
    bool is_measuring; /* only then are counts and latencies taken; errors always are */
    uint64_t count;    /* replies, messages or frames */
    uint64_t errors;
    uint64_t max_ns;
    uint64_t slots[HISTOGRAM_SLOTS];
};

void tally_count(struct tally *tally, uint64_t latency_ns);
/* Counts an error and shows the first few on stderr. */
void tally_error(struct tally *tally, const char *what, struct slice detail);
/* The latency that the share `quantile` (0 to 1) of the counted stay below, in ms; NaN when nothing was counted. */
double tally_quantile_ms(const struct tally *tally, double quantile);

/* Processes, each with its children (PostgreSQL's are its connections), as a list of ids: "12,34"; may be empty. */
struct usage {
    uint64_t at_ns;
    double server_cpu_s, postgres_cpu_s, client_cpu_s;
    double server_rss_bytes;
};

struct usage usage_read(const char *server_pids, const char *postgres_pids);

/* One row of the result. NaN where the row has no such figure. */
struct row {
    const char *name, *unit;
    double rate; /* `unit` a second */
    double p50_ms, p99_ms, max_ms;
    double server_us, postgres_us; /* CPU a `unit` */
    double client_cpu_percent;     /* near 100 means that the load generator is the limit */
    double memory_bytes;           /* of the server, a connection */
    double kept_percent;           /* of the rate without the disturbance */
    uint64_t count, errors;
    int64_t lost, duplicated, reordered; /* of all messages sent, the warm-up included; -1 where nothing is delivered */
};

/* A row without figures. */
struct row row_init(const char *name, const char *unit);
/* Rate, latencies, errors and CPU of what `tally` counted between the two readings. */
void row_measure(struct row *row, const struct tally *tally, const struct usage *from, const struct usage *to,
                 bool has_server, bool has_postgres);

void row_print_header(void);
void row_print(const struct row *row);
void row_print_json(const struct row *row);

#endif
