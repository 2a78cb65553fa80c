#include "service/two_factors.h"

#include <assert.h>
#include <stdlib.h>
#include <time.h>

#include "auth/seal.h"
#include "auth/totp.h"
#include "repository/event.h"
#include "repository/two_factor.h"
#include "util/json.h"
#include "util/log.h"
#include "work.h"

/* Each of the four things that are asked is a few statements; `attempt` is where one is.
 *
 *   setup:    SETTING_UP → DONE
 *   enable:   FINDING → ENABLING → DONE               (the code is right)
 *   disable:  FINDING → USING → DISABLING → DONE      (it is right)
 *             FINDING → FAILING → DONE                (it is wrong)
 *   check:    FINDING → USING → DONE, FINDING → FAILING → DONE, or FINDING → DONE (there is no second factor)
 *
 * From USING it goes back to FINDING, once, when there is no second factor any more that could be used.
 *
 * Whether a code is right is worked out here, since the secret is sealed; that it is used once is the database's. */

enum { RECOVERY_CODES = 10, JSON_MAX_BYTES = 1 << 20, TEXT_MAX_BYTES = 1024 };

enum purpose { SETUP, ENABLE, DISABLE, CHECK };
enum state { SETTING_UP, FINDING, ENABLING, USING, FAILING, DISABLING, DONE };

struct attempt {
    struct db_call call; /* first: a call is its attempt */
    struct services *services;
    struct actor actor;
    struct slice code; /* the caller's, until the outcome is told */
    on_outcome *on_done;
    void *data;
    enum purpose purpose;
    enum state state;
    int64_t step;                        /* of the code */
    char hash[RECOVERY_HASH_LENGTH + 1]; /* of the recovery code; empty when it is none */
    bool has_found_again;
    struct buffer sealed; /* the secret that the code was checked against, when enabling */
    struct buffer text;   /* a statement's: the sealed secret, or hashes */
    struct buffer json;   /* wiped in the end */
};

static const char WRONG_CODE[] = "Invalid one-time password";
static const char NOT_ENABLED[] = "Two factors are not enabled";

static const struct verdict VERDICTS[] = {
    {"CONFLICT", STATUS_CONFLICT, "Two factors are enabled already"},
    {"CHANGED", STATUS_CONFLICT, "Two factors were set up anew meanwhile: enter a code of the new secret"},
    {0},
};
static const struct verdict DISABLE_VERDICTS[] = {{"CONFLICT", STATUS_CONFLICT, NOT_ENABLED}, {0}};

static void advance(struct attempt *attempt, enum state state);

static void wipe(struct buffer *buffer)
{
    if (buffer->data != NULL) {
        explicit_bzero(buffer->data, buffer->capacity);
    }
    buffer_dispose(buffer);
}

static void tell(struct attempt *attempt, enum status status, const char *message)
{
    struct outcome outcome = {.status = status, .message = message, .json = buffer_slice(&attempt->json)};
    attempt->state = DONE;
    attempt->on_done(attempt->data, &outcome);
    wipe(&attempt->json);
    wipe(&attempt->text);
    buffer_dispose(&attempt->sealed);
    free(attempt);
}

static void fail(struct attempt *attempt, enum status status)
{
    attempt->json.length = 0;
    tell(attempt, status, status == STATUS_INVALID_CREDENTIALS ? WRONG_CODE : NULL);
}

/* --- the secret --- */

struct owner {
    char id[UUID_TEXT_LENGTH];
};

static struct slice owner_of(const struct attempt *attempt, struct owner *out)
{
    uuid_format(attempt->actor.id, out->id);
    return (struct slice){out->id, sizeof out->id};
}

static bool close_secret(struct attempt *attempt, const struct totp_secret *secret)
{
    struct owner owner;
    struct slice plain = {(const char *)secret->bytes, sizeof secret->bytes};
    return seal_close(attempt->services->seal_keys, owner_of(attempt, &owner), plain, &attempt->text);
}

