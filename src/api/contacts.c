/* /api/contacts/…, and the socket events of friend requests, which do the same. */
#include "service/contacts.h"

#include "api.h"

#define ONE_USER(member)                                                                                               \
    {                                                                                                                  \
        {.name = (member), .type = FIELD_UUID, .flags = FIELD_REQUIRED},                                               \
        {                                                                                                              \
            0                                                                                                          \
        }                                                                                                              \
    }

const struct field fields_of_contacts_request[] = ONE_USER("targetId");
const struct field fields_of_contacts_accept[] = ONE_USER("requesterId");
const struct field fields_of_contacts_reject[] = ONE_USER("requesterId");
const struct field fields_of_contacts_remove[] = ONE_USER("contactId");
const struct field fields_of_contacts_requests[] = {{0}};
const struct field fields_of_contacts_profile[] = {{0}};
const struct field fields_of_event_send_friend_request[] = ONE_USER("targetUserId");
const struct field fields_of_event_accept_friend_request[] = ONE_USER("senderId");
const struct field fields_of_event_reject_friend_request[] = ONE_USER("senderId");

typedef void contact_action(struct services *services, const struct actor *actor, struct uuid other_id,
                            on_outcome *on_done, void *data);

static void act(struct exchange *exchange, contact_action *action)
{
    struct actor actor = api_actor(exchange);
    action(api_services(exchange), &actor, exchange->input.values[0].uuid, api_reply, exchange_ref(exchange));
}

void handle_contacts_request(struct exchange *exchange)
{
    act(exchange, contacts_request);
}

void handle_contacts_accept(struct exchange *exchange)
{
    act(exchange, contacts_accept);
}

void handle_contacts_reject(struct exchange *exchange)
{
    act(exchange, contacts_reject);
}

void handle_contacts_remove(struct exchange *exchange)
{
    act(exchange, contacts_remove);
}

void handle_event_send_friend_request(struct exchange *exchange)
{
    act(exchange, contacts_request);
}

void handle_event_accept_friend_request(struct exchange *exchange)
{
    act(exchange, contacts_accept);
}

void handle_event_reject_friend_request(struct exchange *exchange)
{
    act(exchange, contacts_reject);
}

void handle_contacts_requests(struct exchange *exchange)
{
    struct actor actor = api_actor(exchange);
    contacts_list_requests(api_services(exchange), &actor, api_reply, exchange_ref(exchange));
}

void handle_contacts_profile(struct exchange *exchange)
{
    struct actor actor = api_actor(exchange);
    contacts_get_profile(api_services(exchange), &actor, api_reply, exchange_ref(exchange));
}
