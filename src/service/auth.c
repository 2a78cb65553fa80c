#include "service/auth.h"

#include <assert.h>
#include <stdlib.h>
#include <time.h>

#include "cache/cache.h"
#include "repository/user.h"
#include "util/json.h"

/* Registering and logging in are a few steps each, between the password threads and the database; `attempt` is where
 * one is.
 *
 *   register:  HASHING → STORING → DONE
 *   login:     FINDING_LOCK → LOOKING_UP → VERIFYING → STARTING → DONE      (the password is right)
 *              FINDING_LOCK → LOOKING_UP → VERIFYING → COUNTING → DONE      (it is wrong, or there is no such user)
 *              FINDING_LOCK → LOOKING_UP → DONE                             (locked)
 *              FINDING_LOCK → DONE                                          (the cache knows that it is locked)
 *
 * Each step ends in a callback that calls `advance` with the next one. */

enum state { HASHING, STORING, FINDING_LOCK, LOOKING_UP, VERIFYING, COUNTING, STARTING, DONE };

struct attempt {
    struct db_call call; /* first: a call is its attempt */
    struct services *services;
    struct credentials credentials; /* the caller's, until the outcome is told */
    on_outcome *on_done;
    void *data;
    enum state state;
    enum status success; /* STATUS_CREATED or STATUS_OK */
    struct uuid user_id, login_id;
    char *hash; /* owned: the new one, or the stored one while it is held against */
    bool needs_rehash;
};

static void advance(struct attempt *attempt, enum state state);

static struct attempt *attempt_create(struct services *services, const struct credentials *credentials,
                                      enum status success, on_outcome *on_done, void *data)
{
    struct attempt *attempt = calloc(1, sizeof *attempt);
    if (attempt == NULL) {
        on_done(data, &(struct outcome){.status = STATUS_UNAVAILABLE});
        return NULL;
    }
    attempt->services = services;
    attempt->credentials = *credentials;
    attempt->success = success;
    attempt->on_done = on_done;
    attempt->data = data;
    return attempt;
}

static void tell(struct attempt *attempt, const struct outcome *outcome)
{
    attempt->state = DONE;
    attempt->on_done(attempt->data, outcome);
    free(attempt->hash);
    free(attempt);
}

static void fail(struct attempt *attempt, enum status status)
{
    tell(attempt, &(struct outcome){.status = status});
}

static void succeed(struct attempt *attempt)
{
    struct services *services = attempt->services;
    struct token_claims claims = {.user_id = attempt->user_id, .login_id = attempt->login_id};
    struct slice username = attempt->credentials.username;
    int64_t lifetime_s = services->config->jwt_expires_in_s;
    struct buffer json = buffer_init(2 * TOKEN_MAX_BYTES);

    assert(username.length <= USERNAME_MAX_LENGTH);
    memcpy(claims.username, username.data, username.length);
    buffer_append_text(&json, "{\"token\":\"");
    enum status status = token_sign(services->token_key, &claims, time(NULL), lifetime_s, &json);
    buffer_append_text(&json, "\",\"expiresIn\":");
    json_integer(&json, lifetime_s);
    buffer_append_text(&json, ",\"user\":{\"id\":");
    json_uuid(&json, attempt->user_id);
    buffer_append_text(&json, ",\"username\":");
    json_string(&json, username);
    buffer_append_text(&json, "}}");
    if (status == STATUS_OK && !json.failed) {
        tell(attempt, &(struct outcome){.status = attempt->success, .json = buffer_slice(&json)});
    } else {
        fail(attempt, STATUS_UNAVAILABLE);
    }
    buffer_dispose(&json);
}

/* --- a password whose hash was made with other settings: it is hashed again, after the reply --- */

struct renewal {
    struct db_call call; /* first: a call is its renewal */
    struct services *services;
    struct uuid user_id;
    char *old_hash, *new_hash; /* owned */
};

static void renewal_destroy(struct renewal *renewal)
{
    free(renewal->old_hash);
    free(renewal->new_hash);
    free(renewal);
}

static void on_renewed(struct db_call *call, enum status status, const struct db_rows *rows)
{
    (void)status, (void)rows; /* the next login tries again */
    renewal_destroy((struct renewal *)call);
}

static void on_rehashed(void *data, enum status status, const char *encoded)
{
    struct renewal *renewal = data;
    renewal->new_hash = status == STATUS_OK ? strdup(encoded) : NULL;
    if (renewal->new_hash == NULL) {
        renewal_destroy(renewal);
        return;
    }
    user_change_hash(&renewal->call, renewal->user_id, slice_of(renewal->old_hash), slice_of(renewal->new_hash));
    renewal->call.on_done = on_renewed;
    db_submit(renewal->services->db, renewal->services->loop, &renewal->call);
}

/* Takes over the attempt's hash. */
static void renew_hash(struct attempt *attempt)
{
    struct services *services = attempt->services;
    struct renewal *renewal = calloc(1, sizeof *renewal);
    if (renewal == NULL) {
        return;
    }
    renewal->services = services;
    renewal->user_id = attempt->user_id;
    renewal->old_hash = attempt->hash;
    attempt->hash = NULL;
    if (password_hash(services->passwords, services->loop, attempt->credentials.password, on_rehashed, renewal) !=
        STATUS_OK) {
        renewal_destroy(renewal);
    }
}

/* --- the ends of the steps --- */

static void keep_hash(struct attempt *attempt, struct slice hash)
{
    free(attempt->hash);
    attempt->hash = strndup(hash.data, hash.length);
}