/* The caller wipes it. */
static bool open_secret(const struct attempt *attempt, struct slice sealed, struct totp_secret *ret_secret,
                        bool *ret_is_old)
{
    unsigned char plain[SEAL_PLAIN_MAX_BYTES];
    size_t length = 0;
    struct owner owner;
    bool good =
        attempt->services->seal_keys != NULL &&
        seal_open(attempt->services->seal_keys, owner_of(attempt, &owner), sealed, plain, &length, ret_is_old) &&
        length == sizeof ret_secret->bytes;
    if (good) {
        memcpy(ret_secret->bytes, plain, sizeof ret_secret->bytes);
    } else {
        log_write(LOG_ERROR, "the secret of a second factor cannot be opened: is its key still in TOTP_KEYS?");
    }
    explicit_bzero(plain, sizeof plain);
    return good;
}

/* --- a secret that was sealed with an old key is sealed with the new one, after the reply --- */

struct resealing {
    struct db_call call; /* first: a call is its resealing */
    struct buffer old, new;
};

static void on_resealed(struct db_call *call, enum status status, const struct db_rows *rows)
{
    (void)status, (void)rows; /* the next login tries again */
    struct resealing *resealing = (struct resealing *)call;
    buffer_dispose(&resealing->old);
    buffer_dispose(&resealing->new);
    free(resealing);
}

static void reseal(struct attempt *attempt, struct slice sealed, const struct totp_secret *secret)
{
    struct resealing *resealing = calloc(1, sizeof *resealing);
    if (resealing == NULL) {
        return;
    }
    resealing->old = buffer_init(TEXT_MAX_BYTES);
    buffer_append_slice(&resealing->old, sealed);
    if (!close_secret(attempt, secret) || resealing->old.failed) {
        on_resealed(&resealing->call, STATUS_UNAVAILABLE, NULL);
        return;
    }
    resealing->new = attempt->text;
    attempt->text = buffer_init(TEXT_MAX_BYTES);
    two_factor_reseal(&resealing->call, attempt->actor.id, buffer_slice(&resealing->old),
                      buffer_slice(&resealing->new));
    resealing->call.on_done = on_resealed;
    db_submit(attempt->services->db, attempt->services->loop, &resealing->call);
}

/* --- what is shown --- */

static bool render_setup(struct attempt *attempt, const struct totp_secret *secret)
{
    char text[TOTP_BASE32_LENGTH + 1];
    struct buffer uri = buffer_init(TEXT_MAX_BYTES), svg = buffer_init(JSON_MAX_BYTES), *out = &attempt->json;
    totp_secret_format(secret, text);
    totp_write_uri(&uri, secret, attempt->services->config->totp_issuer, slice_of(attempt->actor.username));
    buffer_append_char(&uri, '\0');
    bool good = !uri.failed && totp_write_qr_svg(&svg, uri.data);
    if (good) {
        buffer_append_text(out, "{\"secret\":");
        json_string(out, slice_of(text));
        buffer_append_text(out, ",\"otpauthUri\":");
        json_string(out, slice_of(uri.data));
        buffer_append_text(out, ",\"qrSvg\":");
        json_string(out, buffer_slice(&svg));
        buffer_append_char(out, '}');
    }
    explicit_bzero(text, sizeof text);
    wipe(&uri);
    wipe(&svg);
    return good && !out->failed;
}

/* The codes into the reply, their hashes into the statement's text. */
static bool make_recovery_codes(struct attempt *attempt)
{
    struct owner owner;
    struct slice id = owner_of(attempt, &owner);
    buffer_append_text(&attempt->json, "{\"recoveryCodes\":[");
    for (int i = 0; i < RECOVERY_CODES; i++) {
        char code[RECOVERY_CODE_LENGTH + 1], hash[RECOVERY_HASH_LENGTH + 1];
        recovery_code_make(code);
        if (!recovery_code_hash(id, slice_of(code), hash)) {
            return false;
        }
        buffer_printf(&attempt->json, "%s\"%s\"", i > 0 ? "," : "", code);
        buffer_printf(&attempt->text, "%s%s", i > 0 ? "," : "", hash);
        explicit_bzero(code, sizeof code);
    }
    buffer_append_text(&attempt->json, "]}");
    return !attempt->json.failed && !attempt->text.failed;
}

