#include "api/routes.h"

#include "api.h"

#define DO(handler) .fields = fields_of_##handler, .handle = handle_##handler

static const struct operation routes[] = {
    {"POST", "/api/auth/register", .is_public = true, DO(auth_register), .check = check_auth_register},
    {"POST", "/api/auth/login", .is_public = true, DO(auth_login)},
    {"GET", "/api/users/me", DO(users_me)},
    {"GET", "/api/users", DO(users_search)},
    {"POST", "/api/contacts/request", DO(contacts_request)},
    {"POST", "/api/contacts/accept", DO(contacts_accept)},
    {"POST", "/api/contacts/reject", DO(contacts_reject)},
    {"POST", "/api/contacts/remove", DO(contacts_remove)},
    {"GET", "/api/contacts/requests", DO(contacts_requests)},
    {"GET", "/api/contacts/profile", DO(contacts_profile)},
    {"GET", "/api/chats", DO(chats_list)},
    {"GET", "/api/messages", DO(messages_list), .check = check_messages_list},
    {"POST", "/api/messages", DO(messages_send), .check = check_messages_send},
    {"GET", "/api/calls", DO(calls_list)},
    {0},
};

static const struct operation events[] = {
    {NULL, "private-message", DO(event_private_message), .check = check_messages_send},
    {NULL, "message-seen", DO(event_message_seen)},
    {NULL, "message_read", DO(event_message_read)},
    {NULL, "typing", DO(event_typing)},
    {NULL, "stop_typing", DO(event_stop_typing)},
    {NULL, "send_friend_request", DO(event_send_friend_request)},
    {NULL, "accept_friend_request", DO(event_accept_friend_request)},
    {NULL, "reject_friend_request", DO(event_reject_friend_request)},
    {NULL, "call-user", DO(event_call_user)},
    {NULL, "answer-call", DO(event_answer_call)},
    {NULL, "ice-candidate", DO(event_ice_candidate), .check = check_event_ice_candidate},
    {NULL, "end-call", DO(event_end_call)},
    {0},
};

const struct operation *const API_ROUTES[] = {routes, NULL};
const struct operation *const API_EVENTS[] = {events, NULL};
