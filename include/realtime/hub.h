/* Who is connected, and the one place where events leave for them. Each worker has a hub with the sessions of its
 * thread; what is published on one reaches the sessions of all, in the order of publication. */
#ifndef STONECHAT_REALTIME_HUB_H
#define STONECHAT_REALTIME_HUB_H

#include <stdbool.h>
#include <stdint.h>

#include "loop/loop.h"
#include "realtime/socketio.h"
#include "util/slice.h"
#include "util/uuid.h"

struct hub;
struct hub_user;
struct session;

struct session_transport {
    void (*deliver)(struct session *session, struct sio_frame *frame, bool is_ephemeral);
    /* Ends the connection; the session leaves the hub by itself, later. */
    void (*close)(struct session *session);
};

/* One connected device of a user, embedded in its transport. Its thread is its hub's. */
struct session {
    const struct session_transport *transport;
    struct uuid user_id;
    uint64_t id; /* never repeated in the life of the process; 0 is nobody */
    /* private */
    struct hub *hub;
    struct hub_user *user;
    struct session *previous, *next;
};

/* The user's first session on this worker has come (is_here), or the last one has gone. On the hub's thread. */
typedef void (*hub_on_user)(void *data, struct uuid user_id, bool is_here);

/* The hub of worker `index` of `count`; `hubs` is the array of all of them, filled before any loop runs. */
struct hub *hub_create(struct loop *loop, struct hub *const *hubs, int index, int count);
void hub_destroy(struct hub *hub);
void hub_watch_users(struct hub *hub, hub_on_user on_user, void *data);

/* The session comes and goes. `transport` and `user_id` are set by the caller; `id` is given here. False without
 * memory. */
bool hub_join(struct hub *hub, struct session *session);
void hub_leave(struct session *session);

/* Does the user have a session on this worker? */
bool hub_holds(const struct hub *hub, struct uuid user_id);
int hub_session_count(const struct hub *hub);

struct hub_event {
    struct slice type;    /* "private-message" */
    struct slice payload; /* JSON */
    bool is_ephemeral;    /* may be dropped for a slow reader */
    uint64_t except;      /* the session that did it and is not told; 0 for none */
    const struct uuid *recipients;
    int recipient_count;
};

/* Sends the event to every session of the recipients on all workers. Everything is copied. Called on `hub`'s thread. */
void hub_publish(struct hub *hub, const struct hub_event *event);

#endif
