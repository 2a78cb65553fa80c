#include "service/auth.h"

#include <assert.h>
#include <stdlib.h>

#include "cache/cache.h"
#include "ending.h"
#include "grant.h"
#include "repository/user.h"
#include "service/announce.h"
#include "service/two_factors.h"

/* What needs a password is a few steps, between the password threads and the database; `attempt` is where one is.
 *
 *   register:         HASHING → STORING → DONE
 *   all the others:   LOOKING_UP → VERIFYING → …                    (the password is right)
 *                     LOOKING_UP → VERIFYING → COUNTING → DONE      (it is wrong, or there is no such user)
 *                     LOOKING_UP → DONE                             (locked)
 *   login begins with FINDING_LOCK: the cache may know that the name is locked
 *   … of login:       CHECKING_CODE → STARTING → DONE             (by service/two_factors.h)
 *                     CHECKING_CODE → DONE                         (a code is wanted, or it is wrong)
 *   … of change:      HASHING → CHANGING → DONE
 *   … of delete:      DELETING → DONE
 *
 * Each step ends in a callback that calls `advance` with the next one. The password may be changed while it is looked
 * at: the last step of each holds the version that it knows against the newest. */

enum purpose { TO_REGISTER, TO_LOG_IN, TO_CHANGE, TO_DELETE };
enum state {
    HASHING,
    STORING,
    FINDING_LOCK,
    LOOKING_UP,
    VERIFYING,
    COUNTING,
    CHECKING_CODE,
    STARTING,
    CHANGING,
    DELETING,
    DONE
};

struct attempt {
    struct db_call call; /* first: a call is its attempt */
    struct services *services;
    struct credentials credentials; /* the caller's, until the outcome is told */
    struct slice next_password;     /* the caller's too */
    on_outcome *on_done;
    void *data;
    enum purpose purpose;
    enum state state;
    struct user_checked user; /* of a change or a deletion, the actor */
    struct uuid login_id;     /* by which the actor asks */
    struct grant grant;
    char *hash; /* owned: the new one, or the stored one while it is held against */
    bool needs_rehash;
};

static void advance(struct attempt *attempt, enum state state);

static struct attempt *attempt_create(struct services *services, enum purpose purpose,
                                      const struct credentials *credentials, on_outcome *on_done, void *data)
{
    struct attempt *attempt = calloc(1, sizeof *attempt);
    if (attempt == NULL) {
        on_done(data, &(struct outcome){.status = STATUS_UNAVAILABLE});
        return NULL;
    }
    attempt->services = services;
    attempt->purpose = purpose;
    attempt->credentials = *credentials;
    attempt->on_done = on_done;
    attempt->data = data;
    grant_init(&attempt->grant, &credentials->origin);
    return attempt;
}

static void tell(struct attempt *attempt, const struct outcome *outcome)
{
    attempt->state = DONE;
    attempt->on_done(attempt->data, outcome);
    grant_wipe(&attempt->grant);
    free(attempt->hash);
    free(attempt);
}

static void fail(struct attempt *attempt, enum status status)
{
    tell(attempt, &(struct outcome){.status = status});
}

/* Logged in. */
static void admit(struct attempt *attempt)
{
    struct buffer json = buffer_init(2 * TOKEN_MAX_BYTES);
    enum status status =
        grant_render(&attempt->grant, attempt->services, attempt->user.id, attempt->credentials.username, &json);
    if (status == STATUS_OK) {
        status = attempt->purpose == TO_REGISTER ? STATUS_CREATED : STATUS_OK;
        tell(attempt, &(struct outcome){.status = status, .json = buffer_slice(&json)});
    } else {
        fail(attempt, status);
    }
    grant_dispose(&json);
}

static void conclude(struct attempt *attempt, const char *json)
{
    tell(attempt, &(struct outcome){.status = STATUS_OK, .json = slice_of(json)});
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
    renewal->user_id = attempt->user.id;
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
        advance(attempt, attempt->purpose == TO_REGISTER ? STORING : CHANGING);
    } else {
        fail(attempt, status);
    }
}

