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

/* The user has come to this node or has left it: the other nodes are told. Any thread. */
void node_note_user(struct node *node, struct uuid user_id);

/* Does it know the others? Until then nobody's coming is announced; it does that itself when it knows. Any thread. */
bool node_is_settled(const struct node *node);

#endif
