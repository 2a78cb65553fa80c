/* Accounts and logins. */
#ifndef STONECHAT_SERVICE_AUTH_H
#define STONECHAT_SERVICE_AUTH_H

#include "service/services.h"

/* What was typed. `username` is lower-cased; `device` may be empty. */
struct credentials {
    struct slice username, password, device;
};

/* Makes a user and logs him in: {"token","expiresIn","user":{"id","username"}} with STATUS_CREATED.
 * STATUS_USERNAME_TAKEN, or UNAVAILABLE when too many passwords wait to be hashed. */
void auth_register(struct services *services, const struct credentials *credentials, on_outcome *on_done, void *data);

/* As auth_register, with STATUS_OK. STATUS_INVALID_CREDENTIALS, in the same time whether or not the user exists;
 * STATUS_ACCOUNT_LOCKED after too many failures, for unknown names too. */
void auth_login(struct services *services, const struct credentials *credentials, on_outcome *on_done, void *data);

#endif
