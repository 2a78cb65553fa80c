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

/* A node holds a user (any more). True when that changes whether he is online. */
bool presence_set_remote(struct presence *presence, struct uuid node_id, struct uuid user_id, bool is_there);
/* A comparison begins: what is said from here on is of a new epoch. Its end: whom nothing was said of since is there no
 * more. */
void presence_start_epoch(struct presence *presence);
void presence_sweep(struct presence *presence);
/* Is the node known, as one that holds somebody or that presence_add_node named? */
bool presence_knows_node(const struct presence *presence, struct uuid node_id);
/* False without memory. */
bool presence_add_node(struct presence *presence, struct uuid node_id);
/* The node holds nobody any more. */
void presence_forget_node(struct presence *presence, struct uuid node_id);
/* Calls `visit` for each known node; `visit` may forget the one that it is called for. */
void presence_for_each_node(struct presence *presence, void (*visit)(void *data, struct uuid node_id), void *data);

#endif
