/* What contacts see of a user as it happens: coming and going, and typing. None of it is kept. */
#ifndef STONECHAT_SERVICE_ANNOUNCE_H
#define STONECHAT_SERVICE_ANNOUNCE_H

#include "service/services.h"

/* Comings and goings that wait to be told, one a user. Lives on the loop of `services`; destroyed after it has ended
 * and its database has gone. NULL without memory, and NULL is fine. */
struct announcer *announcer_create(struct services *services);
void announcer_destroy(struct announcer *announcer);
/* Has everything been told? */
bool announcer_is_idle(const struct announcer *announcer);

/* The user has come online (user-online) or gone (user-offline, and when): his contacts are told, and a going is noted
 * in the database. What happened before to him and was not told yet is not told any more. */
void announce_presence(struct announcer *announcer, struct uuid user_id, bool is_online);

/* The user's account is gone, and with it his contacts: this one of them is told that he went (user-offline). */
void announce_farewell(struct services *services, struct uuid user_id, struct uuid contact_id);

/* Tells the receiver that the actor types (typing), or has stopped (stop_typing). STATUS_FORBIDDEN: not a contact. */
void announce_typing(struct services *services, const struct actor *actor, struct uuid receiver_id, bool is_typing,
                     on_outcome *on_done, void *data);

#endif
