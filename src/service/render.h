/* The objects of the wire contract as JSON, and the cursors of its lists. Private to service. */
#ifndef STONECHAT_SERVICE_RENDER_H
#define STONECHAT_SERVICE_RENDER_H

#include "repository/call.h"
#include "repository/contact.h"
#include "repository/message.h"
#include "service/services.h"
#include "util/json.h"

/* {"id","username","online","lastSeen"} */
void render_user(struct buffer *out, struct services *services, const struct user *user);

/* {"id","chatId","seq","senderId","receiverId"?,"content","clientId"?,"seen","createdAt"} */
void render_message(struct buffer *out, const struct message *message);

/* A time, or null. */
void render_optional_time(struct buffer *out, bool is_set, int64_t unix_us);

/* A cursor is "<µs since 1970, or ->.<UUID>" as a string; clients don't look inside. */
void render_cursor(struct buffer *out, bool has_time, int64_t unix_us, struct uuid id);
/* False when it is none that render_cursor has made. */
bool render_parse_cursor(struct slice text, bool *ret_has_time, int64_t *ret_unix_us, struct uuid *ret_id);

/* {"nextCursor":…}: `next` is the cursor's JSON, or empty. */
void render_next_cursor(struct buffer *out, struct slice next);

#endif
