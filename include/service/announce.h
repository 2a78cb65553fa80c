/* What contacts see of a user as it happens: coming and going, and typing. None of it is kept. */
#ifndef STONECHAT_SERVICE_ANNOUNCE_H
#define STONECHAT_SERVICE_ANNOUNCE_H

#include "service/services.h"

/* Tells the user's contacts that he has come (user-online) or gone (user-offline, and when); a going is noted in the
 * database. A presence_on_change: `data` is the worker's struct services. */
void announce_presence(void *data, struct uuid user_id, bool is_online);

/* Tells the receiver that the actor types (typing), or has stopped (stop_typing). STATUS_FORBIDDEN: not a contact. */
void announce_typing(struct services *services, const struct actor *actor, struct uuid receiver_id, bool is_typing,
                     on_outcome *on_done, void *data);

#endif
