/* The load generator: reads the options and the users, and runs the scenarios named, each as often as asked.
 * One thread, so that a busy client shows as its own column instead of disturbing the server unseen. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "bench.h"

static const struct scenario {
    const char *name, *help;
    scenario_run *run;
} scenarios[] = {
    {"chats", "GET /api/chats, 64 connections", scenario_chats},
    {"messages", "GET /api/messages?limit=20, 64 connections", scenario_messages},
    {"post", "POST /api/messages, 64 connections", scenario_post},
    {"health", "GET /health, 64 connections: the server without a database", scenario_health},
    {"login", "POST /api/auth/login, 8 connections", scenario_login},
    {"logins", "GET /api/chats by 4 connections, alone and while 32 log in", scenario_logins},
    {"pages", "page 1 and page 5,000 of a chat of 100,000 messages", scenario_pages},
    {"sockets", "messages by socket, 200 users, --window under way each", scenario_sockets},
    {"nodes", "the same between users of two nodes: needs --other-port", scenario_nodes},
    {"paced", "--rate messages a second over 1,000 users: latency", scenario_paced},
    {"connect", "--sockets users connect and authenticate, 64 at a time", scenario_connect},
    {"idle", "connect, and the memory of a socket that stays (start the server afresh)", scenario_idle},
    {"fanout", "one event to 1,000 sockets", scenario_fanout},
    {"reconnect", "a tenth of --sockets, then all, are cut off and come back at once", scenario_reconnect},
    {"resume", "200 users come back to 500 events each", scenario_resume},
};

enum { SCENARIO_COUNT = sizeof scenarios / sizeof scenarios[0] };

static const struct option long_options[] = {
    {"host", required_argument, NULL, 'H'},
    {"port", required_argument, NULL, 'p'},
    {"other-port", required_argument, NULL, 'o'},
    {"users", required_argument, NULL, 'u'},
    {"server-pid", required_argument, NULL, 's'},
    {"postgres-pid", required_argument, NULL, 'g'},
    {"seconds", required_argument, NULL, 'd'},
    {"warm-up", required_argument, NULL, 'w'},
    {"sockets", required_argument, NULL, 'n'},
    {"rate", required_argument, NULL, 'r'},
    {"window", required_argument, NULL, 'W'},
    {"runs", required_argument, NULL, 'k'},
    {"json", no_argument, NULL, 'j'},
    {"help", no_argument, NULL, 'h'},
    {0},
};

static void print_help(FILE *out)
{
    fputs("loadgen [OPTION…] SCENARIO…\n"
          "  --users FILE        id, name and token a line, separated by tabs (users.tsv)\n"
          "  --host, --port      where the server is (127.0.0.1, 5000)\n"
          "  --other-port P      of a second node on the same database: every second connection goes there\n"
          "  --server-pid P,…    processes whose CPU time and memory are told, with their children\n"
          "  --postgres-pid P    the same for PostgreSQL\n"
          "  --seconds, --warm-up  of each run (8, 2)      --runs N   of each scenario (1)\n"
          "  --sockets N (10000)   --rate N (500)   --window N (16)   --json\n"
          "Scenarios:\n",
          out);
    for (size_t i = 0; i < SCENARIO_COUNT; i++) {
        fprintf(out, "  %-10s %s\n", scenarios[i].name, scenarios[i].help);
    }
}

static bool read_number(const char *text, double min, double max, double *ret_value)
{
    char *end;
    const double value = strtod(text, &end);
    if (end == text || *end != '\0' || !(value >= min && value <= max)) {
        fprintf(stderr, "loadgen: %s is not a number from %g to %g\n", text, min, max);
        return false;
    }
    *ret_value = value;
    return true;
}

static bool read_integer(const char *text, double min, double max, long *ret_value)
{
    double value;
    if (!read_number(text, min, max, &value)) {
        return false;
    }
    *ret_value = (long)value;
    return true;
}

static bool read_option(int option, const char *value, struct options *options, long *runs)
{
    switch (option) {
    case 'H':
        options->host = value;
        return true;
    case 'u':
        options->users_file = value;
        return true;
    case 's':
        options->server_pids = value;
        return true;
    case 'g':
        options->postgres_pids = value;
        return true;
    case 'j':
        options->is_json = true;
        return true;
    case 'p':
        return read_integer(value, 1, 65535, &options->port);
    case 'o':
        return read_integer(value, 1, 65535, &options->other_port);
    case 'n':
        return read_integer(value, 1, 1e6, &options->sockets);
    case 'r':
        return read_integer(value, 1, 1e6, &options->rate);
    case 'W':
        return read_integer(value, 1, 1e4, &options->window);
    case 'k':
        return read_integer(value, 1, 1000, runs);
    case 'd':
        return read_number(value, 0.1, 3600, &options->seconds);
    case 'w':
        return read_number(value, 0, 3600, &options->warmup_seconds);
    default:
        return false;
    }
}

/* Reads `id TAB name TAB token` lines. */
static bool read_users(struct bench *bench)
{
    FILE *file = fopen(bench->options.users_file, "re");
    char *line = NULL;
    size_t size = 0, capacity = 0;
    if (file == NULL) {
        perror(bench->options.users_file);
        return false;
    }
    while (getline(&line, &size, file) > 0) {
        struct user user;
        if (sscanf(line, "%m[^\t]\t%m[^\t]\t%ms", &user.id, &user.name, &user.token) != 3) {
            fprintf(stderr, "%s: line %zu is not id, name and token\n", bench->options.users_file,
                    bench->user_count + 1);
            break;
        }
        if (bench->user_count == capacity) {
            capacity = capacity == 0 ? 1024 : capacity * 2;
            bench->users = reallocarray(bench->users, capacity, sizeof *bench->users);
            if (bench->users == NULL) {
                abort();
            }
        }
        bench->users[bench->user_count++] = user;
    }
    const bool is_read = feof(file) != 0;
    free(line);
    fclose(file);
    return is_read;
}

