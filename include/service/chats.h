/* The list of a user's chats, as his chat window opens with it. */
#ifndef STONECHAT_SERVICE_CHATS_H
#define STONECHAT_SERVICE_CHATS_H

#include "service/services.h"

enum { CHATS_DEFAULT_LIMIT = 100 };

/* A page of [{"chatId","user","latestMessage","unreadCount"}]. `cursor` is empty for the first page; the
 * first page of the default length may come from the cache. STATUS_VALIDATION_ERROR: the cursor was not made here. */
void chats_list(struct services *services, const struct actor *actor, int64_t limit, struct slice cursor,
                on_outcome *on_done, void *data);

#endif
