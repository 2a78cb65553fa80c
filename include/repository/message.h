/* Chats and their messages. Each function fills `call`; the texts must stay until the call is done. */
#ifndef STONECHAT_REPOSITORY_MESSAGE_H
#define STONECHAT_REPOSITORY_MESSAGE_H

#include "repository/event.h"
#include "repository/user.h"

/* A row's texts live as long as its rows. */
struct message {
    struct uuid id, chat_id, sender_id;
    struct uuid receiver_id; /* nil in a group */
    int64_t seq, created_at_us;
    struct slice content;
    struct slice client_id; /* data is NULL without one */
    bool is_seen;
};

/* --- writing --- */

struct message_draft {
    struct uuid id, sender_id;
    struct uuid receiver_id, chat_id; /* one of the two is nil */
    struct slice content;
    struct slice client_id; /* data is NULL without one */
    struct uuid origin;     /* the session that sends; nil for none */
};

/* Status CREATED, with a row a recipient; OK when the client_id is known, with the first message; FORBIDDEN. */
void message_append(struct db_call *call, const struct message_draft *draft);
struct slice message_append_status(const struct db_rows *rows);
/* The message of a CREATED or OK row; what was just written takes its texts from the call's own values. */
struct message message_append_decode(const struct db_call *call, const struct db_rows *rows);
/* Who is told, of a CREATED row, and where in his log. */
struct uuid message_append_recipient(const struct db_rows *rows, int row);
int64_t message_append_event_seq(const struct db_rows *rows, int row);

/* Marks a message read, and those before it: events of `event_type`. Status OK, NOT_FOUND or FORBIDDEN. */
void message_mark_read(struct db_call *call, struct uuid reader, struct uuid message_id, struct slice event_type,
                       struct uuid origin);

/* --- reading a history --- */

/* Which messages of a chat: at most one of page, before and after is not 0 (`after` counts from 1 here: the seq that
 * the range starts with); none: the newest. */
struct message_range {
    struct uuid with_user_id, chat_id; /* one of the two is nil */
    int64_t limit, page, before, from;
};
void message_list(struct db_call *call, struct uuid reader, const struct message_range *range);

/* What every row of message_list says of the range. */
struct message_page {
    bool is_allowed;
    int64_t total;
    int64_t first, last; /* the seqs that were asked for, cut to what there is; empty when first > last */
};
struct message_page message_page_decode(const struct db_rows *rows);
/* False when the row has no message. */
bool message_decode(const struct db_rows *rows, int row, struct uuid reader, struct message *ret_message);

/* --- the list of chats --- */

struct chat_cursor {
    bool is_set, has_time; /* without a time: the chat was never written to */
    int64_t last_message_at_us;
    struct uuid chat_id;
};
/* The direct chats of `user_id` with contacts, behind the cursor, newest first. */
void chat_list(struct db_call *call, struct uuid user_id, int64_t limit, const struct chat_cursor *cursor);

/* A text that is another one as soon as anything in the user's list of chats is, but for the status of his contacts. */
void chat_list_version(struct db_call *call, struct uuid user_id);
/* Empty for a user who is not there. */
void chat_list_decode_version(const struct db_rows *rows, char *out, size_t out_size);

struct chat {
    struct uuid id;
    struct user peer;
    int64_t unread;
    bool has_latest;
    struct message latest;
};
struct chat chat_decode(const struct db_rows *rows, int row, struct uuid user_id);

#endif
