/* What the resources share, and the handlers of all of them, for the tables in routes.c. Private to api.
 *
 * A handler is called with validated input. It asks a service, with itself referenced as the service's data, and
 * api_reply tells the outcome. */
#ifndef STONECHAT_API_API_H
#define STONECHAT_API_API_H

#include "http/exchange.h"
#include "service/auth.h"
#include "service/services.h"

/* The services of the exchange's worker. */
static inline struct services *api_services(const struct exchange *exchange)
{
    return exchange->context;
}

/* Who asks. */
static inline struct actor api_actor(const struct exchange *exchange)
{
    return (struct actor){.id = exchange->actor.user_id,
                          .username = exchange->actor.username,
                          .origin = exchange->origin,
                          .login_id = exchange->actor.login_id,
                          .address = slice_of(exchange->address)};
}

/* From where a login is asked for. */
static inline struct login_origin api_login_origin(const struct exchange *exchange)
{
    return (struct login_origin){slice_of(exchange->address), exchange->user_agent};
}

/* An on_outcome: `data`, a struct exchange, gets its reply, and the reference that was taken for it is dropped. */
void api_reply(void *data, const struct outcome *outcome);

/* A number that need not come. */
static inline int64_t api_integer(const struct field_value *value, int64_t otherwise)
{
    return value->present ? value->integer : otherwise;
}

/* An event that speaks for somebody must speak for the actor: else it is refused, and false returned. */
bool api_is_own(struct exchange *exchange, const struct field_value *user_id);

/* Did a field come, good or bad? For the rules between fields. */
static inline bool api_came(const struct field_value *value)
{
    return value->present || value->is_wrong;
}

/* Exactly one of two fields must have come: adds an error to `first` if not. */
void api_check_one_of(struct exchange *exchange, int first, int second, enum field_location location);

/* Rules between the fields of an operation, for its row in the table. */
void check_auth_register(struct exchange *exchange);
void check_auth_password(struct exchange *exchange);
void check_messages_send(struct exchange *exchange);
void check_messages_list(struct exchange *exchange);
void check_event_ice_candidate(struct exchange *exchange);

/* The handlers, each with the table of its fields. */
#define API_HANDLERS(X)                                                                                                \
    X(auth_register)                                                                                                   \
    X(auth_login)                                                                                                      \
    X(auth_password)                                                                                                   \
    X(logins_refresh)                                                                                                  \
    X(logins_list)                                                                                                     \
    X(logins_end)                                                                                                      \
    X(logins_end_own)                                                                                                  \
    X(logins_end_all)                                                                                                  \
    X(users_delete)                                                                                                    \
    X(two_factors_setup)                                                                                               \
    X(two_factors_enable)                                                                                              \
    X(two_factors_disable)                                                                                             \
    X(users_me)                                                                                                        \
    X(users_search)                                                                                                    \
    X(contacts_request)                                                                                                \
    X(contacts_accept)                                                                                                 \
    X(contacts_reject)                                                                                                 \
    X(contacts_remove)                                                                                                 \
    X(contacts_requests)                                                                                               \
    X(contacts_profile)                                                                                                \
    X(chats_list)                                                                                                      \
    X(messages_list)                                                                                                   \
    X(messages_send)                                                                                                   \
    X(calls_list)                                                                                                      \
    X(event_private_message)                                                                                           \
    X(event_message_seen)                                                                                              \
    X(event_message_read)                                                                                              \
    X(event_typing)                                                                                                    \
    X(event_stop_typing)                                                                                               \
    X(event_send_friend_request)                                                                                       \
    X(event_accept_friend_request)                                                                                     \
    X(event_reject_friend_request)                                                                                     \
    X(event_call_user)                                                                                                 \
    X(event_answer_call)                                                                                               \
    X(event_ice_candidate)                                                                                             \
    X(event_end_call)

#define X(name)                                                                                                        \
    void handle_##name(struct exchange *exchange);                                                                     \
    extern const struct field fields_of_##name[];
API_HANDLERS(X)
#undef X

#endif
