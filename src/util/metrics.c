#include "util/metrics.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "util/version.h"

typedef _Atomic(int64_t) tally;

static void increase(tally *one, int64_t amount)
{
    atomic_fetch_add_explicit(one, amount, memory_order_relaxed);
}

static int64_t value_of(const tally *one)
{
    return atomic_load_explicit(one, memory_order_relaxed);
}

static void write_header(struct buffer *out, const char *metric, const char *type, const char *help)
{
    buffer_printf(out, "# HELP %s %s\n# TYPE %s %s\n", metric, help, metric, type);
}

/* --- counters and gauges --- */

static const struct {
    const char *name, *labels, *type, *help;
} TABLE[] = {
#define X(name, metric, labels, type, help) {metric, labels, type, help},
    METRIC_MAP(X)
#undef X
};

static tally values[METRIC_COUNT];

void metrics_add(enum metric metric, int64_t amount)
{
    increase(&values[metric], amount);
}

void metrics_set(enum metric metric, int64_t value)
{
    atomic_store_explicit(&values[metric], value, memory_order_relaxed);
}

/* A date that there is not must not look like one of 1970. */
static bool is_shown(int metric)
{
    return metric != METRIC_TLS_EXPIRY || value_of(&values[metric]) != 0;
}

static void write_values(struct buffer *out)
{
    for (int i = 0; i < METRIC_COUNT; i++) {
        if (!is_shown(i)) {
            continue;
        }
        if (i == 0 || strcmp(TABLE[i].name, TABLE[i - 1].name) != 0) {
            write_header(out, TABLE[i].name, TABLE[i].type, TABLE[i].help);
        }
        buffer_printf(out, "%s%s %" PRId64 "\n", TABLE[i].name, TABLE[i].labels, value_of(&values[i]));
    }
}

/* --- histograms --- */

/* The upper ends of the buckets. */
enum unit { SECONDS, PIECES };
enum { BUCKETS = 14 };
static const int64_t BOUNDS[][BUCKETS] = {
    [SECONDS] = {250, 500, 1000, 2500, 5000, 10000, 25000, 50000, 100000, 250000, 500000, 1000000, 2500000, 10000000},
    [PIECES] = {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192},
};
static const double SCALES[] = {[SECONDS] = 1e-6, [PIECES] = 1};

struct distribution {
    tally buckets[BUCKETS + 1]; /* the last one has no end */
    tally sum;
};

static void observe(struct distribution *distribution, enum unit unit, int64_t value)
{
    int bucket = 0;
    while (bucket < BUCKETS && value > BOUNDS[unit][bucket]) {
        bucket++;
    }
    increase(&distribution->buckets[bucket], 1);
    increase(&distribution->sum, value);
}

/* `labels` as they stand between braces, with a comma behind them; may be empty. */
static void write_distribution(struct buffer *out, const char *metric, enum unit unit, const char *labels,
                               const struct distribution *distribution)
{
    int64_t count = 0;
    int length = (int)strlen(labels) - 1;
    const char *open = length > 0 ? "{" : "", *close = length > 0 ? "}" : "";
    for (int i = 0; i < BUCKETS; i++) {
        count += value_of(&distribution->buckets[i]);
        buffer_printf(out, "%s_bucket{%sle=\"%g\"} %" PRId64 "\n", metric, labels,
                      (double)BOUNDS[unit][i] * SCALES[unit], count);
    }
    count += value_of(&distribution->buckets[BUCKETS]);
    buffer_printf(out, "%s_bucket{%sle=\"+Inf\"} %" PRId64 "\n", metric, labels, count);
    length = length > 0 ? length : 0;
    buffer_printf(out, "%s_sum%s%.*s%s %g\n", metric, open, length, labels, close,
                  (double)value_of(&distribution->sum) * SCALES[unit]);
    buffer_printf(out, "%s_count%s%.*s%s %" PRId64 "\n", metric, open, length, labels, close, count);
}

static const struct {
    const char *name;
    enum unit unit;
    const char *help;
} HISTOGRAMS[] = {
#define X(name, metric, unit, help) {metric, unit, help},
    HISTOGRAM_MAP(X)
#undef X
};

static struct distribution distributions[HISTOGRAM_COUNT];

void metrics_observe(enum histogram histogram, int64_t value)
{
    observe(&distributions[histogram], HISTOGRAMS[histogram].unit, value);
}

static void write_histograms(struct buffer *out)
{
    for (int i = 0; i < HISTOGRAM_COUNT; i++) {
        write_header(out, HISTOGRAMS[i].name, "histogram", HISTOGRAMS[i].help);
        write_distribution(out, HISTOGRAMS[i].name, HISTOGRAMS[i].unit, "", &distributions[i]);
    }
}