/* --- the ends of the steps --- */

/* What the code is worth, and so where to go on. */
static void judge(struct attempt *attempt, const struct two_factor *factor)
{
    struct totp_secret secret;
    struct owner owner;
    bool is_old = false;
    if (!open_secret(attempt, factor->secret, &secret, &is_old)) {
        fail(attempt, STATUS_UNAVAILABLE);
        return;
    }
    bool is_right = totp_check(&secret, attempt->code, time(NULL), &attempt->step);
    if (is_right && is_old && attempt->purpose != ENABLE) { /* which is of the secret as it was found */
        reseal(attempt, factor->secret, &secret);
    }
    explicit_bzero(&secret, sizeof secret);
    if (attempt->purpose == ENABLE && is_right) {
        buffer_append_slice(&attempt->sealed, factor->secret);
        advance(attempt, ENABLING);
    } else if (attempt->purpose == ENABLE) {
        fail(attempt, STATUS_INVALID_CREDENTIALS);
    } else if (is_right || recovery_code_hash(owner_of(attempt, &owner), attempt->code, attempt->hash)) {
        advance(attempt, USING);
    } else {
        advance(attempt, FAILING);
    }
}

static void on_found(struct attempt *attempt, const struct two_factor *factor)
{
    if (attempt->purpose == ENABLE && (!factor->exists || factor->is_enabled)) {
        tell(attempt, STATUS_CONFLICT, factor->exists ? "Two factors are enabled already" : "Set up two factors first");
    } else if (attempt->purpose == DISABLE && !factor->is_enabled) {
        tell(attempt, STATUS_CONFLICT, NOT_ENABLED);
    } else if (attempt->purpose == CHECK && !factor->is_enabled) {
        tell(attempt, STATUS_OK, NULL);
    } else if (factor->is_locked) {
        fail(attempt, STATUS_ACCOUNT_LOCKED);
    } else if (attempt->code.length == 0) {
        fail(attempt, STATUS_OTP_REQUIRED);
    } else {
        judge(attempt, factor);
    }
}

/* What a function of SQL has returned. */
static void on_answered(struct attempt *attempt, enum status status, const char *message)
{
    bool is_used_recovery_code = attempt->state == USING && attempt->hash[0] != '\0';
    if (status == STATUS_INVALID_CREDENTIALS && is_used_recovery_code) {
        advance(attempt, FAILING); /* it may never have been one: guessing is counted */
    } else if (status == STATUS_ACCOUNT_LOCKED && attempt->state == USING && !attempt->has_found_again) {
        attempt->has_found_again = true; /* locked, or disabled meanwhile */
        attempt->hash[0] = '\0';
        advance(attempt, FINDING);
    } else if (status == STATUS_CONFLICT) {
        attempt->json.length = 0;
        tell(attempt, status, message);
    } else if (status != STATUS_OK) {
        fail(attempt, status);
    } else if (attempt->state == USING && attempt->purpose == DISABLE) {
        advance(attempt, DISABLING);
    } else {
        tell(attempt, STATUS_OK, NULL);
    }
}

static void on_executed(struct db_call *call, enum status status, const struct db_rows *rows)
{
    struct attempt *attempt = (struct attempt *)call;
    if (status != STATUS_OK) {
        fail(attempt, status);
    } else if (attempt->state == FINDING) {
        struct two_factor factor = two_factor_decode(rows);
        on_found(attempt, &factor);
    } else {
        const struct verdict *verdicts = attempt->state == DISABLING ? DISABLE_VERDICTS : VERDICTS;
        struct outcome outcome = verdict_outcome(verdicts, event_status(rows));
        on_answered(attempt, outcome.status, outcome.message);
    }
}

