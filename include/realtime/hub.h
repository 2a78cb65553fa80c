/* Who is connected, and the one place where events leave for them. Each worker has a hub with the sessions of its
 * thread; what is published on one reaches the sessions of all, in the order of publication. */
#ifndef STONECHAT_REALTIME_HUB_H
#define STONECHAT_REALTIME_HUB_H

#include <stdbool.h>
#include <stdint.h>

#include "auth/token.h"
#include "db/db.h"
#include "loop/loop.h"
#include "realtime/session.h"
#include "util/slice.h"
#include "util/uuid.h"

struct bus;
struct hub;

/* The user's first session on this worker has come (is_here), or the last one has gone. On the hub's thread. */
typedef void (*hub_on_user)(void *data, struct uuid user_id, bool is_here);

struct hub_options {
    struct loop *loop;
    struct hub *const *hubs; /* of all workers, filled before any loop runs */
    int index, count;        /* this one among them */
    struct db *db;           /* by which sessions read the log; has EVENT_LOG_STATEMENTS */
    const struct token_key *token_key;
};

struct hub *hub_create(const struct hub_options *options);
/* Sessions read no more: those that wait for room in the database's queue are told that it is away. When the loop has
 * ended, and before its database is destroyed. NULL is fine. */
void hub_stop(struct hub *hub);
/* All sessions have left. NULL is fine. */
void hub_destroy(struct hub *hub);
void hub_watch_users(struct hub *hub, hub_on_user on_user, void *data);

/* By which bus other nodes hear of what is published: set on the first hub alone, on its thread. NULL: there are none.
 */
void hub_set_bus(struct hub *hub, struct bus *bus);

/* Does the user have a session on this worker? */
bool hub_holds(const struct hub *hub, struct uuid user_id);
int hub_session_count(const struct hub *hub);

struct hub_recipient {
    struct uuid user_id;
    int64_t seq; /* the event's place in his log; 0: it is ephemeral, and in none */
};

struct hub_event {
    struct slice type;    /* "private-message" */
    struct slice payload; /* JSON; data NULL for a durable event of which no more is known than its place */
    const struct hub_recipient *recipients;
    int recipient_count;
    struct uuid origin; /* the session whose own action it is, which is not told; nil for none */
};

/* Sends the event to every session of the recipients on all workers, and by the bus to other nodes. Everything is
 * copied. Called on `hub`'s thread. */
void hub_publish(struct hub *hub, const struct hub_event *event);

/* The same for what another node has published: it goes to this node's sessions alone. On the thread of the bus, which
 * is the first hub's. */
void hub_receive(struct hub *hub, const struct hub_event *event);

/* Nobody knows what was missed: every session on all workers looks at its log. On the first hub's thread. */
void hub_catch_up(struct hub *hub);

/* The user's login was revoked: all its sessions on all workers end. On `hub`'s thread. */
void hub_end_login(struct hub *hub, struct uuid user_id, struct uuid login_id);

/* --- for sessions --- */

bool hub_join(struct hub *hub, struct session *session);
void hub_leave(struct session *session);
/* It ends when its token expires, which may have changed. */
void hub_expect_expiry(struct hub *hub, const struct session *session);
const struct token_key *hub_token_key(const struct hub *hub);
void hub_submit(struct hub *hub, struct db_call *call);
bool hub_has_database(const struct hub *hub);
/* Calls session_retry of all sessions, in a while. */
void hub_retry_later(struct hub *hub);

#endif
