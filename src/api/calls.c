/* GET /api/calls; call-user, answer-call, ice-candidate and end-call. */
#include "service/calls.h"

#include "api.h"
#include "util/json.h"

/* Several times what two browsers tell each other. It is kept in the log, for devices that come back to read it. */
enum { SIGNAL_MAX_BYTES = 64 << 10 };

/* --- call-user --- */

enum { CALLEE, SIGNAL, CALLER };

const struct field fields_of_event_call_user[] = {
    [CALLEE] = {.name = "calleeId", .type = FIELD_UUID, .flags = FIELD_REQUIRED},
    [SIGNAL] = {.name = "signal", .type = FIELD_JSON, .max = SIGNAL_MAX_BYTES},
    [CALLER] = {.name = "callerId", .type = FIELD_UUID},
    {0},
};

/* The signal's JSON; data NULL when none came. */
static struct slice signal_of(const struct field_value *value)
{
    return value->present ? value->text : (struct slice){NULL, 0};
}

void handle_event_call_user(struct exchange *exchange)
{
    const struct field_value *values = exchange->input.values;
    struct actor actor = api_actor(exchange);
    if (api_is_own(exchange, &values[CALLER])) {
        calls_start(api_services(exchange), &actor, values[CALLEE].uuid, signal_of(&values[SIGNAL]), api_reply,
                    exchange_ref(exchange));
    }
}

/* --- answer-call --- */

enum { ANSWER_CALL, ANSWER_CALLEE, ANSWER_SIGNAL };

const struct field fields_of_event_answer_call[] = {
    [ANSWER_CALL] = {.name = "callId", .type = FIELD_UUID, .flags = FIELD_REQUIRED},
    [ANSWER_CALLEE] = {.name = "calleeId", .type = FIELD_UUID},
    [ANSWER_SIGNAL] = {.name = "signal", .type = FIELD_JSON, .max = SIGNAL_MAX_BYTES},
    {.name = "callerId", .type = FIELD_UUID}, /* the call knows it */
    {0},
};

void handle_event_answer_call(struct exchange *exchange)
{
    const struct field_value *values = exchange->input.values;
    struct actor actor = api_actor(exchange);
    if (api_is_own(exchange, &values[ANSWER_CALLEE])) {
        calls_answer(api_services(exchange), &actor, values[ANSWER_CALL].uuid, signal_of(&values[ANSWER_SIGNAL]),
                     api_reply, exchange_ref(exchange));
    }
}

/* --- ice-candidate --- */

enum { ICE_CALL, ICE_CALLER, ICE_CALLEE, ICE_CANDIDATE, ICE_SIGNAL };

const struct field fields_of_event_ice_candidate[] = {
    [ICE_CALL] = {.name = "callId", .type = FIELD_UUID},
    [ICE_CALLER] = {.name = "callerId", .type = FIELD_UUID, .flags = FIELD_REQUIRED},
    [ICE_CALLEE] = {.name = "calleeId", .type = FIELD_UUID, .flags = FIELD_REQUIRED},
    [ICE_CANDIDATE] = {.name = "candidate", .type = FIELD_JSON, .max = SIGNAL_MAX_BYTES},
    [ICE_SIGNAL] = {.name = "signal", .type = FIELD_JSON, .max = SIGNAL_MAX_BYTES},
    {0},
};

/* The members that came, as they came. */
static void write_members(struct buffer *out, const struct field *fields, const struct field_value *values)
{
    const char *separator = "{";
    for (int i = 0; fields[i].name != NULL; i++) {
        if (values[i].present) {
            buffer_printf(out, "%s\"%s\":", separator, fields[i].name);
            separator = ",";
            if (fields[i].type == FIELD_UUID) {
                json_uuid(out, values[i].uuid);
            } else {
                buffer_append_slice(out, values[i].text);
            }
        }
    }
    buffer_append_char(out, '}');
}

void check_event_ice_candidate(struct exchange *exchange)
{
    const struct field_value *values = exchange->input.values;
    if (!api_came(&values[ICE_CANDIDATE]) && !api_came(&values[ICE_SIGNAL])) {
        fields_add_error(&exchange->input, "candidate", FIELD_IN_BODY, "Send candidate or signal");
    }
}

void handle_event_ice_candidate(struct exchange *exchange)
{
    const struct field_value *values = exchange->input.values;
    struct actor actor = api_actor(exchange);
    if (!uuid_equals(actor.id, values[ICE_CALLER].uuid) && !uuid_equals(actor.id, values[ICE_CALLEE].uuid)) {
        exchange_fail_because(exchange, STATUS_FORBIDDEN, "You are not a party of this call");
        return;
    }
    struct buffer payload = buffer_init(exchange->input.storage.max_bytes + 1024);
    write_members(&payload, fields_of_event_ice_candidate, values);
    struct call_signal signal = {.call_id = values[ICE_CALL].uuid,
                                 .caller_id = values[ICE_CALLER].uuid,
                                 .callee_id = values[ICE_CALLEE].uuid,
                                 .payload = buffer_slice(&payload)};
    if (payload.failed) {
        exchange_fail(exchange, STATUS_UNAVAILABLE);
    } else {
        calls_signal(api_services(exchange), &actor, &signal, api_reply, exchange_ref(exchange));
    }
    buffer_dispose(&payload);
}

/* --- end-call --- */

enum { END_CALL, END_STATUS, END_PEER };

static const char *const endings[] = {"ended", "missed", "rejected", NULL};

const struct field fields_of_event_end_call[] = {
    [END_CALL] = {.name = "callId", .type = FIELD_UUID, .flags = FIELD_REQUIRED},
    [END_STATUS] = {.name = "status", .type = FIELD_CHOICE, .flags = FIELD_REQUIRED, .choices = endings},
    [END_PEER] = {.name = "peerId", .type = FIELD_UUID}, /* the call knows him */
    {0},
};

void handle_event_end_call(struct exchange *exchange)
{
    const struct field_value *values = exchange->input.values;
    struct actor actor = api_actor(exchange);
    calls_end(api_services(exchange), &actor, values[END_CALL].uuid, values[END_STATUS].text, api_reply,
              exchange_ref(exchange));
}

/* --- the history --- */

enum { LIMIT, CURSOR };
enum { DEFAULT_LIMIT = 20, MAX_LIMIT = 100 };

const struct field fields_of_calls_list[] = {
    [LIMIT] = {.name = "limit", .type = FIELD_INTEGER, .min = 1, .max = MAX_LIMIT},
    [CURSOR] = {.name = "cursor", .type = FIELD_TEXT, .min = 1, .max = 128},
    {0},
};

void handle_calls_list(struct exchange *exchange)
{
    const struct field_value *values = exchange->input.values;
    struct actor actor = api_actor(exchange);
    calls_list(api_services(exchange), &actor, api_integer(&values[LIMIT], DEFAULT_LIMIT), values[CURSOR].text,
               api_reply, exchange_ref(exchange));
}
