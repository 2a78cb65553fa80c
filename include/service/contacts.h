/* Contacts, and the friend requests that lead there. */
#ifndef STONECHAT_SERVICE_CONTACTS_H
#define STONECHAT_SERVICE_CONTACTS_H

#include "service/services.h"

/* {"message":"Friend request sent","targetId"}. The target is told. STATUS_BAD_REQUEST for oneself, NOT_FOUND,
 * CONFLICT. */
void contacts_request(struct services *services, const struct actor *actor, struct uuid target_id, on_outcome *on_done,
                      void *data);

/* {"message","requesterId"}. The requester is told. STATUS_BAD_REQUEST when there is no such request. */
void contacts_accept(struct services *services, const struct actor *actor, struct uuid requester_id,
                     on_outcome *on_done, void *data);
void contacts_reject(struct services *services, const struct actor *actor, struct uuid requester_id,
                     on_outcome *on_done, void *data);

/* {"message":"Contact removed","contactId"}, in both directions. STATUS_NOT_FOUND. */
void contacts_remove(struct services *services, const struct actor *actor, struct uuid contact_id, on_outcome *on_done,
                     void *data);

/* {"received":[FriendRequest],"sent":[FriendRequest]}: the pending ones, newest first. */
void contacts_list_requests(struct services *services, const struct actor *actor, on_outcome *on_done, void *data);

/* {"user":{"id","username","online","contacts":[User],"friendRequests","sentRequests"}} */
void contacts_get_profile(struct services *services, const struct actor *actor, on_outcome *on_done, void *data);

#endif
