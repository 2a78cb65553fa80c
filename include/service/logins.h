/* A user's logins: the devices on which he is logged in. One that ends takes its tokens, sockets and streams with it,
 * on every node. */
#ifndef STONECHAT_SERVICE_LOGINS_H
#define STONECHAT_SERVICE_LOGINS_H

#include "service/auth.h"

/* New tokens for the refresh token, which is spent: as auth_login. STATUS_UNAUTHORIZED when it is not the newest of a
 * login that is still there; an older one ends the login. */
void logins_refresh(struct services *services, struct slice refresh_token, const struct login_origin *origin,
                    on_outcome *on_done, void *data);

/* The actor's own: [{"id","device","ip","userAgent","createdAt","lastUsedAt","current"}]. */
void logins_list(struct services *services, const struct actor *actor, on_outcome *on_done, void *data);

/* Ends one of the actor's logins: {"message","id"}. STATUS_NOT_FOUND when he has no such login. */
void logins_end(struct services *services, const struct actor *actor, struct uuid login_id, on_outcome *on_done,
                void *data);

/* Ends the login by which the actor asks, or all of his: {"message"}. */
void logins_end_own(struct services *services, const struct actor *actor, on_outcome *on_done, void *data);
void logins_end_all(struct services *services, const struct actor *actor, on_outcome *on_done, void *data);

/* --- what the process knows of the logins that have ended --- */

struct login_watch;

/* Keeps services->revocations: all that have ended are read at first, and then the newest whenever it is asked to look.
 * On the loop of `services`; one a process. NULL without memory. */
struct login_watch *login_watch_start(struct services *services);
/* After the loop has been destroyed. NULL is fine. */
void login_watch_destroy(struct login_watch *watch);

/* Logins may have ended elsewhere: reads, at once or very soon. On the watch's thread. */
void login_watch_look(struct login_watch *watch);

#endif
