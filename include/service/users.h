/* Looking at users. */
#ifndef STONECHAT_SERVICE_USERS_H
#define STONECHAT_SERVICE_USERS_H

#include "service/services.h"

/* The actor's own User. */
void users_get_self(struct services *services, const struct actor *actor, on_outcome *on_done, void *data);

/* An array of at most `max` Users, oneself not among them, whose names begin with `prefix` in any case. */
void users_search(struct services *services, const struct actor *actor, struct slice prefix, int64_t max,
                  on_outcome *on_done, void *data);

#endif
