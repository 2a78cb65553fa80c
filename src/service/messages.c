#include "service/messages.h"

#include "render.h"
#include "work.h"

static const char NOT_ALLOWED[] = "Permission denied: You are not allowed to chat with this user";

/* Room for an ordinary one, so that a list need not grow again and again. */
enum { MESSAGE_BYTES = 384 };

/* --- writing --- */

enum { RECIPIENTS_A_LETTER = 64 };

/* On the thread of the appending connections. The text that goes to the sockets is the reply's as well. */
static void publish_message(struct db_call *call, const struct db_rows *rows)
{
    struct work *work = (struct work *)call;
    if (!slice_equals(message_append_status(rows), SLICE("CREATED"))) {
        return;
    }
    struct message message = message_append_decode(call, rows);
    render_message(&work->json, &message);
    if (work->json.failed) {
        return; /* it waits in the log */
    }
    struct hub_recipient recipients[RECIPIENTS_A_LETTER];
    int count = 0;
    for (int i = 0; i < db_rows_count(rows); i++) {
        recipients[count++] =
            (struct hub_recipient){message_append_recipient(rows, i), message_append_event_seq(rows, i)};
        if (count == RECIPIENTS_A_LETTER || i + 1 == db_rows_count(rows)) {
            hub_publish(work->services->append_hub, &(struct hub_event){.type = SLICE("private-message"),
                                                                        .payload = buffer_slice(&work->json),
                                                                        .origin = work->actor.origin,
                                                                        .recipients = recipients,
                                                                        .recipient_count = count});
            count = 0;
        }
    }
}

static struct outcome finish_send(struct work *work, const struct db_rows *rows)
{
    struct slice code = message_append_status(rows);
    if (slice_equals(code, SLICE("CREATED"))) {
        return work_success(work, STATUS_CREATED, "message");
    }
    if (!slice_equals(code, SLICE("OK"))) {
        return (struct outcome){.status = STATUS_FORBIDDEN, .message = NOT_ALLOWED};
    }
    struct message message = message_append_decode(&work->call, rows);
    render_message(&work->json, &message);
    return work_success(work, STATUS_OK, "message");
}

void messages_send(struct services *services, const struct actor *actor, const struct message_draft *draft,
                   on_outcome *on_done, void *data)
{
    struct work *work = work_create(services, actor, on_done, data);
    if (work == NULL) {
        return;
    }
    struct message_draft own = *draft;
    own.id = uuid_generate();
    own.sender_id = actor->id;
    own.origin = actor->origin;
    message_append(&work->call, &own);
    work->call.on_commit = publish_message;
    work_append(work, finish_send);
}

/* --- marking read --- */

static const struct verdict READ_VERDICTS[] = {
    {"NOT_FOUND", STATUS_NOT_FOUND, "No such message"},
    {"FORBIDDEN", STATUS_FORBIDDEN, "Only the receiver of a message can mark it read"},
    {0},
};

static struct outcome finish_mark_read(struct work *work, const struct db_rows *rows)
{
    (void)work;
    return verdict_outcome(READ_VERDICTS, event_status(rows));
}

void messages_mark_read(struct services *services, const struct actor *actor, struct uuid message_id,
                        struct slice event, on_outcome *on_done, void *data)
{
    struct work *work = work_create(services, actor, on_done, data);
    if (work != NULL) {
        message_mark_read(&work->call, actor->id, message_id, event, actor->origin);
        work->call.on_commit = work_publish;
        work_append(work, finish_mark_read);
    }
}

/* --- reading a history --- */

static void append_nullable(struct buffer *out, const char *name, bool is_set, int64_t value)
{
    buffer_printf(out, ",\"%s\":", name);
    if (is_set) {
        json_integer(out, value);
    } else {
        buffer_append_text(out, "null");
    }
}

/* The limit and page that were asked for are in the call's values. */
static void render_pagination(struct work *work, const struct message_page *page, int64_t first, int64_t last)
{
    int64_t limit = work->call.values[3].integer, number = work->call.values[4].integer;
    bool is_cursor = work->call.values[5].integer > 0 || work->call.values[6].integer > 0;
    int64_t total_pages = (page->total + limit - 1) / limit;
    if (number == 0) {
        number = total_pages > 0 ? total_pages : 1; /* the newest are the last page */
    }
    struct buffer *out = &work->json;
    buffer_append_text(out, "],\"pagination\":{\"total\":");
    json_integer(out, page->total);
    append_nullable(out, "page", !is_cursor, number);
    append_nullable(out, "limit", true, limit);
    append_nullable(out, "totalPages", true, total_pages);
    buffer_append_text(out, ",\"hasNext\":");
    json_boolean(out, page->last < page->total);
    buffer_append_text(out, ",\"hasPrevious\":");
    json_boolean(out, page->total > 0 && page->first > 1);
    append_nullable(out, "before", first > 0, first);
    append_nullable(out, "after", first > 0, last);
    buffer_append_text(out, "}}");
}

static struct outcome finish_list(struct work *work, const struct db_rows *rows)
{
    struct message_page page = message_page_decode(rows);
    if (!page.is_allowed) {
        return (struct outcome){.status = STATUS_FORBIDDEN, .message = NOT_ALLOWED};
    }
    int64_t first = 0, last = 0;
    buffer_reserve(&work->json, (size_t)db_rows_count(rows) * MESSAGE_BYTES);
    buffer_append_text(&work->json, "{\"messages\":[");
    for (int i = 0; i < db_rows_count(rows); i++) {
        struct message message;
        if (message_decode(rows, i, work->actor.id, &message)) {
            buffer_append_text(&work->json, first > 0 ? "," : "");
            render_message(&work->json, &message);
            first = first > 0 ? first : message.seq;
            last = message.seq;
        }
    }
    render_pagination(work, &page, first, last);
    return work_success(work, STATUS_OK, NULL);
}

void messages_list(struct services *services, const struct actor *actor, const struct message_range *range,
                   on_outcome *on_done, void *data)
{
    struct work *work = work_create(services, actor, on_done, data);
    if (work != NULL) {
        message_list(&work->call, actor->id, range);
        work_read(work, finish_list);
    }
}
