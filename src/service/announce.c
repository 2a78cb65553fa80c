#include "service/announce.h"

#include <stddef.h>
#include <stdlib.h>
#include <time.h>

#include "cache/cache.h"
#include "render.h"
#include "util/uuid_map.h"
#include "work.h"

/* A crowd that comes or goes at once must leave the database to the requests: only so many are announced at a time, and
 * the others wait here. */
enum { UNDER_WAY_MAX = 128, RETRY_MS = 1000 };

static int64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* --- coming and going --- */

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
    for (int i = 0; i < db_rows_count(rows); i++) {
        cache_note_last_seen(work->services->cache, db_uuid(rows, i, 0), work->actor.id, work->kept.number);
    }
    if (!presence_is_online(work->services->presence, work->actor.id)) {
        publish_to_contacts(work, rows, SLICE("user-offline"));
    }
    return (struct outcome){.status = STATUS_OK};
}

static void start_coming(struct work *work)
{
    buffer_append_text(&work->json, "{\"userId\":");
    json_uuid(&work->json, work->actor.id);
    buffer_append_char(&work->json, '}');
    contact_list_ids(&work->call, work->actor.id);
    work_read(work, finish_coming);
}

static void append_going(struct buffer *out, struct uuid user_id, int64_t last_seen_us)
{
    buffer_append_text(out, "{\"userId\":");
    json_uuid(out, user_id);
    buffer_append_text(out, ",\"lastSeen\":");
    json_time(out, last_seen_us);
    buffer_append_char(out, '}');
}

static void start_going(struct work *work, int64_t last_seen_us)
{
    work->kept.number = last_seen_us;
    append_going(&work->json, work->actor.id, last_seen_us);
    contact_went_offline(&work->call, work->actor.id, last_seen_us);
    work_read(work, finish_going);
}

/* --- one after the other --- */

/* Malloc'd; the announcer's until it has been told. */
struct news {
    struct announcer *announcer;
    struct news *next;
    struct uuid user_id;
    int64_t last_seen_us; /* of a going; 0: a coming */
    bool is_void;         /* it waits, but there is nothing to tell any more */
};

struct announcer {
    struct services *services;
    struct news *first, **last; /* those that wait; owned */
    struct uuid_map waiting;    /* the same, but for the void: one a user, however long the database is away */
    int under_way;
    struct timer pause; /* while the database is away */
    bool is_paused;
};

/* News of the same user, of which the older has not been told. */
static void supersede(struct announcer *announcer, struct news *waiting, int64_t older_us, int64_t newer_us)
{
    bool was_never_away = older_us != 0 && newer_us == 0;
    waiting->last_seen_us = newer_us;
    if (was_never_away) {
        waiting->is_void = true;
        uuid_map_remove(&announcer->waiting, waiting->user_id);
    }
}

/* Without memory nobody is told. */
static void queue(struct announcer *announcer, struct news *news)
{
    if (!uuid_map_put(&announcer->waiting, news->user_id, news)) {
        free(news);
        return;
    }
    news->next = NULL;
    *announcer->last = news;
    announcer->last = &news->next;
}

static struct news *take(struct announcer *announcer)
{
    struct news *news = announcer->first;
    announcer->first = news->next;
    if (announcer->first == NULL) {
        announcer->last = &announcer->first;
    }
    if (!news->is_void) {
        uuid_map_remove(&announcer->waiting, news->user_id);
    }
    return news;
}

static void pump(struct announcer *announcer);

/* News that the database did not hear are told again after a pause, unless there are newer ones. */
static void retry_later(struct announcer *announcer, struct news *news)
{
    struct news *newer = uuid_map_get(&announcer->waiting, news->user_id);
    if (newer != NULL) {
        supersede(announcer, newer, news->last_seen_us, newer->last_seen_us);
        free(news);
    } else {
        queue(announcer, news);
    }
    if (!announcer->is_paused) {
        announcer->is_paused = true;
        loop_timer_start(announcer->services->loop, &announcer->pause, RETRY_MS);
    }
}

static void on_told(void *data, const struct outcome *outcome)
{
    struct news *news = data;
    struct announcer *announcer = news->announcer;
    announcer->under_way--;
    if (outcome->status == STATUS_UNAVAILABLE) {
        retry_later(announcer, news);
    } else {
        free(news);
        pump(announcer);
    }
}

static void tell(struct announcer *announcer, struct news *news)
{
    announcer->under_way++;
    int64_t last_seen_us = news->last_seen_us;
    struct actor actor = {.id = news->user_id, .username = ""};
    struct work *work = work_create(announcer->services, &actor, on_told, news);
    if (work != NULL && last_seen_us == 0) {
        start_coming(work);
    } else if (work != NULL) {
        start_going(work, last_seen_us);
    }
}

static void pump(struct announcer *announcer)
{
    while (!announcer->is_paused && announcer->first != NULL && announcer->under_way < UNDER_WAY_MAX) {
        struct news *news = take(announcer);
        if (news->is_void) {
            free(news);
        } else {
            tell(announcer, news);
        }
    }
}

static void on_pause_over(struct timer *timer)
{
    struct announcer *announcer = (struct announcer *)((char *)timer - offsetof(struct announcer, pause));
    announcer->is_paused = false;
    pump(announcer);
}

struct announcer *announcer_create(struct services *services)
{
    struct announcer *announcer = calloc(1, sizeof *announcer);
    if (announcer != NULL) {
        announcer->services = services;
        announcer->last = &announcer->first;
        announcer->pause.on_fire = on_pause_over;
    }
    return announcer;
}

void announcer_destroy(struct announcer *announcer)
{
    if (announcer == NULL) {
        return;
    }
    while (announcer->first != NULL) {
        free(take(announcer));
    }
    uuid_map_dispose(&announcer->waiting);
    free(announcer);
}

bool announcer_is_idle(const struct announcer *announcer)
{
    return announcer->first == NULL && announcer->under_way == 0;
}

void announce_presence(struct announcer *announcer, struct uuid user_id, bool is_online)
{
    int64_t grace_us = (int64_t)announcer->services->config->presence_grace_ms * 1000;
    int64_t last_seen_us = is_online ? 0 : now_us() - grace_us;
    struct news *waiting = uuid_map_get(&announcer->waiting, user_id);
    if (waiting != NULL) {
        supersede(announcer, waiting, waiting->last_seen_us, last_seen_us);
        return;
    }
    struct news *news = malloc(sizeof *news);
    if (news != NULL) {
        *news = (struct news){.announcer = announcer, .user_id = user_id, .last_seen_us = last_seen_us};
        queue(announcer, news);
        pump(announcer);
    }
}

enum { GOING_MAX_BYTES = 128 };

void announce_farewell(struct services *services, struct uuid user_id, struct uuid contact_id)
{
    struct buffer json = buffer_init(GOING_MAX_BYTES);
    struct hub_recipient recipient = {.user_id = contact_id};
    append_going(&json, user_id, now_us());
    if (!json.failed) {
        hub_publish(services->hub, &(struct hub_event){.type = SLICE("user-offline"),
                                                       .payload = buffer_slice(&json),
                                                       .recipients = &recipient,
                                                       .recipient_count = 1});
    }
    buffer_dispose(&json);
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
