/* What contacts see of a user as it happens: coming and going, and typing. None of it is kept. */
#ifndef STONECHAT_SERVICE_ANNOUNCE_H
#define STONECHAT_SERVICE_ANNOUNCE_H

#include "service/services.h"

/* The user has come to this node or left it: the other nodes are told, and, unless one of them holds him too, his
 * contacts (user-online; user-offline, and when), and a going is noted in the database. While the node is not settled,
 * a coming is announced to nobody. A presence_on_change: `data` is the worker's struct services. */
void announce_presence(void *data, struct uuid user_id, bool is_here, bool is_elsewhere);

/* Tells the receiver that the actor types (typing), or has stopped (stop_typing). STATUS_FORBIDDEN: not a contact. */
void announce_typing(struct services *services, const struct actor *actor, struct uuid receiver_id, bool is_typing,
                     on_outcome *on_done, void *data);

#endif
