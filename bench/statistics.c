/* CPU time comes from /proc: user and system time of the named processes and of their children, and of those children
 * that have ended. */
#include "statistics.h"

#include <ctype.h>
#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "net.h"

enum { ERRORS_SHOWN = 5, DETAIL_BYTES = 300, ROOTS_MAX = 16, OCTAVE_BITS = 7 };

/* --- latencies --- */

static unsigned slot_of(uint64_t ns)
{
    const unsigned bits = ns == 0 ? 0 : 64 - (unsigned)__builtin_clzll(ns);
    const unsigned shift = bits > OCTAVE_BITS + 1 ? bits - OCTAVE_BITS - 1 : 0;
    return (shift << OCTAVE_BITS) + (unsigned)(ns >> shift);
}

static double slot_middle_ns(unsigned slot)
{
    const unsigned shift = slot < 2u << OCTAVE_BITS ? 0 : (slot >> OCTAVE_BITS) - 1;
    return ldexp((double)(slot - (shift << OCTAVE_BITS)) + 0.5, (int)shift);
}

void tally_count(struct tally *tally, uint64_t latency_ns)
{
    if (!tally->is_measuring) {
        return;
    }
    tally->count++;
    tally->slots[slot_of(latency_ns)]++;
    if (latency_ns > tally->max_ns) {
        tally->max_ns = latency_ns;
    }
}

void tally_error(struct tally *tally, const char *what, struct slice detail)
{
    if (tally->errors++ < ERRORS_SHOWN) {
        const size_t shown = detail.length < DETAIL_BYTES ? detail.length : DETAIL_BYTES;
        fprintf(stderr, "loadgen: %s: %.*s\n", what, (int)shown, detail.data);
    }
}

double tally_quantile_ms(const struct tally *tally, double quantile)
{
    const double wanted = quantile * (double)tally->count;
    uint64_t seen = 0;
    for (unsigned slot = 0; slot < HISTOGRAM_SLOTS; slot++) {
        seen += tally->slots[slot];
        if (seen > 0 && (double)seen >= wanted) {
            return fmin(slot_middle_ns(slot), (double)tally->max_ns) / 1e6;
        }
    }
    return NAN;
}

/* --- processes --- */

struct process {
    long parent;
    double cpu_s, ended_children_cpu_s, rss_bytes;
};

static bool process_read(long pid, struct process *ret_process)
{
    char path[64], line[1024];
    unsigned long user, system;
    long parent, children_user, children_system, rss_pages;
    snprintf(path, sizeof path, "/proc/%ld/stat", pid);
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return false;
    }
    const bool is_read = fgets(line, sizeof line, file) != NULL;
    fclose(file);
    const char *fields = is_read ? strrchr(line, ')') : NULL; /* the name before it may hold anything */
    if (fields == NULL || sscanf(fields + 1,
                                 " %*c %ld %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu %ld %ld"
                                 " %*d %*d %*d %*d %*u %*u %ld",
                                 &parent, &user, &system, &children_user, &children_system, &rss_pages) != 6) {
        return false;
    }
    const double ticks = (double)sysconf(_SC_CLK_TCK);
    *ret_process = (struct process){.parent = parent,
                                    .cpu_s = (double)(user + system) / ticks,
                                    .ended_children_cpu_s = (double)(children_user + children_system) / ticks,
                                    .rss_bytes = (double)rss_pages * (double)sysconf(_SC_PAGESIZE)};
    return true;
}

static bool is_listed(const char *pids, long pid)
{
    for (char *end; *pids != '\0'; pids = end) {
        if (strtol(pids, &end, 10) == pid) {
            return true;
        }
        end += *end != '\0' || end == pids;
    }
    return false;
}

static void add_processes(const char *pids, double *cpu_s, double *rss_bytes)
{
    DIR *directory = *pids != '\0' ? opendir("/proc") : NULL;
    if (directory == NULL) {
        return;
    }
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        struct process process;
        const long pid = isdigit((unsigned char)entry->d_name[0]) ? atol(entry->d_name) : 0;
        if (pid == 0 || !process_read(pid, &process)) {
            continue;
        }
        const bool is_root = is_listed(pids, pid);
        if (is_root || is_listed(pids, process.parent)) {
            *cpu_s += process.cpu_s + (is_root ? process.ended_children_cpu_s : 0);
            *rss_bytes += process.rss_bytes;
        }
    }
    closedir(directory);
}

struct usage usage_read(const char *server_pids, const char *postgres_pids)
{
    struct usage usage = {.at_ns = net_now_ns()};
    struct rusage self;
    double ignored = 0;
    add_processes(server_pids, &usage.server_cpu_s, &usage.server_rss_bytes);
    add_processes(postgres_pids, &usage.postgres_cpu_s, &ignored);
    getrusage(RUSAGE_SELF, &self);
    usage.client_cpu_s = (double)(self.ru_utime.tv_sec + self.ru_stime.tv_sec) +
                         (double)(self.ru_utime.tv_usec + self.ru_stime.tv_usec) / 1e6;
    return usage;
}