/* What a right password leads to. */
static const enum state NEXT[] = {[TO_LOG_IN] = CHECKING_CODE, [TO_CHANGE] = HASHING, [TO_DELETE] = DELETING};

static void on_verified(void *data, enum status status, bool needs_rehash)
{
    struct attempt *attempt = data;
    attempt->needs_rehash = needs_rehash;
    switch (status) {
    case STATUS_OK:
        advance(attempt, NEXT[attempt->purpose]);
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
    return db_rows_count(rows) > 0 && slice_equals(db_text(rows, 0, 0), slice_of(code));
}

static void on_looked_up(struct attempt *attempt, const struct db_rows *rows)
{
    struct user_credentials stored = user_decode_credentials(rows);
    if (stored.locked_s > 0) {
        cache_put_lock(attempt->services->cache, attempt->credentials.username, stored.locked_s);
        fail(attempt, STATUS_ACCOUNT_LOCKED);
        return;
    }
    if (attempt->purpose != TO_LOG_IN && !uuid_equals(stored.user.id, attempt->user.id)) {
        fail(attempt, STATUS_UNAUTHORIZED); /* the account is gone, and somebody else may have its name */
        return;
    }
    attempt->user = stored.user;
    if (stored.exists) {
        keep_hash(attempt, stored.password_hash);
    }
    if (stored.exists && attempt->hash == NULL) {
        fail(attempt, STATUS_UNAVAILABLE);
    } else {
        advance(attempt, VERIFYING);
    }
}

static void on_stored(struct attempt *attempt, const struct db_rows *rows)
{
    if (has_status(rows, "CREATED")) {
        admit(attempt);
    } else {
        fail(attempt, STATUS_USERNAME_TAKEN);
    }
}

static void on_started(struct attempt *attempt, const struct db_rows *rows)
{
    if (has_status(rows, "OK")) {
        if (attempt->needs_rehash) {
            renew_hash(attempt);
        }
        admit(attempt);
    } else {
        fail(attempt, has_status(rows, "ACCOUNT_LOCKED") ? STATUS_ACCOUNT_LOCKED : STATUS_INVALID_CREDENTIALS);
    }
}

static void on_changed(struct attempt *attempt, const struct db_rows *rows)
{
    if (has_status(rows, "OK")) {
        conclude(attempt, attempt->purpose == TO_CHANGE ? "{\"message\":\"Password changed\"}"
                                                        : "{\"message\":\"Account deleted\"}");
    } else {
        fail(attempt, STATUS_INVALID_CREDENTIALS);
    }
}

/* On the database's thread, which is the worker's own. */
static void on_logins_ended(struct db_call *call, const struct db_rows *rows)
{
    struct attempt *attempt = (struct attempt *)call;
    ending_publish(attempt->services, rows);
    if (attempt->purpose == TO_DELETE) {
        for (int i = 0; i < db_rows_count(rows); i++) {
            struct uuid contact_id = user_decode_lost_contact(rows, i);
            if (!uuid_is_nil(contact_id)) {
                announce_farewell(attempt->services, attempt->user.id, contact_id);
            }
        }
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
        on_stored(attempt, rows);
        break;
    case LOOKING_UP:
        on_looked_up(attempt, rows);
        break;
    case STARTING:
        on_started(attempt, rows);
        break;
    case CHANGING:
    case DELETING:
        on_changed(attempt, rows);
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

static void on_code_checked(void *data, const struct outcome *outcome)
{
    struct attempt *attempt = data;
    if (outcome->status == STATUS_OK) {
        advance(attempt, STARTING);
    } else {
        tell(attempt, outcome);
    }
}

static void ask_second_factor(struct attempt *attempt)
{
    struct actor actor = {.id = attempt->user.id, .username = "", .address = attempt->credentials.origin.address};
    two_factors_check(attempt->services, &actor, attempt->credentials.otp, on_code_checked, attempt);
}

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
    struct slice password = attempt->state == HASHING && attempt->purpose == TO_CHANGE ? attempt->next_password
                                                                                       : attempt->credentials.password;
    enum status status =
        attempt->state == HASHING
            ? password_hash(services->passwords, services->loop, password, on_hashed, attempt)
            : password_verify(services->passwords, services->loop, password, attempt->hash, on_verified, attempt);
    if (status != STATUS_OK) {
        fail(attempt, status);
    }
}

/* False, and the attempt has failed, when there are no tokens to be had. */
static bool make_grant(struct attempt *attempt)
{
    if (!grant_make(&attempt->grant, attempt->services, uuid_generate(), attempt->credentials.device)) {
        fail(attempt, STATUS_UNAVAILABLE);
        return false;
    }
    return true;
}

static void fill_call(struct attempt *attempt)
{
    const struct credentials *credentials = &attempt->credentials;
    const struct config *config = attempt->services->config;
    struct db_call *call = &attempt->call;
    switch (attempt->state) {
    case STORING:
        attempt->user.id = uuid_generate();
        user_register(call,
                      &(struct user_registration){.id = attempt->user.id,
                                                  .username = credentials->username,
                                                  .password_hash = slice_of(attempt->hash)},
                      &attempt->grant.draft);
        break;
    case LOOKING_UP:
        user_find_credentials(call, credentials->username);
        break;
    case COUNTING:
        user_login_failed(call, credentials->username, config->max_failed_attempts, config->lockout_minutes,
                          credentials->origin.address);
        break;
    case STARTING:
        user_login_succeeded(call, credentials->username, &attempt->user, &attempt->grant.draft);
        break;
    case CHANGING:
        user_change_password(call, &attempt->user, slice_of(attempt->hash), attempt->login_id,
                             credentials->origin.address);
        call->on_commit = on_logins_ended;
        break;
    default:
        assert(attempt->state == DELETING);
        user_delete(call, &attempt->user, credentials->origin.address);
        call->on_commit = on_logins_ended;
        break;
    }
}

static void advance(struct attempt *attempt, enum state state)
{
    attempt->state = state;
    if (state == HASHING || state == VERIFYING) {
        ask_password_threads(attempt);
    } else if (state == FINDING_LOCK) {
        ask_cache(attempt);
    } else if (state == CHECKING_CODE) {
        ask_second_factor(attempt);
    } else if ((state != STORING && state != STARTING) || make_grant(attempt)) {
        fill_call(attempt);
        ask_database(attempt);
    }
}

void auth_register(struct services *services, const struct credentials *credentials, on_outcome *on_done, void *data)
{
    struct attempt *attempt = attempt_create(services, TO_REGISTER, credentials, on_done, data);
    if (attempt != NULL) {
        advance(attempt, HASHING);
    }
}

void auth_login(struct services *services, const struct credentials *credentials, on_outcome *on_done, void *data)
{
    struct attempt *attempt = attempt_create(services, TO_LOG_IN, credentials, on_done, data);
    if (attempt != NULL) {
        advance(attempt, FINDING_LOCK);
    }
}

static void start_as(struct services *services, enum purpose purpose, const struct actor *actor, struct slice password,
                     struct slice next_password, on_outcome *on_done, void *data)
{
    struct credentials credentials = {
        .username = slice_of(actor->username), .password = password, .origin.address = actor->address};
    struct attempt *attempt = attempt_create(services, purpose, &credentials, on_done, data);
    if (attempt != NULL) {
        attempt->next_password = next_password;
        attempt->user.id = actor->id;
        attempt->login_id = actor->login_id;
        advance(attempt, LOOKING_UP);
    }
}

void auth_change_password(struct services *services, const struct actor *actor, struct slice current, struct slice next,
                          on_outcome *on_done, void *data)
{
    start_as(services, TO_CHANGE, actor, current, next, on_done, data);
}

void auth_delete(struct services *services, const struct actor *actor, struct slice password, on_outcome *on_done,
                 void *data)
{
    start_as(services, TO_DELETE, actor, password, (struct slice){NULL, 0}, on_done, data);
}
