/* Contacts and friend requests. Each function fills `call`; those that change something return events
 * (repository/event.h). */
#ifndef STONECHAT_REPOSITORY_CONTACT_H
#define STONECHAT_REPOSITORY_CONTACT_H

#include "repository/event.h"
#include "repository/user.h"

/* Status OK, SELF, NO_SUCH_USER, ALREADY_FRIENDS, ALREADY_SENT or ALREADY_RECEIVED. */
void friend_request_send(struct db_call *call, struct uuid id, struct uuid sender, struct uuid receiver);
/* Status OK or NO_SUCH_REQUEST. */
void friend_request_accept(struct db_call *call, struct uuid accepter, struct uuid requester, bool is_requester_online);
void friend_request_reject(struct db_call *call, struct uuid rejecter, struct uuid requester);
/* Status OK or NO_SUCH_CONTACT. */
void contact_remove(struct db_call *call, struct uuid remover, struct uuid contact);

/* A user's contacts (only `with_contacts`) by name, then the pending requests, newest first. A row is either. */
struct contact_row {
    bool is_request;
    struct user other;
    struct uuid request_id;
    bool is_sent;          /* by oneself; else received */
    int64_t created_at_us; /* the request's */
    bool has_own_last_seen;
    int64_t own_last_seen_us;
};
void contact_list(struct db_call *call, struct uuid user_id, bool with_contacts);
struct contact_row contact_decode(const struct db_rows *rows, int row);

/* The ids of a user's contacts: a row each, column 0. */
void contact_list_ids(struct db_call *call, struct uuid user_id);

/* Is `other` a contact? A row if so. */
void contact_check(struct db_call *call, struct uuid user_id, struct uuid other);

/* Notes when the user was last seen, and returns as contact_list_ids. */
void contact_went_offline(struct db_call *call, struct uuid user_id, int64_t last_seen_us);

#endif
