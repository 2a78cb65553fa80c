/* This node among the others on its database: it keeps a lease, knows who else is there and whom they hold, buries the
 * dead, and is the only one of the process that speaks on the bus. */
#ifndef STONECHAT_SERVICE_NODE_H
#define STONECHAT_SERVICE_NODE_H

#include "service/services.h"

/* Starts on the loop of the first worker's `services`. NULL without memory. */
struct node *node_start(struct services *services);
/* The loops have ended: it leaves the bus. NULL is fine. */
void node_stop(struct node *node);
/* After the loops have been destroyed. NULL is fine. */
void node_destroy(struct node *node);

/* A presence_on_change, `data` being a worker's struct services: the user has come to this node or left it. The other
 * nodes are told, and, unless one of them holds him too, his contacts. On the worker's thread. */
void node_on_presence(void *data, struct uuid user_id, bool is_here, bool is_elsewhere);

#endif