/* --- answers: a series for each route and each event, from its first answer on --- */

enum { SERIES_MAX = 128, LABELS_MAX_BYTES = 256 };

/* Whatever else there is counts as the last one. */
static const int STATUSES[] = {101, 200, 201, 204, 206, 304, 400, 401, 403, 404, 405, 409,
                               413, 414, 415, 429, 431, 499, 500, 501, 502, 503, 504, 0};
enum { STATUS_COUNT = sizeof STATUSES / sizeof STATUSES[0] };

struct series {
    enum metrics_kind kind;
    const char *method, *name;
    tally statuses[STATUS_COUNT];
    struct distribution durations;
};

static struct series series[SERIES_MAX];
static _Atomic(int) series_count; /* those below it don't change their names any more */
static pthread_mutex_t series_mutex = PTHREAD_MUTEX_INITIALIZER;

static struct series *find_series(enum metrics_kind kind, const char *method, const char *name)
{
    int count = atomic_load_explicit(&series_count, memory_order_acquire);
    for (int i = 0; i < count; i++) {
        if (series[i].name == name && series[i].method == method && series[i].kind == kind) {
            return &series[i];
        }
    }
    return NULL;
}

/* NULL when there are too many. */
static struct series *add_series(enum metrics_kind kind, const char *method, const char *name)
{
    pthread_mutex_lock(&series_mutex);
    struct series *added = find_series(kind, method, name);
    int count = atomic_load_explicit(&series_count, memory_order_relaxed);
    if (added == NULL && count < SERIES_MAX) {
        added = &series[count];
        added->kind = kind;
        added->method = method;
        added->name = name;
        atomic_store_explicit(&series_count, count + 1, memory_order_release);
    }
    pthread_mutex_unlock(&series_mutex);
    return added;
}

void metrics_count_answer(enum metrics_kind kind, const char *method, const char *name, int http_status,
                          int64_t duration_us)
{
    struct series *found = find_series(kind, method, name);
    found = found != NULL ? found : add_series(kind, method, name);
    if (found == NULL) {
        return;
    }
    int status = 0;
    while (status < STATUS_COUNT - 1 && STATUSES[status] != http_status) {
        status++;
    }
    increase(&found->statuses[status], 1);
    observe(&found->durations, SECONDS, duration_us);
}

static const struct {
    const char *total, *total_help, *duration, *duration_help;
} KINDS[] = {
#define X(kind, labels, total, total_help, duration, duration_help)                                                    \
    [kind] = {total, total_help, duration, duration_help},
    ANSWER_MAP(X)
#undef X
};

static void write_labels(char *out, const struct series *one)
{
    if (one->kind == METRICS_REQUEST) {
        snprintf(out, LABELS_MAX_BYTES, "method=\"%s\",route=\"%s\",", one->method, one->name);
    } else {
        snprintf(out, LABELS_MAX_BYTES, "event=\"%s\",", one->name);
    }
}

static void write_statuses(struct buffer *out, const struct series *one, const char *metric)
{
    char labels[LABELS_MAX_BYTES];
    write_labels(labels, one);
    for (int i = 0; i < STATUS_COUNT; i++) {
        int64_t count = value_of(&one->statuses[i]);
        if (count > 0 && STATUSES[i] > 0) {
            buffer_printf(out, "%s{%sstatus=\"%d\"} %" PRId64 "\n", metric, labels, STATUSES[i], count);
        } else if (count > 0) {
            buffer_printf(out, "%s{%sstatus=\"other\"} %" PRId64 "\n", metric, labels, count);
        }
    }
}

static void write_answers(struct buffer *out, enum metrics_kind kind)
{
    char labels[LABELS_MAX_BYTES];
    int count = atomic_load_explicit(&series_count, memory_order_acquire);
    write_header(out, KINDS[kind].total, "counter", KINDS[kind].total_help);
    for (int i = 0; i < count; i++) {
        if (series[i].kind == kind) {
            write_statuses(out, &series[i], KINDS[kind].total);
        }
    }
    write_header(out, KINDS[kind].duration, "histogram", KINDS[kind].duration_help);
    for (int i = 0; i < count; i++) {
        if (series[i].kind == kind) {
            write_labels(labels, &series[i]);
            write_distribution(out, KINDS[kind].duration, SECONDS, labels, &series[i].durations);
        }
    }
}

void metrics_write(struct buffer *out)
{
    write_header(out, METRIC_BUILD_INFO, "gauge", METRIC_BUILD_INFO_HELP);
    buffer_append_text(out, METRIC_BUILD_INFO "{version=\"" STONECHAT_VERSION "\"} 1\n");
    write_values(out);
    write_histograms(out);
    write_answers(out, METRICS_REQUEST);
    write_answers(out, METRICS_EVENT);
}
