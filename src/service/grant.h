/* What somebody gets who logs in or refreshes: a token, and the refresh token for the next one. Private to service. */
#ifndef STONECHAT_SERVICE_GRANT_H
#define STONECHAT_SERVICE_GRANT_H

#include "auth/refresh_token.h"
#include "repository/login.h"
#include "service/auth.h"
#include "util/buffer.h"

enum { USER_AGENT_MAX_BYTES = 256 };

/* Holds all that `draft` points at but the device and the address. Whoever has one wipes it. */
struct grant {
    struct login_draft draft;
    int64_t issued_at_s;
    char refresh_token[REFRESH_TOKEN_LENGTH + 1];
    char refresh_hash[REFRESH_HASH_LENGTH + 1];
    char user_agent[USER_AGENT_MAX_BYTES];
    size_t user_agent_length;
};

/* Notes from where it was asked for. What `origin` points at may go, but for the address. */
void grant_init(struct grant *grant, const struct login_origin *origin);

/* Makes the secrets, for the login; the times count from now. False when the system gives no random bytes. */
bool grant_make(struct grant *grant, const struct services *services, struct uuid login_id, struct slice device);

/* Appends {"token","expiresIn","refreshToken","user":{"id","username"}}. STATUS_OK, or STATUS_UNAVAILABLE without
 * memory. Whoever has `out` wipes it. */
enum status grant_render(const struct grant *grant, const struct services *services, struct uuid user_id,
                         struct slice username, struct buffer *out);

void grant_wipe(struct grant *grant);

/* Disposes a buffer with what grant_render has written. */
void grant_dispose(struct buffer *rendered);

#endif
