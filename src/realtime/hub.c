#include "realtime/hub.h"

#include <assert.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "realtime/bus.h"
#include "realtime/rendering.h"
#include "util/metrics.h"
#include "util/uuid_map.h"

/* What is published goes to this worker's sessions here and now, and to those of the other workers as a letter, one for
 * all of them. Letters go out at once, so that no answer overtakes the event that it follows. The first worker, where
 * each letter comes by, hands it to the bus. */

enum { RETRY_MS = 1000, EXPIRY_LOOK_MS = 60 * 1000 };

struct hub_user {
    struct uuid id;
    struct session *sessions;
};

struct letter {
    atomic_int references;
    struct slice type, payload; /* both in `text` */
    struct uuid origin;
    bool is_from_bus;
    int recipient_count;
    struct hub_recipient *recipients; /* behind the text */
    char text[];
};

/* A letter on its way to one worker. */
struct delivery {
    struct loop_task task;
    struct hub *hub;
    struct letter *letter;
};

struct hub {
    struct hub_options options;
    struct bus *bus;
    struct uuid_map users;
    int session_count;
    hub_on_user on_user;
    void *on_user_data;
    bool is_stopped;
    struct timer retry;
    bool is_retrying; /* `retry` runs */
    struct timer expiry;
    int64_t next_expiry_s; /* no session's token expires earlier; 0: none expires */
};

static void on_retry(struct timer *timer);
static void on_expiry(struct timer *timer);

struct hub *hub_create(const struct hub_options *options)
{
    struct hub *hub = calloc(1, sizeof *hub);
    if (hub != NULL) {
        hub->options = *options;
        hub->retry.on_fire = on_retry;
        hub->expiry.on_fire = on_expiry;
    }
    return hub;
}

void hub_destroy(struct hub *hub)
{
    if (hub == NULL) {
        return;
    }
    assert(hub->session_count == 0);
    uuid_map_dispose(&hub->users);
    free(hub);
}

void hub_watch_users(struct hub *hub, hub_on_user on_user, void *data)
{
    hub->on_user = on_user;
    hub->on_user_data = data;
}

void hub_set_bus(struct hub *hub, struct bus *bus)
{
    hub->bus = bus;
}

/* --- coming and going --- */

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
    hub_expect_expiry(hub, session);
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

const struct token_key *hub_token_key(const struct hub *hub)
{
    return hub->options.token_key;
}

void hub_submit(struct hub *hub, struct db_call *call)
{
    db_submit(hub->options.db, hub->options.loop, call);
}

bool hub_has_database(const struct hub *hub)
{
    return !hub->is_stopped && db_is_available(hub->options.db);
}

/* --- all sessions --- */

static void for_each_session(struct hub *hub, void (*act)(struct session *session))
{
    size_t cursor = 0;
    for (struct hub_user *user; (user = uuid_map_next(&hub->users, &cursor)) != NULL;) {
        for (struct session *session = user->sessions; session != NULL; session = session->next) {
            act(session);
        }
    }
}

static void on_retry(struct timer *timer)
{
    struct hub *hub = (struct hub *)((char *)timer - offsetof(struct hub, retry));
    hub->is_retrying = false;
    for_each_session(hub, session_retry);
}

/* Who comes later waits with the others: while somebody is refused again and again, a timer that is moved never fires.
 */
void hub_retry_later(struct hub *hub)
{
    if (!hub->is_retrying) {
        hub->is_retrying = true;
        loop_timer_start(hub->options.loop, &hub->retry, RETRY_MS);
    }
}

/* False when nobody waits. Who is told that may leave, and takes his entry along. */
static bool give_one_up(struct hub *hub)
{
    size_t cursor = 0;
    for (struct hub_user *user; (user = uuid_map_next(&hub->users, &cursor)) != NULL;) {
        for (struct session *session = user->sessions; session != NULL; session = session->next) {
            if (session_give_up(session)) {
                return true;
            }
        }
    }
    return false;
}

void hub_stop(struct hub *hub)
{
    if (hub != NULL) {
        hub->is_stopped = true;
        while (give_one_up(hub)) {
        }
    }
}

