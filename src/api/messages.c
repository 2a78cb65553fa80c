/* /api/messages and /api/chats; private-message, message-seen, message_read, typing and stop_typing. */
#include "service/messages.h"
#include "service/chats.h"

#include "api.h"
#include "service/announce.h"
#include "util/utf8.h"

enum { CONTENT_MAX_LENGTH = 4000, CLIENT_ID_MAX_LENGTH = 128 };

/* --- sending --- */

enum { RECEIVER, CONTENT, CLIENT_ID, CHAT, SENDER };

#define SENDING_FIELDS                                                                                                 \
    [RECEIVER] = {.name = "receiverId", .type = FIELD_UUID},                                                           \
    [CONTENT] = {.name = "content", .type = FIELD_TEXT, .min = 1, .max = CONTENT_MAX_LENGTH, .flags = FIELD_REQUIRED}, \
    [CLIENT_ID] = {.name = "clientId", .type = FIELD_TEXT, .min = 1, .max = CLIENT_ID_MAX_LENGTH},                     \
    [CHAT] = {.name = "chatId", .type = FIELD_UUID}

const struct field fields_of_messages_send[] = {SENDING_FIELDS, {0}};
const struct field fields_of_event_private_message[] = {
    SENDING_FIELDS,
    [SENDER] = {.name = "senderId", .type = FIELD_UUID},
    {0},
};

/* The header Idempotency-Key is another way to send clientId. */
static void check_idempotency_key(struct exchange *exchange)
{
    const struct field_value *client_id = &exchange->input.values[CLIENT_ID];
    struct slice key = slice_of(exchange->idempotency_key);
    if (key.length == 0) {
        return;
    }
    if (!utf8_is_valid(key) || utf8_count(key) > CLIENT_ID_MAX_LENGTH) {
        fields_add_error(&exchange->input, "clientId", FIELD_IN_BODY, "Idempotency-Key must be 1 to 128 characters");
    } else if (client_id->present && !slice_equals(key, client_id->text)) {
        fields_add_error(&exchange->input, "clientId", FIELD_IN_BODY, "clientId and Idempotency-Key differ");
    }
}

void check_messages_send(struct exchange *exchange)
{
    api_check_one_of(exchange, RECEIVER, CHAT, FIELD_IN_BODY);
    check_idempotency_key(exchange);
}

static void send_message(struct exchange *exchange)
{
    const struct field_value *values = exchange->input.values;
    struct actor actor = api_actor(exchange);
    struct message_draft draft = {.receiver_id = values[RECEIVER].uuid,
                                  .chat_id = values[CHAT].uuid,
                                  .content = values[CONTENT].text,
                                  .client_id = values[CLIENT_ID].present ? values[CLIENT_ID].text
                                                                         : slice_of(exchange->idempotency_key)};
    messages_send(api_services(exchange), &actor, &draft, api_reply, exchange_ref(exchange));
}

void handle_messages_send(struct exchange *exchange)
{
    send_message(exchange);
}

void handle_event_private_message(struct exchange *exchange)
{
    if (api_is_own(exchange, &exchange->input.values[SENDER])) {
        send_message(exchange);
    }
}

/* --- marking read --- */

enum { MESSAGE, READER };

const struct field fields_of_event_message_seen[] = {
    [MESSAGE] = {.name = "messageId", .type = FIELD_UUID, .flags = FIELD_REQUIRED},
    [READER] = {.name = "userId", .type = FIELD_UUID},
    {0},
};
const struct field fields_of_event_message_read[] = {
    [MESSAGE] = {.name = "messageId", .type = FIELD_UUID, .flags = FIELD_REQUIRED},
    {0},
};

static void mark_read(struct exchange *exchange, struct slice event)
{
    struct actor actor = api_actor(exchange);
    messages_mark_read(api_services(exchange), &actor, exchange->input.values[MESSAGE].uuid, event, api_reply,
                       exchange_ref(exchange));
}