/* --- rows --- */

struct row row_init(const char *name, const char *unit)
{
    return (struct row){
        .name = name,
        .unit = unit,
        .rate = NAN,
        .p50_ms = NAN,
        .p99_ms = NAN,
        .max_ms = NAN,
        .server_us = NAN,
        .postgres_us = NAN,
        .client_cpu_percent = NAN,
        .memory_bytes = NAN,
        .kept_percent = NAN,
        .lost = -1,
        .duplicated = -1,
        .reordered = -1,
    };
}

void row_measure(struct row *row, const struct tally *tally, const struct usage *from, const struct usage *to,
                 bool has_server, bool has_postgres)
{
    const double seconds = (double)(to->at_ns - from->at_ns) / 1e9;
    const double count = tally->count > 0 ? (double)tally->count : NAN;
    row->count = tally->count;
    row->errors = tally->errors;
    row->rate = (double)tally->count / seconds;
    row->p50_ms = tally_quantile_ms(tally, 0.5);
    row->p99_ms = tally_quantile_ms(tally, 0.99);
    row->max_ms = tally->count > 0 ? (double)tally->max_ns / 1e6 : NAN;
    row->server_us = has_server ? (to->server_cpu_s - from->server_cpu_s) / count * 1e6 : NAN;
    row->postgres_us = has_postgres ? (to->postgres_cpu_s - from->postgres_cpu_s) / count * 1e6 : NAN;
    row->client_cpu_percent = (to->client_cpu_s - from->client_cpu_s) / seconds * 100;
}

/* The figures of a row, in the order of the columns. */
static const struct column {
    const char *title, *key;
    size_t offset;
    int width, decimals;
} columns[] = {
    {"per s", "rate", offsetof(struct row, rate), 10, 0},
    {"p50 ms", "p50_ms", offsetof(struct row, p50_ms), 9, 2},
    {"p99 ms", "p99_ms", offsetof(struct row, p99_ms), 9, 2},
    {"max ms", "max_ms", offsetof(struct row, max_ms), 9, 2},
    {"server us", "server_us", offsetof(struct row, server_us), 10, 1},
    {"pg us", "postgres_us", offsetof(struct row, postgres_us), 9, 1},
    {"client %", "client_cpu_percent", offsetof(struct row, client_cpu_percent), 9, 0},
    {"bytes/conn", "memory_bytes", offsetof(struct row, memory_bytes), 11, 0},
    {"keeps %", "kept_percent", offsetof(struct row, kept_percent), 8, 0},
};

enum { COLUMN_COUNT = sizeof columns / sizeof columns[0] };

static double figure(const struct row *row, const struct column *column)
{
    double value;
    memcpy(&value, (const char *)row + column->offset, sizeof value);
    return value;
}

void row_print_header(void)
{
    printf("%-12s %-9s", "row", "unit");
    for (size_t i = 0; i < COLUMN_COUNT; i++) {
        printf("%*s", columns[i].width, columns[i].title);
    }
    printf("%8s%8s%8s%8s\n", "errors", "lost", "twice", "order");
}

static void print_integer(int64_t value)
{
    if (value < 0) {
        printf("%8s", "-");
    } else {
        printf("%8lld", (long long)value);
    }
}

void row_print(const struct row *row)
{
    printf("%-12s %-9s", row->name, row->unit);
    for (size_t i = 0; i < COLUMN_COUNT; i++) {
        const double value = figure(row, &columns[i]);
        if (isnan(value)) {
            printf("%*s", columns[i].width, "-");
        } else {
            printf("%*.*f", columns[i].width, columns[i].decimals, value);
        }
    }
    print_integer((int64_t)row->errors);
    print_integer(row->lost);
    print_integer(row->duplicated);
    print_integer(row->reordered);
    printf("\n");
    fflush(stdout);
}

static void print_json_integer(const char *key, int64_t value)
{
    if (value < 0) {
        printf(",\"%s\":null", key);
    } else {
        printf(",\"%s\":%lld", key, (long long)value);
    }
}

void row_print_json(const struct row *row)
{
    printf("{\"row\":\"%s\",\"unit\":\"%s\",\"count\":%llu", row->name, row->unit, (unsigned long long)row->count);
    for (size_t i = 0; i < COLUMN_COUNT; i++) {
        const double value = figure(row, &columns[i]);
        if (isnan(value)) {
            printf(",\"%s\":null", columns[i].key);
        } else {
            printf(",\"%s\":%.4f", columns[i].key, value);
        }
    }
    print_json_integer("errors", (int64_t)row->errors);
    print_json_integer("lost", row->lost);
    print_json_integer("duplicated", row->duplicated);
    print_json_integer("reordered", row->reordered);
    printf("}\n");
    fflush(stdout);
}