struct look {
    struct loop_task task;
    struct hub *hub;
};

static void on_look(struct loop_task *task)
{
    struct look *look = (struct look *)task;
    for_each_session(look->hub, session_look);
    free(look);
}

void hub_catch_up(struct hub *hub)
{
    for_each_session(hub, session_look);
    for (int i = 0; i < hub->options.count; i++) {
        struct look *look = i != hub->options.index ? malloc(sizeof *look) : NULL;
        if (look != NULL) {
            *look = (struct look){.task.run = on_look, .hub = hub->options.hubs[i]};
            loop_post(hub->options.hubs[i]->options.loop, &look->task);
        }
    }
}

/* --- the ends of tokens and logins --- */

/* The wall clock may be set: what is far off is looked at again. */
static void wait_for_expiry(struct hub *hub)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    int64_t wait_ms = (hub->next_expiry_s - now.tv_sec) * 1000 - now.tv_nsec / 1000000;
    wait_ms = wait_ms < 0 ? 0 : wait_ms;
    loop_timer_start(hub->options.loop, &hub->expiry, wait_ms < EXPIRY_LOOK_MS ? (uint64_t)wait_ms : EXPIRY_LOOK_MS);
}

void hub_expect_expiry(struct hub *hub, const struct session *session)
{
    int64_t at_s = session->expires_at_s;
    if (at_s != 0 && (hub->next_expiry_s == 0 || at_s < hub->next_expiry_s)) {
        hub->next_expiry_s = at_s;
        wait_for_expiry(hub);
    }
}

/* One timer for all: a session would need more memory for one of its own than for all else that is said here. Times are
 * whole seconds, so that this happens once a second at most. */
static void end_expired(struct hub *hub, int64_t now_s)
{
    size_t cursor = 0;
    int64_t next_s = 0;
    for (struct hub_user *user; (user = uuid_map_next(&hub->users, &cursor)) != NULL;) {
        for (struct session *session = user->sessions; session != NULL; session = session->next) {
            if (session->expires_at_s != 0 && session->expires_at_s <= now_s) {
                session_end(session);
            } else if (session->expires_at_s != 0 && (next_s == 0 || session->expires_at_s < next_s)) {
                next_s = session->expires_at_s;
            }
        }
    }
    hub->next_expiry_s = next_s;
}

static void on_expiry(struct timer *timer)
{
    struct hub *hub = (struct hub *)((char *)timer - offsetof(struct hub, expiry));
    int64_t now_s = time(NULL);
    if (hub->next_expiry_s <= now_s) {
        end_expired(hub, now_s);
    }
    if (hub->next_expiry_s != 0) {
        wait_for_expiry(hub);
    }
}

struct verdict {
    struct loop_task task;
    struct hub *hub;
    struct uuid user_id, login_id;
};

static void end_login(struct hub *hub, struct uuid user_id, struct uuid login_id)
{
    struct hub_user *user = uuid_map_get(&hub->users, user_id);
    for (struct session *session = user != NULL ? user->sessions : NULL; session != NULL; session = session->next) {
        if (uuid_equals(session->login_id, login_id)) {
            session_end(session);
        }
    }
}

static void on_verdict(struct loop_task *task)
{
    struct verdict *verdict = (struct verdict *)task;
    end_login(verdict->hub, verdict->user_id, verdict->login_id);
    free(verdict);
}

void hub_end_login(struct hub *hub, struct uuid user_id, struct uuid login_id)
{
    end_login(hub, user_id, login_id);
    for (int i = 0; i < hub->options.count; i++) {
        struct verdict *verdict = i != hub->options.index ? malloc(sizeof *verdict) : NULL;
        if (verdict != NULL) {
            *verdict = (struct verdict){{.run = on_verdict}, hub->options.hubs[i], user_id, login_id};
            loop_post(hub->options.hubs[i]->options.loop, &verdict->task);
        }
    }
}

/* --- publishing --- */

