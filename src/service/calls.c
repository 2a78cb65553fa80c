#include "service/calls.h"

#include "render.h"
#include "work.h"

static const struct verdict VERDICTS[] = {
    {"NOT_FOUND", STATUS_NOT_FOUND, "No such call"},
    {"FORBIDDEN", STATUS_FORBIDDEN, "You are not a party of this call"},
    {"CONFLICT", STATUS_CONFLICT, "The call is over"},
    {0},
};
static const struct verdict START_VERDICTS[] = {
    {"FORBIDDEN", STATUS_FORBIDDEN, "Permission denied: You are not allowed to call this user"},
    {0},
};
static const struct verdict ANSWER_VERDICTS[] = {
    {"NOT_FOUND", STATUS_NOT_FOUND, "No such call"},
    {"FORBIDDEN", STATUS_FORBIDDEN, "This call is not for you"},
    {"CONFLICT", STATUS_CONFLICT, "The call does not ring any more"},
    {0},
};

/* A work whose events are published. */
static struct work *create(struct services *services, const struct actor *actor, on_outcome *on_done, void *data)
{
    struct work *work = work_create(services, actor, on_done, data);
    if (work != NULL) {
        work->call.on_commit = work_publish;
    }
    return work;
}

static struct outcome finish_start(struct work *work, const struct db_rows *rows)
{
    struct outcome outcome = verdict_outcome(START_VERDICTS, event_status(rows));
    if (outcome.status != STATUS_OK) {
        return outcome;
    }
    json_uuid(&work->json, work->kept.id);
    return work_success(work, STATUS_OK, "callId");
}

void calls_start(struct services *services, const struct actor *actor, struct uuid callee_id, struct slice signal,
                 on_outcome *on_done, void *data)
{
    struct work *work = create(services, actor, on_done, data);
    if (work != NULL) {
        work->kept.id = uuid_generate();
        call_start(&work->call, work->kept.id, actor->id, callee_id, signal);
        work_append(work, finish_start);
    }
}

static struct outcome finish_answer(struct work *work, const struct db_rows *rows)
{
    (void)work;
    return verdict_outcome(ANSWER_VERDICTS, event_status(rows));
}

void calls_answer(struct services *services, const struct actor *actor, struct uuid call_id, struct slice signal,
                  on_outcome *on_done, void *data)
{
    struct work *work = create(services, actor, on_done, data);
    if (work != NULL) {
        call_answer(&work->call, call_id, actor->id, signal, actor->origin);
        work_append(work, finish_answer);
    }
}

static struct outcome finish_end(struct work *work, const struct db_rows *rows)
{
    (void)work;
    return verdict_outcome(VERDICTS, event_status(rows));
}

void calls_end(struct services *services, const struct actor *actor, struct uuid call_id, struct slice ending,
               on_outcome *on_done, void *data)
{
    struct work *work = create(services, actor, on_done, data);
    if (work != NULL) {
        call_end(&work->call, call_id, actor->id, ending, actor->origin);
        work_append(work, finish_end);
    }
}

/* --- signalling: not kept, so the other party hears it now or never --- */

static void publish_signal(struct db_call *call, const struct db_rows *rows)
{
    struct work *work = (struct work *)call;
    if (db_rows_count(rows) > 0) {
        struct hub_recipient recipient = {.user_id = work->kept.id};
        hub_publish(work->services->append_hub, &(struct hub_event){.type = SLICE("ice-candidate"),
                                                                    .payload = buffer_slice(&work->json),
                                                                    .recipients = &recipient,
                                                                    .recipient_count = 1});
    }
}

static struct outcome finish_signal(struct work *work, const struct db_rows *rows)
{
    (void)work;
    return db_rows_count(rows) > 0 ? (struct outcome){.status = STATUS_OK}
                                   : (struct outcome){.status = STATUS_FORBIDDEN, .message = VERDICTS[1].message};
}

/* By the appending connections as well: a candidate must not overtake the call that it belongs to. */
void calls_signal(struct services *services, const struct actor *actor, const struct call_signal *signal,
                  on_outcome *on_done, void *data)
{
    struct work *work = work_create(services, actor, on_done, data);
    if (work != NULL) {
        bool is_caller = uuid_equals(actor->id, signal->caller_id);
        work->kept.id = is_caller ? signal->callee_id : signal->caller_id;
        work->call.on_commit = publish_signal;
        buffer_append_slice(&work->json, signal->payload);
        call_check(&work->call, signal->call_id, signal->caller_id, signal->callee_id);
        work_append(work, finish_signal);
    }
}

/* --- the history --- */

static void render_call(struct work *work, const struct call_record *record)
{
    struct buffer *out = &work->json;
    buffer_append_text(out, "{\"id\":");
    json_uuid(out, record->id);
    buffer_append_text(out, ",\"caller\":");
    render_user(out, work->services, &record->caller);
    buffer_append_text(out, ",\"callee\":");
    render_user(out, work->services, &record->callee);
    buffer_append_text(out, ",\"status\":");
    json_string(out, record->status);
    buffer_append_text(out, ",\"startedAt\":");
    json_time(out, record->started_at_us);
    buffer_append_text(out, ",\"answeredAt\":");
    render_optional_time(out, record->is_answered, record->answered_at_us);
    buffer_append_text(out, ",\"endedAt\":");
    render_optional_time(out, record->is_over, record->ended_at_us);
    buffer_append_char(out, '}');
}

/* One call more than was asked for has been looked up: it tells whether there is a next page. */
static struct outcome finish_list(struct work *work, const struct db_rows *rows)
{
    int limit = (int)work->kept.number, count = db_rows_count(rows);
    struct buffer next = buffer_init(128);
    buffer_append_char(&work->json, '[');
    for (int i = 0; i < count && i < limit; i++) {
        struct call_record record = call_decode(rows, i);
        buffer_append_text(&work->json, i > 0 ? "," : "");
        render_call(work, &record);
        if (i == limit - 1 && count > limit) {
            render_cursor(&next, true, record.started_at_us, record.id);
        }
    }
    buffer_append_char(&work->json, ']');
    render_next_cursor(&work->pagination, buffer_slice(&next));
    buffer_dispose(&next);
    return work_success(work, STATUS_OK, "calls");
}

void calls_list(struct services *services, const struct actor *actor, int64_t limit, struct slice cursor,
                on_outcome *on_done, void *data)
{
    struct call_cursor position = {.is_set = cursor.length > 0};
    bool has_time = true;
    if (position.is_set &&
        (!render_parse_cursor(cursor, &has_time, &position.started_at_us, &position.id) || !has_time)) {
        on_done(data, &(struct outcome){.status = STATUS_VALIDATION_ERROR});
        return;
    }
    struct work *work = work_create(services, actor, on_done, data);
    if (work != NULL) {
        work->kept.number = limit;
        call_list(&work->call, actor->id, limit + 1, &position);
        work_read(work, finish_list);
    }
}
