-- After seed.sql: user1001 and user1002 have written 100,000 messages to each other.
\set ON_ERROR_STOP on
BEGIN;
SET LOCAL synchronous_commit = off;

CREATE TEMPORARY TABLE history AS
SELECT c.chat_id, c.user_id AS one, c.contact_id AS other
FROM contacts c JOIN users u ON u.id = c.user_id JOIN users v ON v.id = c.contact_id
WHERE u.username = 'user1001' AND v.username = 'user1002';

INSERT INTO messages (chat_id, seq, id, sender_id, created_at, content)
SELECT chat_id, k, uuid_v7(), CASE WHEN k % 2 = 0 THEN one ELSE other END,
       now() - (100001 - k) * interval '1 minute',
       'message ' || k || ' of a long history, lorem ipsum dolor sit amet, consectetur adipiscing'
FROM history, generate_series(1, 100000) k;

UPDATE chats SET last_seq = 100000, last_message_at = now() - interval '1 minute'
WHERE id IN (SELECT chat_id FROM history);
UPDATE members o SET read_seq = m.seq, last_seq = m.seq, last_message_at = m.created_at, last_id = m.id,
                     last_sender_id = m.sender_id, last_content = m.content, last_is_seen = true
FROM messages m WHERE m.chat_id = o.chat_id AND m.seq = 100000 AND o.chat_id IN (SELECT chat_id FROM history);
COMMIT;
VACUUM ANALYZE;
