#include "service/logins.h"

#include <stdlib.h>

#include "ending.h"
#include "grant.h"
#include "util/json.h"
#include "work.h"

enum { LIST_MAX = 200 };

/* --- refreshing --- */

struct refreshing {
    struct db_call call; /* first: a call is its refreshing */
    struct services *services;
    struct grant grant;
    char hash[REFRESH_HASH_LENGTH + 1]; /* of the token that is spent */
    on_outcome *on_done;
    void *data;
};

static bool is_refreshed(const struct db_rows *rows)
{
    return db_rows_count(rows) == 1 && slice_equals(login_decode_status(rows), SLICE("OK"));
}

static bool is_reused(const struct db_rows *rows)
{
    return db_rows_count(rows) == 1 && slice_equals(login_decode_status(rows), SLICE("REUSED"));
}

static void end_reused(struct db_call *call, const struct db_rows *rows)
{
    if (is_reused(rows)) {
        ending_publish(((struct refreshing *)call)->services, rows);
    }
}

static void on_refreshed(struct db_call *call, enum status status, const struct db_rows *rows)
{
    struct refreshing *refreshing = (struct refreshing *)call;
    struct buffer json = buffer_init(2 * TOKEN_MAX_BYTES);
    if (status == STATUS_OK && !is_refreshed(rows)) {
        status = STATUS_UNAUTHORIZED;
    }
    if (status == STATUS_OK) {
        status = grant_render(&refreshing->grant, refreshing->services, login_decode_ended(rows, 0).user_id,
                              login_decode_username(rows), &json);
    }
    refreshing->on_done(refreshing->data, &(struct outcome){.status = status, .json = buffer_slice(&json)});
    grant_dispose(&json);
    grant_wipe(&refreshing->grant);
    free(refreshing);
}

void logins_refresh(struct services *services, struct slice refresh_token, const struct login_origin *origin,
                    on_outcome *on_done, void *data)
{
    struct uuid login_id;
    if (!refresh_token_parse(services->token_key, refresh_token, &login_id)) {
        on_done(data, &(struct outcome){.status = STATUS_UNAUTHORIZED});
        return;
    }
    struct refreshing *refreshing = calloc(1, sizeof *refreshing);
    if (refreshing == NULL) {
        on_done(data, &(struct outcome){.status = STATUS_UNAVAILABLE});
        return;
    }
    refreshing->services = services;
    refreshing->on_done = on_done;
    refreshing->data = data;
    refresh_token_hash(refresh_token, refreshing->hash);
    grant_init(&refreshing->grant, origin);
    if (!grant_make(&refreshing->grant, services, login_id, (struct slice){NULL, 0})) {
        on_refreshed(&refreshing->call, STATUS_UNAVAILABLE, NULL);
        return;
    }
    login_refresh(&refreshing->call, &refreshing->grant.draft, slice_of(refreshing->hash));
    refreshing->call.on_commit = end_reused;
    refreshing->call.on_done = on_refreshed;
    db_submit(services->db, services->loop, &refreshing->call);
}

/* --- looking --- */

static void append_text_or_null(struct buffer *out, const char *name, struct slice text)
{
    buffer_printf(out, ",\"%s\":", name);
    if (text.data != NULL) {
        json_string(out, text);
    } else {
        buffer_append_text(out, "null");
    }
}

static struct outcome finish_list(struct work *work, const struct db_rows *rows)
{
    struct buffer *out = &work->json;
    buffer_append_char(out, '[');
    for (int i = 0; i < db_rows_count(rows); i++) {
        struct login_row login = login_decode(rows, i);
        buffer_append_text(out, i > 0 ? ",{\"id\":" : "{\"id\":");
        json_uuid(out, login.id);
        append_text_or_null(out, "device", login.device);
        append_text_or_null(out, "ip", login.ip);
        append_text_or_null(out, "userAgent", login.user_agent);
        buffer_append_text(out, ",\"createdAt\":");
        json_time(out, login.created_at_us);
        buffer_append_text(out, ",\"lastUsedAt\":");
        json_time(out, login.last_used_at_us);
        buffer_append_text(out, ",\"current\":");
        json_boolean(out, uuid_equals(login.id, work->actor.login_id));
        buffer_append_char(out, '}');
    }
    buffer_append_char(out, ']');
    return work_success(work, STATUS_OK, "sessions");
}

void logins_list(struct services *services, const struct actor *actor, on_outcome *on_done, void *data)
{
    struct work *work = work_create(services, actor, on_done, data);
    if (work != NULL) {
        login_list(&work->call, actor->id, actor->login_id, LIST_MAX);
        work_read(work, finish_list);
    }
}

/* --- ending --- */

static void publish(struct db_call *call, const struct db_rows *rows)
{
    ending_publish(((struct work *)call)->services, rows);
}

static struct outcome finish_end(struct work *work, const struct db_rows *rows)
{
    if (db_rows_count(rows) == 0) {
        return (struct outcome){.status = STATUS_NOT_FOUND, .message = "No such login"};
    }
    buffer_append_text(&work->json, "{\"message\":\"Session ended\",\"id\":");
    json_uuid(&work->json, work->kept.id);
    buffer_append_char(&work->json, '}');
    return work_success(work, STATUS_OK, NULL);
}

/* Also when somebody else has ended it first. */
static struct outcome finish_end_own(struct work *work, const struct db_rows *rows)
{
    (void)rows;
    buffer_append_text(&work->json, "{\"message\":\"Logged out\"}");
    return work_success(work, STATUS_OK, NULL);
}

static void end(struct services *services, const struct actor *actor, struct uuid only,
                struct outcome (*finish)(struct work *, const struct db_rows *), on_outcome *on_done, void *data)
{
    struct work *work = work_create(services, actor, on_done, data);
    if (work != NULL) {
        work->kept.id = only;
        work->call.on_commit = publish;
        login_revoke(&work->call, actor->id, only, (struct uuid){{0}}, actor->address);
        work_read(work, finish);
    }
}

void logins_end(struct services *services, const struct actor *actor, struct uuid login_id, on_outcome *on_done,
                void *data)
{
    if (uuid_is_nil(login_id)) { /* to login_revoke it would mean all */
        on_done(data, &(struct outcome){.status = STATUS_NOT_FOUND, .message = "No such login"});
        return;
    }
    end(services, actor, login_id, finish_end, on_done, data);
}

void logins_end_own(struct services *services, const struct actor *actor, on_outcome *on_done, void *data)
{
    end(services, actor, actor->login_id, finish_end_own, on_done, data);
}

void logins_end_all(struct services *services, const struct actor *actor, on_outcome *on_done, void *data)
{
    end(services, actor, (struct uuid){{0}}, finish_end_own, on_done, data);
}