static void tell(struct session *session, struct rendering *rendering, const struct letter *letter)
{
    if (rendering->seq == 0) {
        session_on_ephemeral(session, rendering);
    } else if (letter->payload.data == NULL) {
        session_on_hint(session, rendering->seq);
    } else {
        session_on_event(session, rendering, rendering->seq, letter->origin);
    }
}

/* Sessions only queue, so none leaves meanwhile. */
static void deliver(struct hub *hub, const struct letter *letter)
{
    struct rendering rendering = {.type = letter->type, .payload = letter->payload};
    for (int i = 0; i < letter->recipient_count; i++) {
        struct hub_user *user = uuid_map_get(&hub->users, letter->recipients[i].user_id);
        if (user != NULL && rendering.seq != letter->recipients[i].seq) {
            rendering_dispose(&rendering);
            rendering =
                (struct rendering){.type = letter->type, .payload = letter->payload, .seq = letter->recipients[i].seq};
        }
        for (struct session *session = user != NULL ? user->sessions : NULL; session != NULL; session = session->next) {
            tell(session, &rendering, letter);
        }
    }
    rendering_dispose(&rendering);
    if (hub->bus != NULL && !letter->is_from_bus) {
        bus_publish(hub->bus, &(struct hub_event){letter->type, letter->payload, letter->recipients,
                                                  letter->recipient_count, letter->origin});
    }
}

static void letter_unref(struct letter *letter)
{
    if (letter != NULL && atomic_fetch_sub_explicit(&letter->references, 1, memory_order_acq_rel) == 1) {
        free(letter);
    }
}

static void on_delivery(struct loop_task *task)
{
    struct delivery *delivery = (struct delivery *)task;
    deliver(delivery->hub, delivery->letter);
    letter_unref(delivery->letter);
    free(delivery);
}

static void post(struct hub *target, struct letter *letter)
{
    struct delivery *delivery = malloc(sizeof *delivery);
    if (delivery == NULL) {
        return; /* without memory a durable event waits in the log */
    }
    *delivery = (struct delivery){.task.run = on_delivery, .hub = target, .letter = letter};
    atomic_fetch_add_explicit(&letter->references, 1, memory_order_relaxed);
    loop_post(target->options.loop, &delivery->task);
}

static struct letter *write_letter(const struct hub_event *event)
{
    size_t text_bytes = (event->type.length + event->payload.length + 15) & ~(size_t)15;
    size_t list_bytes = sizeof(struct hub_recipient) * (size_t)event->recipient_count;
    struct letter *letter = malloc(sizeof *letter + text_bytes + list_bytes);
    if (letter == NULL) {
        return NULL;
    }
    *letter = (struct letter){.type = {letter->text, event->type.length},
                              .origin = event->origin,
                              .recipient_count = event->recipient_count,
                              .recipients = (struct hub_recipient *)(letter->text + text_bytes)};
    atomic_init(&letter->references, 1);
    memcpy(letter->text, event->type.data, event->type.length);
    if (event->payload.data != NULL) {
        letter->payload = (struct slice){letter->text + event->type.length, event->payload.length};
        memcpy(letter->text + event->type.length, event->payload.data, event->payload.length);
    }
    memcpy(letter->recipients, event->recipients, list_bytes);
    return letter;
}

/* To the sessions of this worker, and to the others. */
static void send_letter(struct hub *hub, struct letter *letter)
{
    deliver(hub, letter);
    for (int i = 0; i < hub->options.count; i++) {
        if (i != hub->options.index) {
            post(hub->options.hubs[i], letter);
        }
    }
    letter_unref(letter);
}

void hub_publish(struct hub *hub, const struct hub_event *event)
{
    struct letter *letter = write_letter(event);
    if (letter != NULL) {
        metrics_add(METRIC_EVENTS_PUBLISHED, 1);
        send_letter(hub, letter);
    }
}

void hub_receive(struct hub *hub, const struct hub_event *event)
{
    struct letter *letter = write_letter(event);
    if (letter != NULL) {
        letter->is_from_bus = true;
        send_letter(hub, letter);
    }
}
