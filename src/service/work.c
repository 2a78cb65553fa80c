#include "work.h"

#include <stdlib.h>

#include "repository/event.h"

enum { JSON_MAX_BYTES = 16 << 20, CODE_MAX_LENGTH = 32 };

struct work *work_create(struct services *services, const struct actor *actor, on_outcome *on_done, void *data)
{
    struct work *work = calloc(1, sizeof *work);
    if (work == NULL) {
        on_done(data, &(struct outcome){.status = STATUS_UNAVAILABLE});
        return NULL;
    }
    work->services = services;
    work->actor = *actor;
    work->on_done = on_done;
    work->data = data;
    work->json = buffer_init(JSON_MAX_BYTES);
    work->pagination = buffer_init(JSON_MAX_BYTES);
    return work;
}

static void on_done(struct db_call *call, enum status status, const struct db_rows *rows)
{
    struct work *work = (struct work *)call;
    struct outcome outcome = {.status = status};
    if (status == STATUS_OK) {
        outcome = work->finish(work, rows);
    }
    work->on_done(work->data, &outcome);
    buffer_dispose(&work->json);
    buffer_dispose(&work->pagination);
    free(work);
}

static void submit(struct work *work, struct db *db, struct outcome (*finish)(struct work *, const struct db_rows *))
{
    work->finish = finish;
    work->call.on_done = on_done;
    db_submit(db, work->services->loop, &work->call);
}

void work_read(struct work *work, struct outcome (*finish)(struct work *work, const struct db_rows *rows))
{
    submit(work, work->services->db, finish);
}

void work_append(struct work *work, struct outcome (*finish)(struct work *work, const struct db_rows *rows))
{
    submit(work, work->services->append, finish);
}

struct outcome work_success(struct work *work, enum status status, const char *name)
{
    if (work->json.failed || work->pagination.failed) {
        return (struct outcome){.status = STATUS_UNAVAILABLE};
    }
    return (struct outcome){.status = status,
                            .name = name,
                            .json = buffer_slice(&work->json),
                            .pagination = buffer_slice(&work->pagination)};
}

void work_publish(struct db_call *call, const struct db_rows *rows)
{
    struct work *work = (struct work *)call;
    for (int i = 0; i < db_rows_count(rows); i++) {
        struct event event = event_decode(rows, i);
        if (event.has_recipient) {
            struct hub_recipient recipient = {event.recipient, event.seq};
            hub_publish(work->services->append_hub, &(struct hub_event){.type = event.type,
                                                                        .payload = event.payload,
                                                                        .origin = event.origin,
                                                                        .recipients = &recipient,
                                                                        .recipient_count = 1});
        }
    }
}

struct outcome verdict_outcome(const struct verdict *verdicts, struct slice code)
{
    for (const struct verdict *verdict = verdicts; verdict->code != NULL; verdict++) {
        if (slice_equals(code, slice_of(verdict->code))) {
            return (struct outcome){.status = verdict->status, .message = verdict->message};
        }
    }
    char text[CODE_MAX_LENGTH + 1] = "";
    if (code.length < sizeof text) {
        memcpy(text, code.data, code.length);
        text[code.length] = '\0';
    }
    return (struct outcome){.status = status_of_code(text)};
}
