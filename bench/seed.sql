-- Seed for benchmarks, into an empty schema: 10,000 users user1…, all with the password whose hash is given.
-- 1..1000 stand on a ring with 20 contacts each and 20 messages a pair (200,000); 1001..10000 on another, with 20
-- contacts and no messages. Some calls. The seeded messages have been read, and are left out of the event logs.
--
--     psql "$DATABASE_URL" -v hash='$argon2id$…' -f bench/seed.sql
\set ON_ERROR_STOP on
BEGIN;
SET LOCAL synchronous_commit = off;

-- Ids are made up from the number, so that the tokens of user i can be printed without asking the database.
CREATE FUNCTION pg_temp.user_id(i bigint) RETURNS uuid LANGUAGE plpgsql IMMUTABLE AS
    $$ BEGIN RETURN ('01900000-0000-7000-8000-' || lpad(to_hex(i), 12, '0'))::uuid; END $$;

INSERT INTO users (id, username, password_hash)
SELECT pg_temp.user_id(i), 'user' || i, :'hash' FROM generate_series(1, 10000) i;

-- Every pair once: i and the ten that follow i on its ring.
CREATE TEMPORARY TABLE pairs AS
SELECT uuid_v7() AS chat_id, pg_temp.user_id(i) AS one, pg_temp.user_id(j) AS other, i, j, d, has_messages
FROM (
    SELECT i, d, i <= 1000 AS has_messages,
           CASE WHEN i <= 1000 THEN (i - 1 + d) % 1000 + 1 ELSE (i - 1001 + d) % 9000 + 1001 END AS j
    FROM generate_series(1, 10000) i, generate_series(1, 10) d
) p;

INSERT INTO chats (id, kind, low_id, high_id, last_seq, last_message_at)
SELECT chat_id, 'direct', least(one, other), greatest(one, other), CASE WHEN has_messages THEN 20 ELSE 0 END,
       CASE WHEN has_messages THEN now() - interval '10 days' + d * interval '1 minute' + i * interval '1 second' END
FROM pairs;
INSERT INTO members (chat_id, user_id, contact_id, read_seq)
SELECT chat_id, u, CASE u WHEN one THEN other ELSE one END, CASE WHEN has_messages THEN 20 ELSE 0 END
FROM pairs, unnest(ARRAY[one, other]) u;
INSERT INTO contacts (user_id, contact_id, chat_id)
SELECT one, other, chat_id FROM pairs UNION ALL SELECT other, one, chat_id FROM pairs;

INSERT INTO messages (chat_id, seq, id, sender_id, created_at, content)
SELECT chat_id, k, uuid_v7(), CASE WHEN k % 2 = 0 THEN one ELSE other END,
       now() - interval '10 days' + d * interval '1 minute' + i * interval '1 second' - (20 - k) * interval '1 hour',
       'seed message ' || k || ' between ' || i || ' and ' || j || ' lorem ipsum dolor sit amet, consectetur adipiscing'
FROM pairs, generate_series(1, 20) k WHERE has_messages ORDER BY k, i, d;

UPDATE chats SET seen_seq = last_seq;
UPDATE members o SET last_seq = m.seq, last_message_at = m.created_at, last_id = m.id, last_sender_id = m.sender_id,
                     last_content = m.content, last_is_seen = true
FROM messages m JOIN chats c ON m.chat_id = c.id AND m.seq = c.last_seq WHERE o.chat_id = c.id;

INSERT INTO calls (caller_id, callee_id, status, started_at, answered_at, ended_at)
SELECT one, other, 'ended', now() - d * interval '1 day', now() - d * interval '1 day' + interval '10 seconds',
       now() - d * interval '1 day' + interval '5 minutes'
FROM pairs WHERE has_messages;
COMMIT;
VACUUM FULL chats;
VACUUM FULL members;
VACUUM ANALYZE;
