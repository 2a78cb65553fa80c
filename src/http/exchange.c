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
    if (!answer(exchange)) {
        return;
    }
    if (exchange->input.malformed) {
        exchange->transport->fail(exchange, STATUS_INVALID_PAYLOAD, "Malformed JSON", (struct slice){NULL, 0});
    } else {
        exchange->transport->fail(exchange, STATUS_VALIDATION_ERROR, status_message(STATUS_VALIDATION_ERROR),
                                  buffer_slice(&exchange->input.errors));
    }
}
