/* The REST scenarios, as a table of requests. Each has one ready-made request a user and goes round them. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "http_client.h"

enum { REQUEST_MAX_BYTES = 16384 };

/* In `path` and `body`, {peer} is the id of the user's neighbour, {name} the user's name. */
struct request {
    const char *row, *method, *path, *body;
    int expected_status;
    const char *expected_text;
    size_t first_user, users;
    size_t connections;
};

static const char success[] = "\"success\":true";

static const struct request chats = {"chats", "GET", "/api/chats", NULL, 200, success, 0, 1000, 64};
static const struct request messages = {
    "messages", "GET", "/api/messages?withUserId={peer}&limit=20", NULL, 200, success, 0, 1000, 64};
static const struct request post = {
    "post",
    "POST",
    "/api/messages",
    "{\"receiverId\":\"{peer}\",\"content\":\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"}",
    201,
    success,
    0,
    1000,
    64};
static const struct request health = {"health", "GET", "/health", NULL, 200, "\"status\":\"ok\"", 0, 1, 64};
static const struct request login = {
    "login", "POST", "/api/auth/login", "{\"username\":\"{name}\",\"password\":\"password1\"}", 200, success, 0,
    1000,    8};
/* Users 1001 and 1002 have the long chat. */
static const struct request first_page = {
    "page-1", "GET", "/api/messages?withUserId={peer}&limit=20&page=1", NULL, 200, "\"page\":1,", 1000, 1, 64};
static const struct request late_page = {
    "page-5000", "GET", "/api/messages?withUserId={peer}&limit=20&page=5000", NULL, 200, "\"page\":5000,", 1000, 1, 64};

/* Appends `template` with its placeholders replaced. */
static void expand(struct buffer *out, const char *template, const struct user *user, const struct user *peer)
{
    const struct {
        const char *name, *value;
    } placeholders[] = {{"{peer}", peer->id}, {"{name}", user->name}};
    while (*template != '\0') {
        bool is_replaced = false;
        for (size_t i = 0; i < sizeof placeholders / sizeof placeholders[0] && !is_replaced; i++) {
            const size_t length = strlen(placeholders[i].name);
            if (strncmp(template, placeholders[i].name, length) == 0) {
                buffer_append_text(out, placeholders[i].value);
                template += length;
                is_replaced = true;
            }
        }
        if (!is_replaced) {
            buffer_append_char(out, *template ++);
        }
    }
}

static struct buffer make_request(const struct request *request, const struct user *user, const struct user *peer)
{
    struct buffer body = buffer_init(REQUEST_MAX_BYTES), out = buffer_init(REQUEST_MAX_BYTES);
    buffer_printf(&out, "%s ", request->method);
    expand(&out, request->path, user, peer);
    buffer_printf(&out, " HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\n", user->token);
    if (request->body != NULL) {
        expand(&body, request->body, user, peer);
        buffer_printf(&out, "Content-Type: application/json\r\nContent-Length: %zu\r\n", body.length);
    }
    buffer_append_text(&out, "\r\n");
    buffer_append_slice(&out, buffer_slice(&body));
    buffer_dispose(&body);
    return out;
}

/* Makes the requests and starts `connections` clients on them. False, with a word, when users are missing. */
static bool start(struct bench *bench, const struct request *request, size_t connections, struct tally *tally,
                  struct http_load *ret_load)
{
    if (bench->user_count < request->first_user + request->users + 1) {
        tally_error(tally, "too few users for", slice_of(request->row));
        return false;
    }
    struct buffer *requests = calloc(request->users, sizeof *requests);
    if (requests == NULL) {
        return false;
    }
    for (size_t i = 0; i < request->users; i++) {
        const struct user *user = &bench->users[request->first_user + i];
        const size_t next = request->first_user + (request->users > 1 ? (i + 1) % request->users : 1);
        requests[i] = make_request(request, user, &bench->users[next]);
    }
    *ret_load = (struct http_load){.net = &bench->net,
                                   .requests = requests,
                                   .request_count = request->users,
                                   .expected_status = request->expected_status,
                                   .expected_text = slice_of(request->expected_text),
                                   .tally = tally};
    http_load_start(ret_load, connections);
    return true;
}

static void stop(struct http_load *load)
{
    struct buffer *requests = (struct buffer *)load->requests;
    http_load_stop(load);
    for (size_t i = 0; i < load->request_count; i++) {
        buffer_dispose(&requests[i]);
    }
    free(requests);
}

static bool run(struct bench *bench, const struct request *request)
{
    struct row row = row_init(request->row, "request");
    struct tally *tally = calloc(1, sizeof *tally);
    struct http_load load;
    const bool is_started = tally != NULL && start(bench, request, request->connections, tally, &load);
    if (is_started) {
        bench_measure(bench, tally, &row);
        stop(&load);
        row.errors = tally->errors;
        bench_report(bench, &row);
    }
    free(tally);
    return is_started;
}

bool scenario_chats(struct bench *bench)
{
    return run(bench, &chats);
}

bool scenario_messages(struct bench *bench)
{
    return run(bench, &messages);
}

bool scenario_post(struct bench *bench)
{
    return run(bench, &post);
}

bool scenario_health(struct bench *bench)
{
    return run(bench, &health);
}

bool scenario_login(struct bench *bench)
{
    return run(bench, &login);
}

bool scenario_pages(struct bench *bench)
{
    return run(bench, &first_page) && run(bench, &late_page);
}

/* Four clients ask for their chats: first alone, then while 32 log in without pause. */
bool scenario_logins(struct bench *bench)
{
    struct row alone = row_init("chats-alone", "request"), beside = row_init("chats-beside", "request");
    struct tally *tallies = calloc(3, sizeof *tallies);
    struct http_load probe, logins;
    bool is_done = false;
    if (tallies == NULL || !start(bench, &chats, 4, &tallies[0], &probe)) {
        goto cleanup;
    }
    bench_measure(bench, &tallies[0], &alone);
    if (start(bench, &login, 32, &tallies[2], &logins)) {
        probe.tally = &tallies[1];
        bench_measure(bench, &tallies[1], &beside);
        stop(&logins);
        is_done = true;
    }
    stop(&probe);
    alone.errors = tallies[0].errors;
    beside.errors = tallies[1].errors + tallies[2].errors;
    beside.kept_percent = beside.rate / alone.rate * 100;
    beside.server_us = beside.postgres_us = NAN; /* the logins' is in it */
    bench_report(bench, &alone);
    bench_report(bench, &beside);
cleanup:
    free(tallies);
    return is_done;
}