static void on_hashed(void *data, enum status status, const char *encoded)
{
    struct attempt *attempt = data;
    if (status == STATUS_OK) {
        keep_hash(attempt, slice_of(encoded));
        status = attempt->hash != NULL ? STATUS_OK : STATUS_UNAVAILABLE;
    }
    if (status == STATUS_OK) {
        advance(attempt, STORING);
    } else {
        fail(attempt, status);
    }
}

static void on_verified(void *data, enum status status, bool needs_rehash)
{
    struct attempt *attempt = data;
    attempt->needs_rehash = needs_rehash;
    switch (status) {
    case STATUS_OK:
        advance(attempt, STARTING);
        break;
    case STATUS_INVALID_CREDENTIALS:
        advance(attempt, COUNTING);
        break;
    default:
        fail(attempt, status);
        break;
    }
}

static bool has_status(const struct db_rows *rows, const char *code)
{
    return db_rows_count(rows) == 1 && slice_equals(db_text(rows, 0, 0), slice_of(code));
}

static void on_looked_up(struct attempt *attempt, const struct db_rows *rows)
{
    struct user_credentials stored = user_decode_credentials(rows);
    if (stored.locked_s > 0) {
        cache_put_lock(attempt->services->cache, attempt->credentials.username, stored.locked_s);
        fail(attempt, STATUS_ACCOUNT_LOCKED);
        return;
    }
    attempt->user_id = stored.id;
    if (stored.exists) {
        keep_hash(attempt, stored.password_hash);
    }
    if (stored.exists && attempt->hash == NULL) {
        fail(attempt, STATUS_UNAVAILABLE);
    } else {
        advance(attempt, VERIFYING);
    }
}

static void on_executed(struct db_call *call, enum status status, const struct db_rows *rows)
{
    struct attempt *attempt = (struct attempt *)call;
    if (status != STATUS_OK) {
        fail(attempt, status);
        return;
    }
    switch (attempt->state) {
    case STORING:
        if (has_status(rows, "CREATED")) {
            succeed(attempt);
        } else {
            fail(attempt, STATUS_USERNAME_TAKEN);
        }
        break;
    case LOOKING_UP:
        on_looked_up(attempt, rows);
        break;
    case STARTING:
        if (has_status(rows, "OK")) {
            if (attempt->needs_rehash) {
                renew_hash(attempt);
            }
            succeed(attempt);
        } else {
            fail(attempt, STATUS_ACCOUNT_LOCKED);
        }
        break;
    default:
        assert(attempt->state == COUNTING);
        fail(attempt, STATUS_INVALID_CREDENTIALS);
        break;
    }
}

static void on_lock(void *data, bool is_locked)
{
    struct attempt *attempt = data;
    if (is_locked) {
        fail(attempt, STATUS_ACCOUNT_LOCKED);
    } else {
        advance(attempt, LOOKING_UP);
    }
}

/* --- the steps --- */

static void ask_cache(struct attempt *attempt)
{
    if (!cache_find_lock(attempt->services->cache, attempt->credentials.username, on_lock, attempt)) {
        advance(attempt, LOOKING_UP);
    }
}

static void ask_database(struct attempt *attempt)
{
    attempt->call.on_done = on_executed;
    db_submit(attempt->services->db, attempt->services->loop, &attempt->call);
}

static void ask_password_threads(struct attempt *attempt)
{
    struct services *services = attempt->services;
    struct slice password = attempt->credentials.password;
    enum status status =
        attempt->state == HASHING
            ? password_hash(services->passwords, services->loop, password, on_hashed, attempt)
            : password_verify(services->passwords, services->loop, password, attempt->hash, on_verified, attempt);
    if (status != STATUS_OK) {
        fail(attempt, status);
    }
}

static void advance(struct attempt *attempt, enum state state)
{
    const struct credentials *credentials = &attempt->credentials;
    const struct config *config = attempt->services->config;
    attempt->state = state;
    switch (state) {
    case HASHING:
    case VERIFYING:
        ask_password_threads(attempt);
        return;
    case FINDING_LOCK:
        ask_cache(attempt);
        return;
    case STORING:
        attempt->user_id = uuid_generate();
        attempt->login_id = uuid_generate();
        user_register(&attempt->call, &(struct user_registration){.id = attempt->user_id,
                                                                  .login_id = attempt->login_id,
                                                                  .username = credentials->username,
                                                                  .password_hash = slice_of(attempt->hash),
                                                                  .device = credentials->device});
        break;
    case LOOKING_UP:
        user_find_credentials(&attempt->call, credentials->username);
        break;
    case COUNTING:
        user_login_failed(&attempt->call, credentials->username, config->max_failed_attempts, config->lockout_minutes);
        break;
    case STARTING:
        attempt->login_id = uuid_generate();
        user_login_succeeded(&attempt->call, credentials->username, attempt->user_id, attempt->login_id,
                             credentials->device);
        break;
    case DONE:
        assert(!"told already");
        return;
    }
    ask_database(attempt);
}

void auth_register(struct services *services, const struct credentials *credentials, on_outcome *on_done, void *data)
{
    struct attempt *attempt = attempt_create(services, credentials, STATUS_CREATED, on_done, data);
    if (attempt != NULL) {
        advance(attempt, HASHING);
    }
}

void auth_login(struct services *services, const struct credentials *credentials, on_outcome *on_done, void *data)
{
    struct attempt *attempt = attempt_create(services, credentials, STATUS_OK, on_done, data);
    if (attempt != NULL) {
        advance(attempt, FINDING_LOCK);
    }
}
