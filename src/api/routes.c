#include "api/routes.h"

#include "api.h"

#define DO(handler) .fields = fields_of_##handler, .handle = handle_##handler

static const struct operation routes[] = {
    {"POST", "/api/auth/register", .is_public = true, DO(auth_register), .rate = RATE_LOGINS,
     .check = check_auth_register},
    {"POST", "/api/auth/login", .is_public = true, DO(auth_login), .rate = RATE_LOGINS},
    {"POST", "/api/auth/refresh", .is_public = true, DO(logins_refresh), .rate = RATE_REFRESHES},
    {"POST", "/api/auth/logout", DO(logins_end_own), .rate = RATE_ACCOUNT},
    {"POST", "/api/auth/logout-all", DO(logins_end_all), .rate = RATE_ACCOUNT},
    {"POST", "/api/auth/password", DO(auth_password), .rate = RATE_ACCOUNT, .check = check_auth_password},
    {"GET", "/api/auth/sessions", DO(logins_list), .rate = RATE_READS},
    {"DELETE", "/api/auth/sessions/:id", DO(logins_end), .rate = RATE_ACCOUNT},
    {"POST", "/api/auth/2fa/setup", DO(two_factors_setup), .rate = RATE_ACCOUNT},
    {"POST", "/api/auth/2fa/enable", DO(two_factors_enable), .rate = RATE_ACCOUNT},
    {"POST", "/api/auth/2fa/disable", DO(two_factors_disable), .rate = RATE_ACCOUNT},
    {"GET", "/api/users/me", DO(users_me), .rate = RATE_READS},
    {"DELETE", "/api/users/me", DO(users_delete), .rate = RATE_ACCOUNT},
    {"GET", "/api/users", DO(users_search), .rate = RATE_READS},
    {"POST", "/api/contacts/request", DO(contacts_request), .rate = RATE_CONTACTS},
    {"POST", "/api/contacts/accept", DO(contacts_accept), .rate = RATE_CONTACTS},
    {"POST", "/api/contacts/reject", DO(contacts_reject), .rate = RATE_CONTACTS},
    {"POST", "/api/contacts/remove", DO(contacts_remove), .rate = RATE_CONTACTS},
    {"GET", "/api/contacts/requests", DO(contacts_requests), .rate = RATE_READS},
    {"GET", "/api/contacts/profile", DO(contacts_profile), .rate = RATE_READS},
    {"GET", "/api/chats", DO(chats_list), .rate = RATE_READS},
    {"GET", "/api/messages", DO(messages_list), .rate = RATE_READS, .check = check_messages_list},
    {"POST", "/api/messages", DO(messages_send), .rate = RATE_MESSAGES, .check = check_messages_send},
    {"GET", "/api/calls", DO(calls_list), .rate = RATE_READS},
    {0},
};

static const struct operation events[] = {
    {NULL, "private-message", DO(event_private_message), .rate = RATE_MESSAGES, .check = check_messages_send},
    {NULL, "message-seen", DO(event_message_seen), .rate = RATE_RECEIPTS},
    {NULL, "message_read", DO(event_message_read), .rate = RATE_RECEIPTS},
    {NULL, "typing", DO(event_typing), .rate = RATE_TYPING},
    {NULL, "stop_typing", DO(event_stop_typing), .rate = RATE_TYPING},
    {NULL, "send_friend_request", DO(event_send_friend_request), .rate = RATE_CONTACTS},
    {NULL, "accept_friend_request", DO(event_accept_friend_request), .rate = RATE_CONTACTS},
    {NULL, "reject_friend_request", DO(event_reject_friend_request), .rate = RATE_CONTACTS},
    {NULL, "call-user", DO(event_call_user), .rate = RATE_CALLS},
    {NULL, "answer-call", DO(event_answer_call), .rate = RATE_CALLS},
    {NULL, "ice-candidate", DO(event_ice_candidate), .rate = RATE_CANDIDATES, .check = check_event_ice_candidate},
    {NULL, "end-call", DO(event_end_call), .rate = RATE_CALLS},
    {0},
};

const struct operation *const API_ROUTES[] = {routes, NULL};
const struct operation *const API_EVENTS[] = {events, NULL};
