#include "realtime/hub.h"

#include <assert.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "util/metrics.h"
#include "util/uuid_map.h"

/* An event is encoded once, as a frame, and delivered here and now to this worker's sessions. For the other workers it
 * is put into a letter; the letters of one turn go out together, one task a worker, so their order is kept. */

struct hub_user {
    struct uuid id;
    struct session *sessions;
};

struct letter {
    struct sio_frame *frame;
    bool is_ephemeral;
    uint64_t except;
    struct letter *next;
    int recipient_count;
    struct uuid recipients[];
};

struct parcel {
    struct loop_task task;
    struct hub *target;
    struct letter *letters, **last;
};

struct hub {
    struct loop *loop;
    struct hub *const *hubs;
    int index, count;
    struct uuid_map users;
    int session_count;
    uint64_t next_session;
    hub_on_user on_user;
    void *on_user_data;
    struct loop_deferred send;
    struct parcel **parcels; /* a worker each; NULL while there is nothing for it */
};

static void send_parcels(struct loop_deferred *deferred);

struct hub *hub_create(struct loop *loop, struct hub *const *hubs, int index, int count)
{
    struct hub *hub = calloc(1, sizeof *hub);
    if (hub == NULL) {
        return NULL;
    }
    hub->parcels = calloc((size_t)count, sizeof(struct parcel *));
    if (hub->parcels == NULL) {
        free(hub);
        return NULL;
    }
    hub->loop = loop;
    hub->hubs = hubs;
    hub->index = index;
    hub->count = count;
    hub->next_session = (uint64_t)index + 1;
    hub->send.run = send_parcels;
    return hub;
}

void hub_destroy(struct hub *hub)
{
    if (hub == NULL) {
        return;
    }
    assert(hub->session_count == 0);
    uuid_map_dispose(&hub->users);
    free(hub->parcels);
    free(hub);
}

void hub_watch_users(struct hub *hub, hub_on_user on_user, void *data)
{
    hub->on_user = on_user;
    hub->on_user_data = data;
}

bool hub_join(struct hub *hub, struct session *session)
{
    struct hub_user *user = uuid_map_get(&hub->users, session->user_id);
    bool is_first = user == NULL;
    if (is_first) {
        user = calloc(1, sizeof *user);
        if (user == NULL || !uuid_map_put(&hub->users, session->user_id, user)) {
            free(user);
            return false;
        }
        user->id = session->user_id;
    }
    session->id = hub->next_session;
    hub->next_session += (uint64_t)hub->count;
    session->hub = hub;
    session->user = user;
    session->previous = NULL;
    session->next = user->sessions;
    if (user->sessions != NULL) {
        user->sessions->previous = session;
    }
    user->sessions = session;
    hub->session_count++;
    metrics_add(METRIC_SESSIONS, 1);
    if (is_first && hub->on_user != NULL) {
        hub->on_user(hub->on_user_data, user->id, true);
    }
    return true;
}

void hub_leave(struct session *session)
{
    struct hub *hub = session->hub;
    struct hub_user *user = session->user;
    if (session->previous != NULL) {
        session->previous->next = session->next;
    } else {
        user->sessions = session->next;
    }
    if (session->next != NULL) {
        session->next->previous = session->previous;
    }
    hub->session_count--;
    metrics_add(METRIC_SESSIONS, -1);
    session->hub = NULL;
    if (user->sessions != NULL) {
        return;
    }
    uuid_map_remove(&hub->users, user->id);
    if (hub->on_user != NULL) {
        hub->on_user(hub->on_user_data, user->id, false);
    }
    free(user);
}

bool hub_holds(const struct hub *hub, struct uuid user_id)
{
    return uuid_map_get(&hub->users, user_id) != NULL;
}

int hub_session_count(const struct hub *hub)
{
    return hub->session_count;
}

/* Delivering only queues, so no session leaves meanwhile. */
static void deliver(struct hub *hub, struct sio_frame *frame, bool is_ephemeral, uint64_t except,
                    const struct uuid *recipients, int count)
{
    for (int i = 0; i < count; i++) {
        struct hub_user *user = uuid_map_get(&hub->users, recipients[i]);
        for (struct session *session = user != NULL ? user->sessions : NULL; session != NULL; session = session->next) {
            if (session->id != except) {
                session->transport->deliver(session, frame, is_ephemeral);
            }
        }
    }
}

static void on_parcel(struct loop_task *task)
{
    struct parcel *parcel = (struct parcel *)task;
    while (parcel->letters != NULL) {
        struct letter *letter = parcel->letters;
        parcel->letters = letter->next;
        deliver(parcel->target, letter->frame, letter->is_ephemeral, letter->except, letter->recipients,
                letter->recipient_count);
        sio_frame_unref(letter->frame);
        free(letter);
    }
    free(parcel);
}

static void send_parcels(struct loop_deferred *deferred)
{
    struct hub *hub = (struct hub *)((char *)deferred - offsetof(struct hub, send));
    for (int i = 0; i < hub->count; i++) {
        if (hub->parcels[i] != NULL) {
            loop_post(hub->hubs[i]->loop, &hub->parcels[i]->task);
            hub->parcels[i] = NULL;
        }
    }
}

static void post(struct hub *hub, int target, struct sio_frame *frame, const struct hub_event *event)
{
    size_t list_bytes = sizeof(struct uuid) * (size_t)event->recipient_count;
    struct letter *letter = malloc(sizeof *letter + list_bytes);
    struct parcel *parcel = hub->parcels[target];
    if (parcel == NULL && letter != NULL) {
        parcel = calloc(1, sizeof *parcel);
    }
    if (letter == NULL || parcel == NULL) {
        free(letter); /* without memory the event waits in the log */
        return;
    }
    if (hub->parcels[target] == NULL) {
        parcel->task.run = on_parcel;
        parcel->target = hub->hubs[target];
        parcel->last = &parcel->letters;
        hub->parcels[target] = parcel;
    }
    *letter = (struct letter){.frame = sio_frame_ref(frame),
                              .is_ephemeral = event->is_ephemeral,
                              .except = event->except,
                              .recipient_count = event->recipient_count};
    memcpy(letter->recipients, event->recipients, list_bytes);
    *parcel->last = letter;
    parcel->last = &letter->next;
    loop_defer(hub->loop, &hub->send);
}

void hub_publish(struct hub *hub, const struct hub_event *event)
{
    struct sio_frame *frame = sio_frame_create(event->type, event->payload);
    if (frame == NULL) {
        return;
    }
    metrics_add(METRIC_EVENTS_PUBLISHED, 1);
    deliver(hub, frame, event->is_ephemeral, event->except, event->recipients, event->recipient_count);
    for (int i = 0; i < hub->count; i++) {
        if (i != hub->index) {
            post(hub, i, frame, event);
        }
    }
    sio_frame_unref(frame);
}
