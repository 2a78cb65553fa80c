-- Reading the logs: what a device is told when it comes back, and taking out what is too old for anybody to come back to.

CREATE FUNCTION message_json(message messages) RETURNS text LANGUAGE plpgsql STABLE AS $$
DECLARE
    receiver uuid := (SELECT CASE c.low_id WHEN message.sender_id THEN c.high_id ELSE c.low_id END
                      FROM chats c WHERE c.id = message.chat_id AND c.kind = 'direct');
BEGIN
    RETURN format('{"id":"%s","chatId":"%s","seq":%s,"senderId":"%s"', message.id, message.chat_id, message.seq,
                  message.sender_id)
        || coalesce(format(',"receiverId":"%s"', receiver), '') || ',"content":' || to_json(message.content)
        || coalesce(',"clientId":' || to_json(message.client_id), '')
        || format(',"seen":false,"createdAt":"%s"}', rfc3339(message.created_at));
END
$$;
COMMENT ON FUNCTION message_json(messages) IS 'The message as its event private-message told it: not seen yet.';

-- For people and programs that look by SQL: names instead of ids, and what is worked out from several tables.

CREATE VIEW message_log AS
SELECT m.chat_id, m.seq, m.id, s.username AS sender, r.username AS receiver, m.content, m.client_id,
       coalesce(p.read_seq, c.seen_seq) >= m.seq AS seen, m.created_at
FROM messages m
JOIN chats c ON c.id = m.chat_id
JOIN users s ON s.id = m.sender_id
LEFT JOIN members p ON c.kind = 'direct' AND p.chat_id = c.id
    AND p.user_id = CASE c.low_id WHEN m.sender_id THEN c.high_id ELSE c.low_id END
LEFT JOIN users r ON r.id = p.user_id;
COMMENT ON VIEW message_log IS 'Every message, with the names of who wrote it and, in a direct chat, to whom.';
COMMENT ON COLUMN message_log.seq IS '1, 2, 3… without holes within the chat.';
COMMENT ON COLUMN message_log.seen IS 'The receiver has read it; in a group, somebody has.';

CREATE VIEW chat_list AS
SELECT u.username, o.chat_id, c.kind, p.username AS contact, c.last_seq - o.read_seq - o.own_after_read AS unread,
       c.last_seq AS messages, c.last_message_at
FROM members o
JOIN chats c ON c.id = o.chat_id
JOIN users u ON u.id = o.user_id
LEFT JOIN users p ON p.id = o.contact_id;
COMMENT ON VIEW chat_list IS 'Every user''s chats: SELECT * FROM chat_list WHERE username = ''alice'' ORDER BY last_message_at DESC.';
COMMENT ON COLUMN chat_list.contact IS 'Of a direct chat: with whom; null when the contact was removed.';
COMMENT ON COLUMN chat_list.unread IS 'How many messages of others the user has not read.';

CREATE VIEW event_log AS
SELECT e.user_id, e.seq, e.type,
       CASE WHEN e.message_seq IS NULL THEN e.payload
            ELSE (SELECT message_json(m) FROM messages m WHERE m.chat_id = e.chat_id AND m.seq = e.message_seq) END
           AS payload,
       e.origin, e.created_at
FROM events e;
COMMENT ON VIEW event_log IS 'What each user was told, in order, as their devices got it.';
COMMENT ON COLUMN event_log.seq IS 'The offset: 1, 2, 3… without holes for each user.';
COMMENT ON COLUMN event_log.payload IS 'The JSON that came with the event.';

CREATE FUNCTION prune_events(older_than_days bigint[], max_rows bigint[])
RETURNS TABLE (ord bigint, pruned bigint) LANGUAGE plpgsql AS $$
BEGIN
    -- A log is cut from its beginning; users are locked in the order in which everybody locks them.
    ord := 1;
    WITH old AS MATERIALIZED (
        SELECT e.user_id, e.seq FROM events e
        WHERE e.created_at < now() - make_interval(days => older_than_days[1]::integer) LIMIT max_rows[1]
    ),
    cut AS MATERIALIZED (
        SELECT o.user_id, max(o.seq) AS seq FROM old o GROUP BY o.user_id ORDER BY o.user_id
    ),
    marked AS (
        UPDATE users u SET pruned_seq = c.seq FROM cut c WHERE u.id = c.user_id AND u.pruned_seq < c.seq
    ),
    gone AS (
        DELETE FROM events e USING cut c WHERE e.user_id = c.user_id AND e.seq <= c.seq RETURNING 1
    )
    SELECT count(*) INTO pruned FROM gone;
    RETURN NEXT;
END
$$;
COMMENT ON FUNCTION prune_events IS 'Takes out at most max_rows events that are older, oldest first in each log, and notes how far. One member; returns how many.';
