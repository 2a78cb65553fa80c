/* The exchange: one reply, none to a client that has left, and its end with the last reference. */
#include "http/exchange.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

static int replies, failures, releases;
static enum status last_status;
static struct slice last_name, last_errors, last_pagination;
static const char *last_message;

static void on_reply(struct exchange *exchange, enum status status, const char *name, struct slice json,
                     struct slice pagination)
{
    (void)exchange, (void)json;
    replies++;
    last_status = status;
    last_name = slice_of(name);
    last_pagination = pagination;
}

static void on_fail(struct exchange *exchange, enum status status, const char *message, struct slice errors)
{
    (void)exchange;
    failures++;
    last_status = status;
    last_message = message;
    last_errors = errors;
}

static void on_release(struct exchange *exchange)
{
    assert_int_equal(exchange->references, 0);
    releases++;
}

static const struct exchange_transport TRANSPORT = {on_reply, on_fail, on_release};

static struct exchange create(void *peer)
{
    struct exchange exchange = {.references = 1, .transport = &TRANSPORT, .peer = peer};
    fields_init(&exchange.input);
    replies = failures = releases = 0;
    return exchange;
}

static void test_reply(void **state)
{
    (void)state;
    struct exchange exchange = create(&replies);
    exchange_reply(&exchange, STATUS_CREATED, "message", SLICE("{}"));
    assert_int_equal(replies, 1);
    assert_int_equal(last_status, STATUS_CREATED);
    assert_true(slice_equals(last_name, SLICE("message")));
    assert_int_equal(releases, 0); /* the reply does not take the reference */
    exchange_unref(&exchange);
    assert_int_equal(releases, 1);

    exchange = create(&replies);
    exchange_reply_page(&exchange, SLICE("[]"), SLICE("{\"page\":1}"));
    assert_true(slice_equals(last_pagination, SLICE("{\"page\":1}")));
    assert_int_equal(last_status, STATUS_OK);
    exchange_unref(&exchange);
}

static void test_failures(void **state)
{
    (void)state;
    struct exchange exchange = create(&replies);
    exchange_fail(&exchange, STATUS_NOT_FOUND);
    assert_int_equal(last_status, STATUS_NOT_FOUND);
    assert_string_equal(last_message, status_message(STATUS_NOT_FOUND));
    exchange_unref(&exchange);

    exchange = create(&replies);
    fields_add_error(&exchange.input, "content", FIELD_IN_BODY, "content is required");
    exchange_fail_validation(&exchange);
    assert_int_equal(last_status, STATUS_VALIDATION_ERROR);
    assert_non_null(memmem(last_errors.data, last_errors.length, "content is required", 19));
    exchange_unref(&exchange);

    exchange = create(&replies);
    exchange.input.malformed = true;
    exchange_fail_validation(&exchange);
    assert_int_equal(last_status, STATUS_INVALID_PAYLOAD);
    assert_int_equal(last_errors.length, 0);
    exchange_unref(&exchange);
}

/* Input that could not be read for want of memory is no fault of the client's. */
static void test_no_memory(void **state)
{
    (void)state;
    struct exchange exchange = create(&replies);
    exchange.input.out_of_memory = true;
    exchange_fail_validation(&exchange);
    assert_int_equal(last_status, STATUS_UNAVAILABLE);
    exchange_unref(&exchange);
}

static void test_nobody_is_there(void **state)
{
    (void)state;
    struct exchange exchange = create(NULL);
    exchange_reply(&exchange, STATUS_OK, NULL, SLICE("{}"));
    assert_int_equal(replies, 0);
    exchange_unref(&exchange);

    exchange = create(&replies);
    exchange.peer = NULL; /* left meanwhile */
    exchange_fail(&exchange, STATUS_CONFLICT);
    assert_int_equal(failures, 0);
    exchange_unref(&exchange);
    assert_int_equal(releases, 1);
}

static void test_references(void **state)
{
    (void)state;
    struct exchange exchange = create(&replies);
    assert_ptr_equal(exchange_ref(&exchange), &exchange);
    exchange_unref(&exchange);
    assert_int_equal(releases, 0);
    exchange_fail(&exchange, STATUS_FORBIDDEN);
    exchange_unref(&exchange);
    assert_int_equal(releases, 1);
    exchange_unref(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reply),           cmocka_unit_test(test_failures),   cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_nobody_is_there), cmocka_unit_test(test_references),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
