/* Who is online: whoever has a session on some worker of some node, or had one until a grace time ago. Shared by all
 * workers of the process; what other nodes hold is told to it. */
#ifndef STONECHAT_REALTIME_PRESENCE_H
#define STONECHAT_REALTIME_PRESENCE_H

#include <stdbool.h>
#include <stdint.h>

#include "realtime/hub.h"
#include "util/uuid.h"

struct presence;
struct presence_worker;

/* NULL without memory. */
struct presence *presence_create(uint32_t grace_ms);
void presence_destroy(struct presence *presence);

/* Any thread. */
bool presence_is_online(struct presence *presence, struct uuid user_id);

/* --- what this node holds --- */

/* Is it among those who hold the user? Any thread. */
bool presence_is_here(struct presence *presence, struct uuid user_id);

/* The user has come to this node, or has been away from it for the grace time. `is_elsewhere`: another node holds him,
 * so that nothing changes for anybody else. On the thread of the worker's loop that met it. */
typedef void (*presence_on_change)(void *data, struct uuid user_id, bool is_here, bool is_elsewhere);

/* Watches the worker's hub. Before its loop runs. NULL without memory. */
struct presence_worker *presence_watch(struct presence *presence, struct loop *loop, struct hub *hub,
                                       presence_on_change on_change, void *data);
/* After its loop has ended. NULL is fine. */
void presence_unwatch(struct presence_worker *worker);

/* Calls `visit` for each user that this node holds. Any thread; `visit` must not call presence. */
void presence_for_each_local(struct presence *presence, void (*visit)(void *data, struct uuid user_id), void *data);

/* Does another node hold the user? Any thread. */
bool presence_is_elsewhere(struct presence *presence, struct uuid user_id);

/* --- what other nodes hold: on the first worker's thread --- */

/* What news of another node change. */
struct presence_change {
    bool has_changed;     /* whether the user is online */
    bool has_left_untold; /* he is offline, and had left this node while others held him */
};

/* A node holds a user (any more); it is known from now on. `now_ms` of any clock that does not go back. */
struct presence_change presence_set_remote(struct presence *presence, struct uuid node_id, struct uuid user_id,
                                           bool is_there, uint64_t now_ms);
/* The node is there. False without memory. */
bool presence_add_node(struct presence *presence, struct uuid node_id, uint64_t now_ms);
bool presence_knows_node(const struct presence *presence, struct uuid node_id);

struct presence_losses {
    void (*on_silent)(void *data, struct uuid node_id); /* nothing was heard of the node; it may forget it */
    void (*on_untold)(void *data, struct uuid user_id); /* has_left_untold, of a user */
};

/* Users of whom nothing was said since are not where they were said to be. */
void presence_sweep(struct presence *presence, uint64_t since_ms, const struct presence_losses *losses, void *data);
/* The node holds nobody any more. Calls `on_untold`, which may be NULL, as presence_sweep does. */
void presence_forget_node(struct presence *presence, struct uuid node_id,
                          void (*on_untold)(void *data, struct uuid user_id), void *data);
/* Calls `visit` for each known node; `visit` may forget the one that it is called for. */
void presence_for_each_node(struct presence *presence, void (*visit)(void *data, struct uuid node_id), void *data);

#endif
