/* Each page is a heading, some words, and rows of the tables that the program itself goes by: who changes a row changes
 * the page, and the lint says so. */
#include "util/reference.h"

#include <inttypes.h>
#include <string.h>

#include "util/config_table.h"
#include "util/metrics.h"
#include "util/rate_limits.h"
#include "util/status.h"

static void print_heading(FILE *out, const char *title, const char *words)
{
    fprintf(out, "# %s\n\n%s\n", title, words);
}

/* --- settings --- */

static void print_choices(FILE *out, const struct setting *setting)
{
    for (int i = 0; setting->choices[i] != NULL; i++) {
        fprintf(out, "%s`%s`", i == 0 ? ": " : ", ", setting->choices[i]);
    }
}

static void print_range(FILE *out, const struct setting *setting)
{
    fprintf(out, " (%" PRId64 " to %" PRId64 ")", setting->min, setting->max);
}

static void print_setting(FILE *out, const struct setting *setting)
{
    if (setting->value != NULL) {
        fprintf(out, "| `%s` | `%s` | %s", setting->name, setting->value, setting->help);
    } else {
        fprintf(out, "| `%s` | | %s", setting->name, setting->help);
    }
    if (setting->type == SETTING_INT || setting->type == SETTING_INT64) {
        print_range(out, setting);
    } else if (setting->type == SETTING_CHOICE) {
        print_choices(out, setting);
    }
    if (setting->relaxed_value != NULL) {
        fprintf(out, "; `%s` when `STONECHAT_ENV` is not production", setting->relaxed_value);
    }
    fprintf(out, "%s%s |\n", setting->is_required ? " — **required**" : "", setting->is_secret ? " — a secret" : "");
}

static void print_period(FILE *out, int seconds)
{
    if (seconds > 60) {
        fprintf(out, "%d minutes", seconds / 60);
    } else if (seconds == 60) {
        fputs("a minute", out);
    } else {
        fprintf(out, "%d s", seconds);
    }
}

static void print_rate_limits(FILE *out)
{
    static const struct {
        const char *name, *what;
        enum rate_by by;
        int tokens, period_s;
    } rules[] = {
#define X(rule, name, by, tokens, period, what) {name, what, RATE_BY_##by, tokens, period},
        RATE_RULE_MAP(X)
#undef X
    };
    fputs("\n## Rate limits\n\n"
          "What comes too often is refused with 429 (a socket event with the code `RATE_LIMITED`), and told when to "
          "come\n"
          "again. Each limit is a bucket that fills up evenly: so many at once, and so many in each period. An IPv6\n"
          "address counts by its /64. `RATE_LIMITS=messages=60/10s,reads=off` sets others. Where Redis is, all nodes "
          "count\n"
          "together. A socket that is refused 100 times in a row is closed.\n\n"
          "| name | counted by | default | what |\n|---|---|---|---|\n",
          out);
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        fprintf(out, "| `%s` | %s | %d in ", rules[i].name, rules[i].by == RATE_BY_IP ? "address" : "user",
                rules[i].tokens);
        print_period(out, rules[i].period_s);
        fprintf(out, " | %s |\n", rules[i].what);
    }
    fputs("\nIf a server of your own calls the API for many users, put `requests` and `logins` higher, or off; if "
          "there is a\n"
          "proxy in front, set `TRUST_PROXY`, or all users are one address.\n",
          out);
}

static void print_settings(FILE *out)
{
    print_heading(
        out, "Settings",
        "From the environment, or from a file `.env` in the working directory; the environment wins.\n"
        "`stonechat --check-config` tells everything that is wrong with them. The server reads them once, at its\n"
        "start; upon SIGHUP it reads `LOG_LEVEL`, `LOG_FORMAT`, `TLS_CERT` and `TLS_KEY` again. What is a secret may\n"
        "lie in a file of its own: `JWT_SECRET_FILE=/run/secrets/jwt` in place of `JWT_SECRET`.\n\n"
        "This page is what `stonechat --print-docs settings` prints.");
    for (const struct setting *setting = config_settings; setting->name != NULL; setting++) {
        if (setting->title != NULL) {
            fprintf(out, "\n## %s\n\n| setting | default | what |\n|---|---|---|\n", setting->title);
        }
        print_setting(out, setting);
    }
    print_rate_limits(out);
}

