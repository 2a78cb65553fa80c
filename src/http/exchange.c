#include "http/exchange.h"

#include <assert.h>

struct exchange *exchange_ref(struct exchange *exchange)
{
    exchange->references++;
    return exchange;
}

void exchange_unref(struct exchange *exchange)
{
    if (exchange == NULL || --exchange->references > 0) {
        return;
    }
    fields_dispose(&exchange->input);
    exchange->transport->release(exchange);
}

/* False when the client has left. */
static bool answer(struct exchange *exchange)
{
    assert(!exchange->is_answered);
    exchange->is_answered = true;
    return exchange->peer != NULL;
}

void exchange_reply(struct exchange *exchange, enum status status, const char *name, struct slice json)
{
    if (answer(exchange)) {
        exchange->transport->reply(exchange, status, name, json, (struct slice){NULL, 0});
    }
}

void exchange_reply_page(struct exchange *exchange, struct slice json, struct slice pagination)
{
    if (answer(exchange)) {
        exchange->transport->reply(exchange, STATUS_OK, "data", json, pagination);
    }
}

void exchange_fail_because(struct exchange *exchange, enum status status, const char *message)
{
    if (answer(exchange)) {
        exchange->transport->fail(exchange, status, message, (struct slice){NULL, 0});
    }
}

void exchange_fail(struct exchange *exchange, enum status status)
{
    exchange_fail_because(exchange, status, status_message(status));
}

void exchange_fail_validation(struct exchange *exchange)
{
    enum status status = fields_status(&exchange->input);
    if (answer(exchange)) {
        exchange->transport->fail(exchange, status, status_message(status), buffer_slice(&exchange->input.errors));
    }
}

bool exchange_check_input(struct exchange *exchange)
{
    if (exchange->operation->check != NULL && !exchange->input.malformed) {
        exchange->operation->check(exchange);
    }
    if (fields_status(&exchange->input) == STATUS_OK) {
        return true;
    }
    exchange_fail_validation(exchange);
    return false;
}
