/* The second factor of an account: setting it up, and asking for it. */
#ifndef STONECHAT_SERVICE_TWO_FACTORS_H
#define STONECHAT_SERVICE_TWO_FACTORS_H

#include "service/services.h"

/* A new secret for the actor: {"secret","otpauthUri","qrSvg"}. Logins don't ask for it before it is enabled.
 * STATUS_CONFLICT: two factors are enabled already. */
void two_factors_setup(struct services *services, const struct actor *actor, on_outcome *on_done, void *data);

/* Logins ask for a code from now on: {"recoveryCodes":[…]}, shown this once. STATUS_INVALID_CREDENTIALS: not the code
 * of the secret that was set up. STATUS_CONFLICT: none was, or it is enabled already. */
void two_factors_enable(struct services *services, const struct actor *actor, struct slice code, on_outcome *on_done,
                        void *data);

/* Forgets it all. The code, or a recovery code, must be right. STATUS_CONFLICT: there is nothing to forget. */
void two_factors_disable(struct services *services, const struct actor *actor, struct slice code, on_outcome *on_done,
                         void *data);

/* May who knows the user's password come in? STATUS_OK: there is no second factor, or the code (or recovery code) is
 * right, and is used up. OTP_REQUIRED: no code was given. INVALID_CREDENTIALS: it is wrong, or was used before.
 * ACCOUNT_LOCKED: too many were wrong. */
void two_factors_check(struct services *services, const struct actor *actor, struct slice code, on_outcome *on_done,
                       void *data);

#endif
