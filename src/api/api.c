#include "api.h"

#include <stdio.h>

enum { MESSAGE_MAX_BYTES = 80 };

void api_reply(void *data, const struct outcome *outcome)
{
    struct exchange *exchange = data;
    if (status_http(outcome->status) < 400) {
        struct slice json = outcome->json.length > 0 ? outcome->json : SLICE("{}");
        if (outcome->pagination.length > 0) {
            exchange_reply_page(exchange, json, outcome->pagination);
        } else {
            exchange_reply(exchange, outcome->status, outcome->name, json);
        }
    } else if (outcome->status == STATUS_VALIDATION_ERROR) {
        fields_add_error(&exchange->input, "cursor", FIELD_IN_QUERY, "cursor must be one that this route has returned");
        exchange_fail_validation(exchange);
    } else if (outcome->message != NULL) {
        exchange_fail_because(exchange, outcome->status, outcome->message);
    } else {
        exchange_fail(exchange, outcome->status);
    }
    exchange_unref(exchange);
}

bool api_is_own(struct exchange *exchange, const struct field_value *user_id)
{
    if (!user_id->present || uuid_equals(user_id->uuid, exchange->actor.user_id)) {
        return true;
    }
    exchange_fail_because(exchange, STATUS_FORBIDDEN, "You can speak for yourself alone");
    return false;
}

void api_check_one_of(struct exchange *exchange, int first, int second, enum field_location location)
{
    const struct field_value *values = exchange->input.values;
    const char *name = exchange->operation->fields[first].name;
    char message[MESSAGE_MAX_BYTES];
    if (api_came(&values[first]) != api_came(&values[second])) {
        return;
    }
    snprintf(message, sizeof message, "Send one of %s and %s", name, exchange->operation->fields[second].name);
    fields_add_error(&exchange->input, name, location, message);
}