void handle_event_message_seen(struct exchange *exchange)
{
    if (api_is_own(exchange, &exchange->input.values[READER])) {
        mark_read(exchange, SLICE("message-seen"));
    }
}

void handle_event_message_read(struct exchange *exchange)
{
    mark_read(exchange, SLICE("message_read"));
}

/* --- typing --- */

const struct field fields_of_event_typing[] = {{.name = "receiverId", .type = FIELD_UUID, .flags = FIELD_REQUIRED},
                                               {0}};
const struct field fields_of_event_stop_typing[] = {{.name = "receiverId", .type = FIELD_UUID, .flags = FIELD_REQUIRED},
                                                    {0}};

static void announce(struct exchange *exchange, bool is_typing)
{
    struct actor actor = api_actor(exchange);
    announce_typing(api_services(exchange), &actor, exchange->input.values[0].uuid, is_typing, api_reply,
                    exchange_ref(exchange));
}

void handle_event_typing(struct exchange *exchange)
{
    announce(exchange, true);
}

void handle_event_stop_typing(struct exchange *exchange)
{
    announce(exchange, false);
}

/* --- reading --- */

enum { WITH_USER, IN_CHAT, LIMIT, PAGE, BEFORE, AFTER };
enum { DEFAULT_LIMIT = 20, MAX_LIMIT = 100, MAX_CHATS = 200 };
#define MAX_NUMBER INT64_C(1000000000000) /* of pages and messages: far past any chat, far from overflow */

const struct field fields_of_messages_list[] = {
    [WITH_USER] = {.name = "withUserId", .type = FIELD_UUID},
    [IN_CHAT] = {.name = "chatId", .type = FIELD_UUID},
    [LIMIT] = {.name = "limit", .type = FIELD_INTEGER, .min = 1, .max = MAX_LIMIT},
    [PAGE] = {.name = "page", .type = FIELD_INTEGER, .min = 1, .max = MAX_NUMBER},
    [BEFORE] = {.name = "before", .type = FIELD_INTEGER, .min = 1, .max = MAX_NUMBER},
    [AFTER] = {.name = "after", .type = FIELD_INTEGER, .min = 0, .max = MAX_NUMBER},
    {0},
};

void check_messages_list(struct exchange *exchange)
{
    const struct field_value *values = exchange->input.values;
    api_check_one_of(exchange, WITH_USER, IN_CHAT, FIELD_IN_QUERY);
    if (api_came(&values[PAGE]) + api_came(&values[BEFORE]) + api_came(&values[AFTER]) > 1) {
        fields_add_error(&exchange->input, "page", FIELD_IN_QUERY, "Send one of page, before and after");
    }
}

void handle_messages_list(struct exchange *exchange)
{
    const struct field_value *values = exchange->input.values;
    struct actor actor = api_actor(exchange);
    struct message_range range = {.with_user_id = values[WITH_USER].uuid,
                                  .chat_id = values[IN_CHAT].uuid,
                                  .limit = api_integer(&values[LIMIT], DEFAULT_LIMIT),
                                  .page = values[PAGE].integer,
                                  .before = values[BEFORE].integer,
                                  .from = values[AFTER].present ? values[AFTER].integer + 1 : 0};
    messages_list(api_services(exchange), &actor, &range, api_reply, exchange_ref(exchange));
}

enum { CHATS_LIMIT, CHATS_CURSOR };

const struct field fields_of_chats_list[] = {
    [CHATS_LIMIT] = {.name = "limit", .type = FIELD_INTEGER, .min = 1, .max = MAX_CHATS},
    [CHATS_CURSOR] = {.name = "cursor", .type = FIELD_TEXT, .min = 1, .max = 128},
    {0},
};

void handle_chats_list(struct exchange *exchange)
{
    const struct field_value *values = exchange->input.values;
    struct actor actor = api_actor(exchange);
    chats_list(api_services(exchange), &actor, api_integer(&values[CHATS_LIMIT], CHATS_DEFAULT_LIMIT),
               values[CHATS_CURSOR].text, api_reply, exchange_ref(exchange));
}
