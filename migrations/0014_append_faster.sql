-- message_append locks chats and users, in the order of their ids as ever, in the statements that change them.

CREATE OR REPLACE FUNCTION message_append(ids uuid[], senders uuid[], receivers uuid[], chat_ids uuid[], contents text[],
                               client_ids text[], origins uuid[] DEFAULT NULL)
RETURNS TABLE (ord bigint, status text, id uuid, chat_id uuid, seq bigint, sender_id uuid, receiver_id uuid,
               content text, client_id text, seen boolean, created_at timestamptz, recipient uuid, event_seq bigint)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    -- What is to be written, ordered by chat, then by arrival: index k of each array is one message.
    w_ord bigint[]; w_id uuid[]; w_chat uuid[]; w_sender uuid[]; w_receiver uuid[]; w_seq bigint[]; w_at timestamptz[];
    others bigint[]; -- the members that are refused or repeated
    low uuid; high uuid; low_seq bigint; high_seq bigint; -- the two of a single direct message
BEGIN
    -- An idle server sends groups of one. Plain statements over single rows start much faster than those over sets.
    IF cardinality(ids) = 1 AND (client_ids[1] IS NULL OR NOT EXISTS (
        SELECT FROM messages r WHERE r.sender_id = senders[1] AND r.client_id = client_ids[1]))
    THEN
        UPDATE chats c
        SET last_seq = c.last_seq + 1, last_message_at = greatest(clock_timestamp(), c.last_message_at)
        FROM contacts t
        WHERE t.user_id = senders[1] AND t.contact_id = receivers[1] AND c.id = t.chat_id
        RETURNING c.id, c.last_seq, c.last_message_at INTO chat_id, seq, created_at;
        IF FOUND THEN
            INSERT INTO messages (chat_id, seq, id, sender_id, created_at, content, client_id)
            VALUES (chat_id, seq, ids[1], senders[1], created_at, contents[1], client_ids[1]);
            UPDATE members m
            SET own_after_read = m.own_after_read + CASE m.user_id WHEN senders[1] THEN 1 ELSE 0 END,
                last_seq = message_append.seq, last_message_at = message_append.created_at, last_id = ids[1],
                last_sender_id = senders[1], last_client_id = client_ids[1],
                last_content = CASE WHEN char_length(contents[1]) <= 300 THEN contents[1] END, last_is_seen = false
            WHERE m.chat_id = message_append.chat_id;

            low := least(senders[1], receivers[1]);
            high := greatest(senders[1], receivers[1]);
            UPDATE users u SET event_seq = u.event_seq + 1 WHERE u.id = low RETURNING u.event_seq INTO low_seq;
            UPDATE users u SET event_seq = u.event_seq + 1 WHERE u.id = high RETURNING u.event_seq INTO high_seq;
            INSERT INTO events (user_id, seq, type, chat_id, message_seq, created_at, origin)
            VALUES (low, low_seq, 'private-message', chat_id, seq, created_at, origins[1]),
                   (high, high_seq, 'private-message', chat_id, seq, created_at, origins[1]);

            ord := 1; status := 'CREATED'; id := ids[1]; sender_id := senders[1]; receiver_id := receivers[1];
            seen := false;
            recipient := low; event_seq := low_seq;
            RETURN NEXT;
            recipient := high; event_seq := high_seq;
            RETURN NEXT;
            RETURN;
        END IF;
    END IF;

    -- 1. Who may write where, and what is there already.
    SELECT array_agg(v.ord) FILTER (WHERE v.is_new), array_agg(v.id) FILTER (WHERE v.is_new),
           array_agg(v.chat) FILTER (WHERE v.is_new), array_agg(v.sender) FILTER (WHERE v.is_new),
           array_agg(v.peer) FILTER (WHERE v.is_new), array_agg(v.ord) FILTER (WHERE NOT v.is_new)
    INTO w_ord, w_id, w_chat, w_sender, w_receiver, others
    FROM (
        SELECT a.*, a.chat IS NOT NULL AND NOT a.is_repeat
               AND (a.client_id IS NULL OR row_number() OVER (
                   PARTITION BY a.sender, a.client_id, a.chat IS NULL ORDER BY a.ord) = 1) AS is_new
        FROM (
            SELECT q.ord, q.id, q.sender, q.client_id, c.contact_id AS peer, coalesce(c.chat_id, g.chat_id) AS chat,
                   r.id IS NOT NULL AS is_repeat
            FROM unnest(ids, senders, receivers, chat_ids, client_ids)
                WITH ORDINALITY q (id, sender, receiver, chat, client_id, ord)
            LEFT JOIN chats h ON h.id = q.chat
            LEFT JOIN contacts c ON c.user_id = q.sender AND c.contact_id = coalesce(q.receiver,
                CASE q.sender WHEN h.low_id THEN h.high_id WHEN h.high_id THEN h.low_id END)
            LEFT JOIN members g ON g.chat_id = h.id AND g.user_id = q.sender AND h.kind = 'group'
            LEFT JOIN messages r ON r.sender_id = q.sender AND r.client_id = q.client_id
        ) a
        ORDER BY a.chat, a.ord
    ) v;

    IF w_ord IS NOT NULL THEN
        -- 2. The chats are locked and counted up, and the messages written.
        WITH locked AS MATERIALIZED (
            SELECT c.id AS chat, d.first, d.messages
            FROM (SELECT q.chat, min(q.k) AS first, count(*) AS messages
                  FROM unnest(w_chat) WITH ORDINALITY q (chat, k) GROUP BY q.chat) d
            JOIN chats c ON c.id = d.chat
            ORDER BY c.id FOR NO KEY UPDATE OF c
        ),
        counted AS (
            UPDATE chats c
            SET last_seq = c.last_seq + d.messages, last_message_at = greatest(clock_timestamp(), c.last_message_at)
            FROM locked d
            WHERE c.id = d.chat
            RETURNING c.id AS chat, d.first, d.messages, c.last_seq, c.last_seq - d.messages AS before,
                      c.last_message_at AS at
        ),
        placed AS (
            SELECT d.first + n.nth AS k, d.before + n.nth + 1 AS seq, d.at
            FROM counted d, generate_series(0, d.messages - 1) n (nth)
        ),
        written AS (
            INSERT INTO messages (chat_id, seq, id, sender_id, created_at, content, client_id)
            SELECT w_chat[p.k], p.seq, w_id[p.k], w_sender[p.k], p.at, contents[w_ord[p.k]], client_ids[w_ord[p.k]]
            FROM placed p
        ),
        noted AS (
            -- Of a group, only the senders' own counts: its newest message is not repeated.
            UPDATE members m
            SET own_after_read = m.own_after_read + d.own, last_seq = c.last_seq, last_message_at = c.at,
                last_id = w_id[d.last], last_sender_id = w_sender[d.last], last_client_id = client_ids[w_ord[d.last]],
                last_content = CASE WHEN char_length(contents[w_ord[d.last]]) <= 300 THEN contents[w_ord[d.last]] END,
                last_is_seen = false
            FROM (SELECT q.chat, u.member, count(*) FILTER (WHERE u.member = q.sender) AS own, max(q.k) AS last
                  FROM unnest(w_chat, w_sender, w_receiver) WITH ORDINALITY q (chat, sender, receiver, k),
                       unnest(ARRAY[q.sender, q.receiver]) u (member)
                  GROUP BY q.chat, u.member) d
            JOIN counted c ON c.chat = d.chat
            WHERE m.chat_id = d.chat AND m.user_id = d.member
        )
        SELECT array_agg(p.seq ORDER BY p.k), array_agg(p.at ORDER BY p.k) INTO w_seq, w_at FROM placed p;

        -- 3. Every member of the chat is told: their counters, then the log.
        RETURN QUERY
        WITH locked AS MATERIALIZED (
            SELECT u.id, d.messages
            FROM (SELECT m.user_id, array_agg(q.k ORDER BY q.ord) AS messages
                  FROM unnest(w_chat, w_ord) WITH ORDINALITY q (chat, ord, k) JOIN members m ON m.chat_id = q.chat
                  GROUP BY m.user_id) d
            JOIN users u ON u.id = d.user_id
            ORDER BY u.id FOR NO KEY UPDATE OF u
        ),
        counted AS (
            UPDATE users u SET event_seq = u.event_seq + cardinality(d.messages)
            FROM locked d
            WHERE u.id = d.id
            RETURNING u.id, u.event_seq - cardinality(d.messages) AS before, d.messages
        ),
        placed AS (
            SELECT d.id AS recipient, d.before + n.nth AS seq, n.k
            FROM counted d, unnest(d.messages) WITH ORDINALITY n (k, nth)
        ),
        logged AS (
            INSERT INTO events (user_id, seq, type, chat_id, message_seq, created_at, origin)
            SELECT p.recipient, p.seq, 'private-message', w_chat[p.k], w_seq[p.k], w_at[p.k], origins[w_ord[p.k]]
            FROM placed p
        )
        SELECT w_ord[p.k], 'CREATED', w_id[p.k], w_chat[p.k], w_seq[p.k], w_sender[p.k], w_receiver[p.k],
               NULL::text, NULL::text, false, w_at[p.k], p.recipient, p.seq
        FROM placed p;
    END IF;

    -- 4. The rest: what was written before, by this group perhaps, and what is refused.
    IF others IS NOT NULL THEN
        RETURN QUERY
        SELECT q.ord, CASE WHEN m.id IS NULL THEN 'FORBIDDEN' ELSE 'OK' END, m.id, m.chat_id, m.seq, m.sender_id,
               p.user_id, m.content, m.client_id, coalesce(p.read_seq >= m.seq, false), m.created_at,
               NULL::uuid, NULL::bigint
        FROM unnest(others) q (ord)
        LEFT JOIN messages m ON m.sender_id = senders[q.ord] AND m.client_id = client_ids[q.ord]
        LEFT JOIN chats c ON c.id = m.chat_id AND c.kind = 'direct'
        LEFT JOIN members p ON p.chat_id = c.id
            AND p.user_id = CASE c.low_id WHEN m.sender_id THEN c.high_id ELSE c.low_id END;
    END IF;
END
$$;
