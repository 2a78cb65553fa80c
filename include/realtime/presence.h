/* Who is online: whoever has a session on some worker, or had one until a grace time ago. Shared by all workers; a
 * change is told to the worker that brought it about. */
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

/* The user has come online, or has been away for the grace time. On the thread of the worker's loop. */
typedef void presence_on_change(void *data, struct uuid user_id, bool is_online);

/* Watches the worker's hub. Before its loop runs. NULL without memory. */
struct presence_worker *presence_watch(struct presence *presence, struct loop *loop, struct hub *hub,
                                       presence_on_change *on_change, void *data);
/* After its loop has ended. NULL is fine. */
void presence_unwatch(struct presence_worker *worker);

/* Any thread. */
bool presence_is_online(struct presence *presence, struct uuid user_id);

#endif
