/* Accounts: making one, coming in, changing the password, going. */
#ifndef STONECHAT_SERVICE_AUTH_H
#define STONECHAT_SERVICE_AUTH_H

#include "service/services.h"

/* From where it was asked. What it points at must stay until the outcome is told, but for the user agent. */
struct login_origin {
    struct slice address;
    struct slice user_agent; /* as it came; what is no UTF-8 is not kept */
};

/* What was typed. `username` is lower-cased; `device` and `otp` may be empty. */
struct credentials {
    struct slice username, password, device, otp;
    struct login_origin origin;
};

/* Makes a user and logs him in: {"token","expiresIn","refreshToken","user":{"id","username"}} with STATUS_CREATED.
 * STATUS_USERNAME_TAKEN, or UNAVAILABLE when too many passwords wait to be hashed. */
void auth_register(struct services *services, const struct credentials *credentials, on_outcome *on_done, void *data);

/* As auth_register, with STATUS_OK. STATUS_INVALID_CREDENTIALS, in the same time whether or not the user exists;
 * STATUS_ACCOUNT_LOCKED after too many failures, for unknown names too. */
void auth_login(struct services *services, const struct credentials *credentials, on_outcome *on_done, void *data);

/* Changes the actor's password, and ends his logins but the one by which he asks: {"message"}. A wrong `current` is a
 * failed login: STATUS_INVALID_CREDENTIALS, and STATUS_ACCOUNT_LOCKED after too many. */
void auth_change_password(struct services *services, const struct actor *actor, struct slice current, struct slice next,
                          on_outcome *on_done, void *data);

/* Takes the actor's account out, and ends all his logins: {"message"}. The password as in auth_change_password. */
void auth_delete(struct services *services, const struct actor *actor, struct slice password, on_outcome *on_done,
                 void *data);

#endif