static void dispose_users(struct bench *bench)
{
    for (size_t i = 0; i < bench->user_count; i++) {
        free(bench->users[i].id);
        free(bench->users[i].name);
        free(bench->users[i].token);
    }
    free(bench->users);
}

static const struct scenario *find_scenario(const char *name)
{
    for (size_t i = 0; i < SCENARIO_COUNT; i++) {
        if (strcmp(scenarios[i].name, name) == 0) {
            return &scenarios[i];
        }
    }
    fprintf(stderr, "loadgen: there is no scenario %s (see --help)\n", name);
    return NULL;
}

/* Runs each scenario named. False when one of them could not run. */
static bool run_scenarios(struct bench *bench, char **names, int count, long runs)
{
    bool is_done = true;
    if (!bench->options.is_json) {
        row_print_header();
    }
    for (int i = 0; i < count; i++) {
        for (long run = 0; run < runs; run++) {
            is_done = find_scenario(names[i])->run(bench) && is_done;
        }
    }
    return is_done;
}

int main(int argc, char **argv)
{
    struct bench bench = {.options = {.host = "127.0.0.1",
                                      .users_file = "users.tsv",
                                      .server_pids = "",
                                      .postgres_pids = "",
                                      .seconds = 8,
                                      .warmup_seconds = 2,
                                      .port = 5000,
                                      .sockets = 10000,
                                      .rate = 500,
                                      .window = 16}};
    long runs = 1;
    for (int option; (option = getopt_long(argc, argv, "", long_options, NULL)) != -1;) {
        if (option == 'h') {
            print_help(stdout);
            return EX_OK;
        }
        if (!read_option(option, optarg, &bench.options, &runs)) {
            return EX_USAGE;
        }
    }
    if (optind == argc) {
        print_help(stderr);
        return EX_USAGE;
    }
    for (int i = optind; i < argc; i++) {
        if (find_scenario(argv[i]) == NULL) {
            return EX_USAGE;
        }
    }
    net_raise_file_limit();
    if (!net_init(&bench.net, bench.options.host, (int)bench.options.port)) {
        perror(bench.options.host);
        return EX_USAGE;
    }
    if (bench.options.other_port != 0) {
        net_add_port(&bench.net, (int)bench.options.other_port);
    }
    int status = EX_NOINPUT;
    if (read_users(&bench)) {
        status = run_scenarios(&bench, argv + optind, argc - optind, runs) ? EX_OK : EX_SOFTWARE;
    }
    dispose_users(&bench);
    net_dispose(&bench.net);
    return status;
}
