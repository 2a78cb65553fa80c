#include "service/announce.h"

#include <stdlib.h>
#include <time.h>

#include "render.h"
#include "service/node.h"
#include "work.h"

static int64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* --- coming and going --- */

static void ignore(void *data, const struct outcome *outcome)
{
    (void)data, (void)outcome;
}

/* Only contacts that are here themselves need to hear of it. */
static void publish_to_contacts(struct work *work, const struct db_rows *rows, struct slice event)
{
    int count = 0;
    struct hub_recipient *recipients = malloc(sizeof *recipients * ((size_t)db_rows_count(rows) + 1));
    for (int i = 0; recipients != NULL && i < db_rows_count(rows); i++) {
        struct uuid contact_id = db_uuid(rows, i, 0);
        if (presence_is_online(work->services->presence, contact_id)) {
            recipients[count++] = (struct hub_recipient){.user_id = contact_id};
        }
    }
    if (count > 0 && !work->json.failed) {
        hub_publish(work->services->hub, &(struct hub_event){.type = event,
                                                             .payload = buffer_slice(&work->json),
                                                             .recipients = recipients,
                                                             .recipient_count = count});
    }
    free(recipients);
}

/* He may have gone or come back while his contacts were looked up: then the later news says how it is. */
static struct outcome finish_coming(struct work *work, const struct db_rows *rows)
{
    if (presence_is_online(work->services->presence, work->actor.id)) {
        publish_to_contacts(work, rows, SLICE("user-online"));
    }
    return (struct outcome){.status = STATUS_OK};
}

static struct outcome finish_going(struct work *work, const struct db_rows *rows)
{
    if (!presence_is_online(work->services->presence, work->actor.id)) {
        publish_to_contacts(work, rows, SLICE("user-offline"));
    }
    return (struct outcome){.status = STATUS_OK};
}

static void announce_coming(struct services *services, struct uuid user_id)
{
    struct work *work = work_create(services, &(struct actor){.id = user_id, .username = ""}, ignore, NULL);
    if (work != NULL) {
        buffer_append_text(&work->json, "{\"userId\":");
        json_uuid(&work->json, user_id);
        buffer_append_char(&work->json, '}');
        contact_list_ids(&work->call, user_id);
        work_read(work, finish_coming);
    }
}

static void announce_going(struct services *services, struct uuid user_id)
{
    struct work *work = work_create(services, &(struct actor){.id = user_id, .username = ""}, ignore, NULL);
    if (work != NULL) {
        int64_t last_seen_us = now_us() - (int64_t)services->config->presence_grace_ms * 1000;
        buffer_append_text(&work->json, "{\"userId\":");
        json_uuid(&work->json, user_id);
        buffer_append_text(&work->json, ",\"lastSeen\":");
        json_time(&work->json, last_seen_us);
        buffer_append_char(&work->json, '}');
        contact_went_offline(&work->call, user_id, last_seen_us);
        work_read(work, finish_going);
    }
}

void announce_presence(void *data, struct uuid user_id, bool is_here, bool is_elsewhere)
{
    struct services *services = data;
    node_note_user(services->node, user_id);
    if (!is_elsewhere && (!is_here || node_is_settled(services->node))) {
        (is_here ? announce_coming : announce_going)(services, user_id);
    }
}

/* --- typing --- */

static struct outcome finish_typing(struct work *work, const struct db_rows *rows)
{
    if (db_rows_count(rows) == 0) {
        return (struct outcome){.status = STATUS_FORBIDDEN};
    }
    struct slice event = work->kept.number != 0 ? SLICE("typing") : SLICE("stop_typing");
    struct hub_recipient recipient = {.user_id = work->call.values[1].uuid};
    hub_publish(work->services->hub, &(struct hub_event){.type = event,
                                                         .payload = buffer_slice(&work->json),
                                                         .recipients = &recipient,
                                                         .recipient_count = 1});
    return (struct outcome){.status = STATUS_OK};
}

void announce_typing(struct services *services, const struct actor *actor, struct uuid receiver_id, bool is_typing,
                     on_outcome *on_done, void *data)
{
    struct work *work = work_create(services, actor, on_done, data);
    if (work == NULL) {
        return;
    }
    buffer_append_text(&work->json, "{\"senderId\":");
    json_uuid(&work->json, actor->id);
    buffer_append_text(&work->json, ",\"senderName\":");
    json_string(&work->json, slice_of(actor->username));
    buffer_append_char(&work->json, '}');
    work->kept.number = is_typing;
    contact_check(&work->call, actor->id, receiver_id);
    work_read(work, finish_typing);
}
