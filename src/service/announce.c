#include "service/announce.h"

#include <assert.h>
#include <stddef.h>
#include <stdlib.h>
#include <time.h>

#include "cache/cache.h"
#include "render.h"
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

struct news {
    struct uuid user_id;
    int64_t last_seen_us; /* of a going; 0: a coming */
};

struct announcer {
    struct services *services;
    struct news *waiting; /* owned; a ring */
    size_t first, count, capacity;
    int under_way;
    struct timer pause; /* while the database is away */
};

static bool make_room(struct announcer *announcer)
{
    if (announcer->count < announcer->capacity) {
        return true;
    }
    size_t capacity = announcer->capacity > 0 ? 2 * announcer->capacity : 64;
    struct news *larger = malloc(capacity * sizeof *larger);
    if (larger == NULL) {
        return false;
    }
    for (size_t i = 0; i < announcer->count; i++) {
        assert(announcer->capacity > 0);
        larger[i] = announcer->waiting[(announcer->first + i) % announcer->capacity];
    }
    free(announcer->waiting);
    announcer->waiting = larger;
    announcer->first = 0;
    announcer->capacity = capacity;
    return true;
}

static void pump(struct announcer *announcer);

/* News that the database did not hear is told again after a pause. */
struct telling {
    struct announcer *announcer;
    struct news news;
};

static void push(struct announcer *announcer, const struct news *news)
{
    if (make_room(announcer)) {
        announcer->waiting[(announcer->first + announcer->count++) % announcer->capacity] = *news;
    }
}

static void on_told(void *data, const struct outcome *outcome)
{
    struct telling *telling = data;
    struct announcer *announcer = telling->announcer;
    announcer->under_way--;
    if (outcome->status == STATUS_UNAVAILABLE) {
        push(announcer, &telling->news);
        loop_timer_start(announcer->services->loop, &announcer->pause, RETRY_MS);
    } else {
        pump(announcer);
    }
    free(telling);
}

static void tell(struct announcer *announcer, const struct news *news)
{
    struct telling *telling = malloc(sizeof *telling);
    if (telling == NULL) {
        return;
    }
    *telling = (struct telling){announcer, *news};
    announcer->under_way++;
    struct actor actor = {.id = news->user_id, .username = ""};
    struct work *work = work_create(announcer->services, &actor, on_told, telling);
    if (work != NULL && news->last_seen_us == 0) {
        start_coming(work);
    } else if (work != NULL) {
        start_going(work, news->last_seen_us);
    }
}

static void pump(struct announcer *announcer)
{
    while (announcer->count > 0 && announcer->under_way < UNDER_WAY_MAX) {
        struct news news = announcer->waiting[announcer->first];
        announcer->first = (announcer->first + 1) % announcer->capacity;
        announcer->count--;
        tell(announcer, &news);
    }
}

static void on_pause_over(struct timer *timer)
{
    pump((struct announcer *)((char *)timer - offsetof(struct announcer, pause)));
}

struct announcer *announcer_create(struct services *services)
{
    struct announcer *announcer = calloc(1, sizeof *announcer);
    if (announcer != NULL) {
        announcer->services = services;
        announcer->pause.on_fire = on_pause_over;
    }
    return announcer;
}

void announcer_destroy(struct announcer *announcer)
{
    if (announcer != NULL) {
        free(announcer->waiting);
        free(announcer);
    }
}

void announce_presence(struct services *services, struct uuid user_id, bool is_online)
{
    int64_t last_seen_us = is_online ? 0 : now_us() - (int64_t)services->config->presence_grace_ms * 1000;
    push(services->announcer, &(struct news){user_id, last_seen_us});
    pump(services->announcer);
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