/* --- metrics --- */

struct metric_row {
    const char *name, *labels, *type, *help;
};

static const struct metric_row METRICS[] = {{METRIC_BUILD_INFO, "{version=\"\"}", "gauge", METRIC_BUILD_INFO_HELP},
#define X(name, metric, labels, type, help) {metric, labels, type, help},
                                            METRIC_MAP(X)
#undef X
};
enum { METRICS_LENGTH = sizeof METRICS / sizeof *METRICS };

/* Of {how="new"}: the name, then the value. */
static void print_label(FILE *out, const char *labels, bool is_first)
{
    const char *equals = strchr(labels, '=');
    if (equals == NULL) {
        return;
    }
    if (is_first) {
        fprintf(out, "`%.*s`", (int)(equals - labels) - 1, labels + 1);
    }
    int length = (int)strcspn(equals + 2, "\"");
    if (length > 0) {
        fprintf(out, "%s%.*s", is_first ? ": " : ", ", length, equals + 2);
    }
}

/* The rows of one metric are one row of the page. Returns how many they are. */
static int print_metric(FILE *out, const struct metric_row *row, int rest)
{
    int count = 0;
    fprintf(out, "| `%s` | %s |%s", row->name, row->type, row->labels[0] != '\0' ? " " : "");
    while (count < rest && strcmp(row[count].name, row->name) == 0) {
        print_label(out, row[count].labels, count == 0);
        count++;
    }
    fprintf(out, " | %s |\n", row->help);
    return count;
}

static void print_metrics(FILE *out)
{
    print_heading(
        out, "Metrics",
        "`GET /metrics` tells them as Prometheus reads them. A histogram has `_bucket`, `_sum` and `_count`; `status`\n"
        "is the HTTP status of the answer, of an event the one that it would have. A series is there from its first\n"
        "answer on. They are of one node, and begin at zero with it. Which ones to watch:\n"
        "[operations.md](operations.md#what-to-watch).\n\n"
        "This page is what `stonechat --print-docs metrics` prints.\n\n"
        "| metric | type | labels | what |\n|---|---|---|---|");
    for (int i = 0; i < METRICS_LENGTH;) {
        i += print_metric(out, &METRICS[i], METRICS_LENGTH - i);
    }
#define X(name, metric, unit, help) fputs("| `" metric "` | histogram | | " help " |\n", out);
    HISTOGRAM_MAP(X)
#undef X
#define X(kind, labels, total, total_help, duration, duration_help)                                                    \
    fputs("| `" total "` | counter | " labels ", `status` | " total_help " |\n| `" duration "` | histogram | " labels  \
          " | " duration_help " |\n",                                                                                  \
          out);
    ANSWER_MAP(X)
#undef X
}

/* --- errors --- */

static void print_errors(FILE *out)
{
    static const struct {
        const char *code, *message, *advice;
        int http;
    } rows[] = {
#define X(name, code, http, message, advice) {code, message, advice, http},
        STATUS_MAP(X)
#undef X
    };
    print_heading(
        out, "Errors",
        "Whatever fails answers `{\"success\":false,\"message\":…,\"code\":…}`: a request with the HTTP status of the\n"
        "code, and `requestId`, which the server's log has too; a socket event in its ack, or as `operation-error`\n"
        "when no ack was asked for. Program against `code`, which stays; `message` is for people, and often says more\n"
        "than here.\n\n"
        "This page is what `stonechat --print-docs errors` prints.\n\n"
        "| code | HTTP | message | what to do |\n|---|---|---|---|");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (rows[i].http >= 400) {
            fprintf(out, "| `%s` | %d | %s | %s |\n", rows[i].code, rows[i].http, rows[i].message, rows[i].advice);
        }
    }
}

/* --- the pages --- */

static const struct {
    const char *name;
    void (*print)(FILE *out);
} PAGES[] = {{"settings", print_settings}, {"metrics", print_metrics}, {"errors", print_errors}};

bool reference_print(const char *page, FILE *out)
{
    for (size_t i = 0; i < sizeof PAGES / sizeof *PAGES; i++) {
        if (strcmp(PAGES[i].name, page) == 0) {
            PAGES[i].print(out);
            return true;
        }
    }
    return false;
}
