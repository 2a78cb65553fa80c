/* Messages and chats: writing, reading, marking read. */
#ifndef STONECHAT_SERVICE_MESSAGES_H
#define STONECHAT_SERVICE_MESSAGES_H

#include "repository/message.h"
#include "service/services.h"

/* Writes a message, which is the actor's whatever `draft` says, and gets an id here: a Message with STATUS_CREATED, or
 * the first one with STATUS_OK when `client_id` (data NULL for none) was used before. Sent to all of the recipient's
 * sessions and to the sender's others. STATUS_FORBIDDEN: not a contact. */
void messages_send(struct services *services, const struct actor *actor, const struct message_draft *draft,
                   on_outcome *on_done, void *data);

/* Marks a message read, and those before it in its chat; the sender and the reader's other sessions get `event`
 * ("message-seen" or "message_read"). STATUS_NOT_FOUND, or FORBIDDEN: an own message, or somebody else's chat. */
void messages_mark_read(struct services *services, const struct actor *actor, struct uuid message_id,
                        struct slice event, on_outcome *on_done, void *data);

/* {"messages":[Message], "pagination":{…}}. STATUS_FORBIDDEN: not a contact. */
void messages_list(struct services *services, const struct actor *actor, const struct message_range *range,
                   on_outcome *on_done, void *data);

#endif
