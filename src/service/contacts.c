#include "service/contacts.h"

#include "render.h"
#include "work.h"

/* --- what changes something --- */

static const struct verdict VERDICTS[] = {
    {"SELF", STATUS_BAD_REQUEST, "You cannot send a friend request to yourself"},
    {"ALREADY_FRIENDS", STATUS_CONFLICT, "You are already friends"},
    {"ALREADY_SENT", STATUS_CONFLICT, "Friend request already sent"},
    {"ALREADY_RECEIVED", STATUS_CONFLICT, "User already sent you a request"},
    {"NO_SUCH_REQUEST", STATUS_BAD_REQUEST, "No such friend request"},
    {"NO_SUCH_USER", STATUS_NOT_FOUND, "User not found"},
    {"NO_SUCH_CONTACT", STATUS_NOT_FOUND, "No such contact"},
    {0},
};

/* {"message":…,"<name>":"<the other's id>"} when it went well. */
static struct outcome conclude(struct work *work, const struct db_rows *rows, const char *message, const char *name)
{
    struct outcome outcome = verdict_outcome(VERDICTS, event_status(rows));
    if (outcome.status != STATUS_OK) {
        return outcome;
    }
    buffer_printf(&work->json, "{\"message\":\"%s\",\"%s\":", message, name);
    json_uuid(&work->json, work->kept.id);
    buffer_append_char(&work->json, '}');
    return work_success(work, STATUS_OK, NULL);
}

static struct outcome finish_request(struct work *work, const struct db_rows *rows)
{
    return conclude(work, rows, "Friend request sent", "targetId");
}

static struct outcome finish_accept(struct work *work, const struct db_rows *rows)
{
    return conclude(work, rows, "Friend request accepted", "requesterId");
}

static struct outcome finish_reject(struct work *work, const struct db_rows *rows)
{
    return conclude(work, rows, "Friend request rejected", "requesterId");
}

static struct outcome finish_remove(struct work *work, const struct db_rows *rows)
{
    return conclude(work, rows, "Contact removed", "contactId");
}

/* A work about another user, whose events are published. */
static struct work *create(struct services *services, const struct actor *actor, struct uuid other_id,
                           on_outcome *on_done, void *data)
{
    struct work *work = work_create(services, actor, on_done, data);
    if (work != NULL) {
        work->kept.id = other_id;
        work->call.on_commit = work_publish;
    }
    return work;
}

void contacts_request(struct services *services, const struct actor *actor, struct uuid target_id, on_outcome *on_done,
                      void *data)
{
    struct work *work = create(services, actor, target_id, on_done, data);
    if (work != NULL) {
        friend_request_send(&work->call, uuid_generate(), actor->id, target_id);
        work_append(work, finish_request);
    }
}

void contacts_accept(struct services *services, const struct actor *actor, struct uuid requester_id,
                     on_outcome *on_done, void *data)
{
    struct work *work = create(services, actor, requester_id, on_done, data);
    if (work != NULL) {
        friend_request_accept(&work->call, actor->id, requester_id,
                              presence_is_online(services->presence, requester_id));
        work_append(work, finish_accept);
    }
}

void contacts_reject(struct services *services, const struct actor *actor, struct uuid requester_id,
                     on_outcome *on_done, void *data)
{
    struct work *work = create(services, actor, requester_id, on_done, data);
    if (work != NULL) {
        friend_request_reject(&work->call, actor->id, requester_id);
        work_append(work, finish_reject);
    }
}

void contacts_remove(struct services *services, const struct actor *actor, struct uuid contact_id, on_outcome *on_done,
                     void *data)
{
    struct work *work = create(services, actor, contact_id, on_done, data);
    if (work != NULL) {
        contact_remove(&work->call, actor->id, contact_id);
        work_append(work, finish_remove);
    }
}

/* --- what is looked at --- */

/* The work's actor, as others see him. */
static struct user self_of(const struct work *work, const struct contact_row *row)
{
    return (struct user){.id = work->actor.id,
                         .username = slice_of(work->actor.username),
                         .has_last_seen = row->has_own_last_seen,
                         .last_seen_us = row->own_last_seen_us};
}

static void render_request(struct work *work, const struct contact_row *row)
{
    struct user self = self_of(work, row);
    struct buffer *out = &work->json;
    buffer_append_text(out, "{\"id\":");
    json_uuid(out, row->request_id);
    buffer_append_text(out, ",\"from\":");
    render_user(out, work->services, row->is_sent ? &self : &row->other);
    buffer_append_text(out, ",\"to\":");
    render_user(out, work->services, row->is_sent ? &row->other : &self);
    buffer_append_text(out, ",\"status\":\"pending\",\"createdAt\":");
    json_time(out, row->created_at_us);
    buffer_append_char(out, '}');
}

enum kind { CONTACTS, RECEIVED, SENT };

/* The rows of one kind, as a JSON array. */
static void render_rows(struct work *work, const struct db_rows *rows, enum kind kind)
{
    const char *separator = "";
    buffer_append_char(&work->json, '[');
    for (int i = 0; i < db_rows_count(rows); i++) {
        struct contact_row row = contact_decode(rows, i);
        if (kind != (!row.is_request ? CONTACTS : row.is_sent ? SENT : RECEIVED)) {
            continue;
        }
        buffer_append_text(&work->json, separator);
        separator = ",";
        if (kind == CONTACTS) {
            render_user(&work->json, work->services, &row.other);
        } else {
            render_request(work, &row);
        }
    }
    buffer_append_char(&work->json, ']');
}

static struct outcome finish_requests(struct work *work, const struct db_rows *rows)
{
    buffer_append_text(&work->json, "{\"received\":");
    render_rows(work, rows, RECEIVED);
    buffer_append_text(&work->json, ",\"sent\":");
    render_rows(work, rows, SENT);
    buffer_append_char(&work->json, '}');
    return work_success(work, STATUS_OK, NULL);
}

static struct outcome finish_profile(struct work *work, const struct db_rows *rows)
{
    struct buffer *out = &work->json;
    buffer_append_text(out, "{\"user\":{\"id\":");
    json_uuid(out, work->actor.id);
    buffer_append_text(out, ",\"username\":");
    json_string(out, slice_of(work->actor.username));
    buffer_append_text(out, ",\"online\":");
    json_boolean(out, presence_is_online(work->services->presence, work->actor.id));
    buffer_append_text(out, ",\"contacts\":");
    render_rows(work, rows, CONTACTS);
    buffer_append_text(out, ",\"friendRequests\":");
    render_rows(work, rows, RECEIVED);
    buffer_append_text(out, ",\"sentRequests\":");
    render_rows(work, rows, SENT);
    buffer_append_text(out, "}}");
    return work_success(work, STATUS_OK, NULL);
}

static void list(struct services *services, const struct actor *actor, bool with_contacts,
                 struct outcome (*finish)(struct work *, const struct db_rows *), on_outcome *on_done, void *data)
{
    struct work *work = work_create(services, actor, on_done, data);
    if (work != NULL) {
        contact_list(&work->call, actor->id, with_contacts);
        work_read(work, finish);
    }
}

void contacts_list_requests(struct services *services, const struct actor *actor, on_outcome *on_done, void *data)
{
    list(services, actor, false, finish_requests, on_done, data);
}

void contacts_get_profile(struct services *services, const struct actor *actor, on_outcome *on_done, void *data)
{
    list(services, actor, true, finish_profile, on_done, data);
}
