#include "repository/message.h"

#include <stdio.h>

#include "optional.h"
#include "statement_list.h"

const struct db_statement STATEMENT_MESSAGE_APPEND = {
    "message_append", "uUUUttu",
    "SELECT ord, status, id, chat_id, seq, sender_id, receiver_id, content, client_id, seen, created_at, recipient,"
    "  event_seq"
    " FROM message_append($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::text[], $6::text[], $7::uuid[])"};

const struct db_statement STATEMENT_MESSAGE_MARK_READ = {
    "message_mark_read", "Uutu",
    "SELECT " EVENT_COLUMNS " FROM message_mark_read($1::uuid[], $2::uuid[], $3::text[], $4::uuid[])"};

/* seq has no holes: a page is a range of it, wherever it lies. Who has deleted his account is no contact any more, but
 * his chats can be read. */
const struct db_statement STATEMENT_MESSAGE_LIST = {
    "message_list", "uuuiiii",
    "SELECT q.ord, r.chat_id, r.total, r.low, r.high, r.peer, m.seq, m.id, m.sender_id, m.content, m.client_id,"
    "  m.created_at, m.seq <= CASE m.sender_id WHEN q.reader THEN r.peer_read ELSE r.own_read END"
    " FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[])"
    "  WITH ORDINALITY q (reader, peer, chat, max, page, before, first, ord)"
    " LEFT JOIN LATERAL ("
    "  SELECT c.id AS chat_id, c.last_seq AS total, o.read_seq AS own_read, p.user_id AS peer,"
    "   coalesce(p.read_seq, c.seen_seq) AS peer_read,"
    "   greatest(1, CASE WHEN q.page > 0 THEN (q.page - 1) * q.max + 1"
    "    WHEN q.before > 0 THEN least(q.before - 1, c.last_seq) - q.max + 1"
    "    WHEN q.first > 0 THEN q.first ELSE c.last_seq - q.max + 1 END) AS low,"
    "   least(c.last_seq, CASE WHEN q.page > 0 THEN q.page * q.max WHEN q.before > 0 THEN q.before - 1"
    "    WHEN q.first > 0 THEN q.first - 1 + q.max ELSE c.last_seq END) AS high"
    "  FROM chats c JOIN members o ON o.chat_id = c.id AND o.user_id = q.reader"
    "  LEFT JOIN members p ON c.kind = 'direct' AND p.chat_id = c.id"
    "   AND p.user_id = CASE c.low_id WHEN q.reader THEN c.high_id ELSE c.low_id END"
    "  WHERE c.id = coalesce(q.chat, (SELECT t.chat_id FROM contacts t"
    "    WHERE t.user_id = q.reader AND t.contact_id = q.peer), (SELECT h.id FROM chats h WHERE h.kind = 'direct'"
    "    AND h.low_id = least(q.reader, q.peer) AND h.high_id = greatest(q.reader, q.peer)))"
    "   AND (c.kind = 'group' OR o.contact_id IS NOT NULL)"
    " ) r ON true"
    " LEFT JOIN LATERAL (SELECT g.* FROM messages g WHERE g.chat_id = r.chat_id AND g.seq BETWEEN r.low AND r.high"
    "  ORDER BY g.seq) m ON true"};

/* The newest message lies with its members, unless it is long: only then it is looked for. */
const struct db_statement STATEMENT_CHAT_LIST = {
    "chat_list", "uibzu",
    "SELECT q.ord, l.*, coalesce(l.last_content, (SELECT m.content FROM messages m"
    "  WHERE m.chat_id = l.chat_id AND m.seq = l.last_seq))"
    " FROM unnest($1::uuid[], $2::bigint[], $3::boolean[], $4::timestamptz[], $5::uuid[])"
    "  WITH ORDINALITY q (reader, max, is_behind, at, chat, ord)"
    " CROSS JOIN LATERAL ("
    "  SELECT o.chat_id, o.last_seq - o.read_seq - o.own_after_read AS unread, u.id AS peer, u.username, "
    "u.last_seen_at,"
    "   o.last_seq, o.last_id, o.last_sender_id, o.last_client_id, o.last_message_at, o.last_is_seen, o.last_content"
    "  FROM members o JOIN users u ON u.id = o.contact_id"
    "  WHERE o.user_id = q.reader AND (NOT q.is_behind"
    "   OR coalesce(o.last_message_at, '-infinity') < coalesce(q.at, '-infinity')"
    "   OR (coalesce(o.last_message_at, '-infinity') = coalesce(q.at, '-infinity') AND o.chat_id < q.chat))"
    "  ORDER BY o.last_message_at DESC NULLS LAST, o.chat_id DESC LIMIT q.max"
    " ) l"};

/* Whatever changes a list of chats is told to the user by an event, but for the loss of a contact, with an account or
 * without. */
const struct db_statement STATEMENT_CHAT_LIST_VERSION = {
    "chat_list_version", "u",
    "SELECT q.ord, u.event_seq, (SELECT count(*) FROM contacts c WHERE c.user_id = u.id), u.chats_removed"
    " FROM unnest($1::uuid[]) WITH ORDINALITY q (id, ord) JOIN users u ON u.id = q.id"};

void message_append(struct db_call *call, const struct message_draft *draft)
{
    call->statement = &STATEMENT_MESSAGE_APPEND;
    call->values[0] = DB_UUID(draft->id);
    call->values[1] = DB_UUID(draft->sender_id);
    call->values[2] = optional_uuid(draft->receiver_id);
    call->values[3] = optional_uuid(draft->chat_id);
    call->values[4] = DB_TEXT(draft->content);
    call->values[5] = draft->client_id.data != NULL ? DB_TEXT(draft->client_id) : DB_NULL;
    call->values[6] = optional_uuid(draft->origin);
}

