#include "grant.h"

#include <assert.h>
#include <time.h>

#include "util/json.h"
#include "util/utf8.h"

void grant_init(struct grant *grant, const struct login_origin *origin)
{
    struct slice agent = utf8_is_valid(origin->user_agent) ? utf8_cut(origin->user_agent, sizeof grant->user_agent)
                                                           : (struct slice){NULL, 0};
    *grant = (struct grant){.draft.ip = origin->address, .user_agent_length = agent.length};
    if (agent.length > 0) {
        memcpy(grant->user_agent, agent.data, agent.length);
    }
}

bool grant_make(struct grant *grant, const struct services *services, struct uuid login_id, struct slice device)
{
    const struct config *config = services->config;
    if (!refresh_token_make(services->token_key, login_id, grant->refresh_token)) {
        return false;
    }
    refresh_token_hash(slice_of(grant->refresh_token), grant->refresh_hash);
    grant->issued_at_s = time(NULL);
    grant->draft.id = login_id;
    grant->draft.device = device;
    grant->draft.user_agent = (struct slice){grant->user_agent, grant->user_agent_length};
    grant->draft.refresh_hash = slice_of(grant->refresh_hash);
    grant->draft.tokens_until_us = (grant->issued_at_s + config->jwt_expires_in_s) * 1000000;
    grant->draft.expires_at_us = (grant->issued_at_s + config->refresh_expires_in_s) * 1000000;
    return true;
}

enum status grant_render(const struct grant *grant, const struct services *services, struct uuid user_id,
                         struct slice username, struct buffer *out)
{
    struct token_claims claims = {.user_id = user_id, .login_id = grant->draft.id};
    int64_t lifetime_s = services->config->jwt_expires_in_s;
    assert(username.length <= USERNAME_MAX_LENGTH);
    memcpy(claims.username, username.data, username.length);
    buffer_append_text(out, "{\"token\":\"");
    enum status status = token_sign(services->token_key, &claims, grant->issued_at_s, lifetime_s, out);
    buffer_append_text(out, "\",\"expiresIn\":");
    json_integer(out, lifetime_s);
    buffer_append_text(out, ",\"refreshToken\":\"");
    buffer_append_text(out, grant->refresh_token);
    buffer_append_text(out, "\",\"user\":{\"id\":");
    json_uuid(out, user_id);
    buffer_append_text(out, ",\"username\":");
    json_string(out, username);
    buffer_append_text(out, "}}");
    return out->failed ? STATUS_UNAVAILABLE : status;
}

void grant_wipe(struct grant *grant)
{
    explicit_bzero(grant, sizeof *grant);
}

void grant_dispose(struct buffer *rendered)
{
    if (rendered->data != NULL) {
        explicit_bzero(rendered->data, rendered->length);
    }
    buffer_dispose(rendered);
}
