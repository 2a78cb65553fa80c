/* The window of time that is measured, the same for every scenario. */
#include "bench.h"

void bench_run_for(struct bench *bench, double seconds)
{
    const uint64_t end_ns = net_now_ns() + (uint64_t)(seconds * 1e9);
    for (uint64_t now_ns; (now_ns = net_now_ns()) < end_ns;) {
        net_poll(&bench->net, end_ns - now_ns);
    }
}

struct usage bench_usage(const struct bench *bench)
{
    return usage_read(bench->options.server_pids, bench->options.postgres_pids);
}

void bench_fill_row(const struct bench *bench, struct row *row, const struct tally *tally, const struct usage *from,
                    const struct usage *to)
{
    row_measure(row, tally, from, to, *bench->options.server_pids != '\0', *bench->options.postgres_pids != '\0');
}

void bench_measure(struct bench *bench, struct tally *tally, struct row *row)
{
    bench_run_for(bench, bench->options.warmup_seconds);
    const struct usage from = bench_usage(bench);
    tally->is_measuring = true;
    bench_run_for(bench, bench->options.seconds);
    tally->is_measuring = false;
    const struct usage to = bench_usage(bench);
    bench_fill_row(bench, row, tally, &from, &to);
}

void bench_report(const struct bench *bench, const struct row *row)
{
    if (bench->options.is_json) {
        row_print_json(row);
    } else {
        row_print(row);
    }
}