/* --- the steps --- */

static void advance(struct attempt *attempt, enum state state)
{
    const struct config *config = attempt->services->config;
    struct uuid user_id = attempt->actor.id;
    struct slice ip = attempt->actor.address;
    attempt->state = state;
    switch (state) {
    case SETTING_UP:
        two_factor_setup(&attempt->call, user_id, buffer_slice(&attempt->text), ip);
        break;
    case FINDING:
        two_factor_find(&attempt->call, user_id);
        break;
    case ENABLING:
        if (!make_recovery_codes(attempt) || attempt->sealed.failed) {
            fail(attempt, STATUS_UNAVAILABLE);
            return;
        }
        two_factor_enable(&attempt->call, user_id, buffer_slice(&attempt->sealed), attempt->step,
                          buffer_slice(&attempt->text), ip);
        break;
    case USING:
        two_factor_use(&attempt->call, user_id, attempt->step, slice_of(attempt->hash), ip);
        break;
    case FAILING:
        two_factor_fail(&attempt->call, user_id, config->max_failed_attempts, config->lockout_minutes, ip);
        break;
    case DISABLING:
        two_factor_disable(&attempt->call, user_id, ip);
        break;
    case DONE:
        assert(!"told already");
        return;
    }
    attempt->call.on_done = on_executed;
    db_submit(attempt->services->db, attempt->services->loop, &attempt->call);
}

static struct attempt *attempt_create(struct services *services, const struct actor *actor, enum purpose purpose,
                                      on_outcome *on_done, void *data)
{
    struct attempt *attempt = calloc(1, sizeof *attempt);
    if (attempt == NULL) {
        on_done(data, &(struct outcome){.status = STATUS_UNAVAILABLE});
        return NULL;
    }
    attempt->services = services;
    attempt->actor = *actor;
    attempt->purpose = purpose;
    attempt->on_done = on_done;
    attempt->data = data;
    attempt->sealed = buffer_init(TEXT_MAX_BYTES);
    attempt->text = buffer_init(TEXT_MAX_BYTES);
    attempt->json = buffer_init(JSON_MAX_BYTES);
    return attempt;
}

void two_factors_setup(struct services *services, const struct actor *actor, on_outcome *on_done, void *data)
{
    struct attempt *attempt = attempt_create(services, actor, SETUP, on_done, data);
    struct totp_secret secret;
    if (attempt == NULL) {
        return;
    }
    if (services->seal_keys == NULL) {
        tell(attempt, STATUS_UNAVAILABLE, "Two factors are not available: the server has no TOTP_KEYS");
        return;
    }
    totp_secret_make(&secret);
    bool good = render_setup(attempt, &secret) && close_secret(attempt, &secret);
    explicit_bzero(&secret, sizeof secret);
    if (good) {
        advance(attempt, SETTING_UP);
    } else {
        fail(attempt, STATUS_UNAVAILABLE);
    }
}

static void start_with_code(struct services *services, const struct actor *actor, enum purpose purpose,
                            struct slice code, on_outcome *on_done, void *data)
{
    struct attempt *attempt = attempt_create(services, actor, purpose, on_done, data);
    if (attempt != NULL) {
        attempt->code = code;
        advance(attempt, FINDING);
    }
}

void two_factors_enable(struct services *services, const struct actor *actor, struct slice code, on_outcome *on_done,
                        void *data)
{
    start_with_code(services, actor, ENABLE, code, on_done, data);
}

void two_factors_disable(struct services *services, const struct actor *actor, struct slice code, on_outcome *on_done,
                         void *data)
{
    start_with_code(services, actor, DISABLE, code, on_done, data);
}

void two_factors_check(struct services *services, const struct actor *actor, struct slice code, on_outcome *on_done,
                       void *data)
{
    start_with_code(services, actor, CHECK, code, on_done, data);
}