struct slice message_append_status(const struct db_rows *rows)
{
    return db_text(rows, 0, 0);
}

struct message message_append_decode(const struct db_call *call, const struct db_rows *rows)
{
    struct message message = {.id = db_uuid(rows, 0, 1),
                              .chat_id = db_uuid(rows, 0, 2),
                              .seq = db_integer(rows, 0, 3),
                              .sender_id = db_uuid(rows, 0, 4),
                              .receiver_id = db_uuid(rows, 0, 5),
                              .content = call->values[4].text,
                              .client_id = call->values[5].text,
                              .is_seen = db_integer(rows, 0, 8) != 0,
                              .created_at_us = db_time_us(rows, 0, 9)};
    if (slice_equals(message_append_status(rows), SLICE("OK"))) {
        message.content = db_text(rows, 0, 6);
        message.client_id = nullable_text(rows, 0, 7);
    }
    return message;
}

struct uuid message_append_recipient(const struct db_rows *rows, int row)
{
    return db_uuid(rows, row, 10);
}

int64_t message_append_event_seq(const struct db_rows *rows, int row)
{
    return db_integer(rows, row, 11);
}

void message_mark_read(struct db_call *call, struct uuid reader, struct uuid message_id, struct slice event_type,
                       struct uuid origin)
{
    call->statement = &STATEMENT_MESSAGE_MARK_READ;
    call->values[0] = DB_UUID(reader);
    call->values[1] = DB_UUID(message_id);
    call->values[2] = DB_TEXT(event_type);
    call->values[3] = optional_uuid(origin);
}

void message_list(struct db_call *call, struct uuid reader, const struct message_range *range)
{
    call->statement = &STATEMENT_MESSAGE_LIST;
    call->values[0] = DB_UUID(reader);
    call->values[1] = optional_uuid(range->with_user_id);
    call->values[2] = optional_uuid(range->chat_id);
    call->values[3] = DB_INT(range->limit);
    call->values[4] = DB_INT(range->page);
    call->values[5] = DB_INT(range->before);
    call->values[6] = DB_INT(range->from);
}

struct message_page message_page_decode(const struct db_rows *rows)
{
    if (db_is_null(rows, 0, 0)) {
        return (struct message_page){0};
    }
    return (struct message_page){.is_allowed = true,
                                 .total = db_integer(rows, 0, 1),
                                 .first = db_integer(rows, 0, 2),
                                 .last = db_integer(rows, 0, 3)};
}

bool message_decode(const struct db_rows *rows, int row, struct uuid reader, struct message *ret_message)
{
    if (db_is_null(rows, row, 5)) {
        return false;
    }
    *ret_message = (struct message){.chat_id = db_uuid(rows, row, 0),
                                    .seq = db_integer(rows, row, 5),
                                    .id = db_uuid(rows, row, 6),
                                    .sender_id = db_uuid(rows, row, 7),
                                    .content = db_text(rows, row, 8),
                                    .client_id = nullable_text(rows, row, 9),
                                    .created_at_us = db_time_us(rows, row, 10),
                                    .is_seen = db_integer(rows, row, 11) != 0};
    struct uuid peer = db_uuid(rows, row, 4); /* nil in a group */
    ret_message->receiver_id = uuid_equals(ret_message->sender_id, peer) ? reader : peer;
    return true;
}

void chat_list(struct db_call *call, struct uuid user_id, int64_t limit, const struct chat_cursor *cursor)
{
    call->statement = &STATEMENT_CHAT_LIST;
    call->values[0] = DB_UUID(user_id);
    call->values[1] = DB_INT(limit);
    call->values[2] = DB_INT(cursor->is_set);
    call->values[3] = cursor->has_time ? DB_INT(cursor->last_message_at_us) : DB_NULL;
    call->values[4] = DB_UUID(cursor->chat_id);
}

void chat_list_version(struct db_call *call, struct uuid user_id)
{
    call->statement = &STATEMENT_CHAT_LIST_VERSION;
    call->values[0] = DB_UUID(user_id);
}

void chat_list_decode_version(const struct db_rows *rows, char *out, size_t out_size)
{
    out[0] = '\0';
    if (db_rows_count(rows) == 1) {
        snprintf(out, out_size, "%lld.%lld.%lld", (long long)db_integer(rows, 0, 0), (long long)db_integer(rows, 0, 1),
                 (long long)db_integer(rows, 0, 2));
    }
}

struct chat chat_decode(const struct db_rows *rows, int row, struct uuid user_id)
{
    struct chat chat = {.id = db_uuid(rows, row, 0),
                        .unread = db_integer(rows, row, 1),
                        .peer = user_decode(rows, row, 2),
                        .has_latest = !db_is_null(rows, row, 6)};
    if (chat.has_latest) {
        struct uuid sender_id = db_uuid(rows, row, 7);
        chat.latest = (struct message){.chat_id = chat.id,
                                       .seq = db_integer(rows, row, 5),
                                       .id = db_uuid(rows, row, 6),
                                       .sender_id = sender_id,
                                       .receiver_id = uuid_equals(sender_id, user_id) ? chat.peer.id : user_id,
                                       .client_id = nullable_text(rows, row, 8),
                                       .created_at_us = db_time_us(rows, row, 9),
                                       .is_seen = db_integer(rows, row, 10) != 0,
                                       .content = db_text(rows, row, 12)};
    }
    return chat;
}
