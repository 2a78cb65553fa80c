-- Chats and their members; contacts, who are the people one may write to; and the requests that lead there.

-- Both tables are updated with every message, and no index holds the columns that change. No CHECK either: it is parsed
-- anew by every statement that writes to the table, and costs a twentieth of a message. The newest message of a direct
-- chat lies with each of its members once more, so that a list of chats is a range of one table.
CREATE TYPE chat_kind AS ENUM ('direct', 'group');
CREATE TABLE chats (
    id uuid PRIMARY KEY DEFAULT uuid_v7(),
    kind chat_kind NOT NULL,
    low_id uuid REFERENCES users (id),
    high_id uuid REFERENCES users (id),
    last_seq bigint NOT NULL DEFAULT 0,
    last_message_at timestamptz,
    seen_seq bigint NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 60);
CREATE UNIQUE INDEX chats_pair ON chats (low_id, high_id) WHERE kind = 'direct';
COMMENT ON TABLE chats IS 'A history that its members share.';
COMMENT ON COLUMN chats.low_id IS 'Of a direct chat: the member with the lower id. A pair has one chat, whatever becomes of the contact.';
COMMENT ON COLUMN chats.last_seq IS 'The seq of the newest message; counted up under the row''s lock, so there are no holes.';
COMMENT ON COLUMN chats.last_message_at IS 'When it was written; null before the first.';
COMMENT ON COLUMN chats.seen_seq IS 'The newest message that somebody else than its sender has read.';

CREATE TABLE members (
    chat_id uuid NOT NULL REFERENCES chats (id),
    user_id uuid NOT NULL REFERENCES users (id),
    read_seq bigint NOT NULL DEFAULT 0,
    own_after_read bigint NOT NULL DEFAULT 0,
    joined_at timestamptz NOT NULL DEFAULT now(),
    role text NOT NULL DEFAULT 'member',
    contact_id uuid REFERENCES users (id),
    last_seq bigint NOT NULL DEFAULT 0,
    last_message_at timestamptz,
    last_id uuid,
    last_sender_id uuid,
    last_client_id text,
    last_content text,
    last_is_seen boolean NOT NULL DEFAULT false,
    PRIMARY KEY (chat_id, user_id)
) WITH (fillfactor = 60);
CREATE INDEX members_user ON members (user_id);
COMMENT ON TABLE members IS 'Who is in a chat and how far they have read. Unread = last_seq - read_seq - own_after_read (of a group: chats.last_seq).';
COMMENT ON COLUMN members.read_seq IS 'Messages up to this one have been read.';
COMMENT ON COLUMN members.contact_id IS 'Of a direct chat: the other member, while he is a contact.';
COMMENT ON COLUMN members.last_seq IS 'Of a direct chat: chats.last_seq, and with last_… the newest message.';
COMMENT ON COLUMN members.last_content IS 'Null when it is longer than 300 characters: then it is looked for after all.';
COMMENT ON COLUMN members.own_after_read IS 'How many messages after read_seq are the member''s own.';

CREATE TABLE contacts (
    user_id uuid NOT NULL REFERENCES users (id),
    contact_id uuid NOT NULL REFERENCES users (id),
    chat_id uuid NOT NULL REFERENCES chats (id),
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, contact_id) INCLUDE (chat_id) -- a list of contacts is read from the index alone
);
COMMENT ON TABLE contacts IS 'Who may write to whom; always both directions.';
COMMENT ON COLUMN contacts.chat_id IS 'The pair''s direct chat: one look tells a sender''s right and where the message goes.';

CREATE TABLE friend_requests (
    id uuid PRIMARY KEY DEFAULT uuid_v7(),
    from_id uuid NOT NULL REFERENCES users (id),
    to_id uuid NOT NULL REFERENCES users (id),
    status text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'accepted', 'rejected')),
    created_at timestamptz NOT NULL DEFAULT now(),
    answered_at timestamptz,
    CHECK (from_id <> to_id)
);
CREATE UNIQUE INDEX friend_requests_pair ON friend_requests (least(from_id, to_id), greatest(from_id, to_id))
    WHERE status = 'pending';
CREATE INDEX friend_requests_from ON friend_requests (from_id, created_at) WHERE status = 'pending';
CREATE INDEX friend_requests_to ON friend_requests (to_id, created_at) WHERE status = 'pending';
COMMENT ON TABLE friend_requests IS 'Requests to become contacts; a pair has one pending at most, in one direction.';

CREATE FUNCTION friend_request_send(ids uuid[], senders uuid[], receivers uuid[])
RETURNS TABLE (ord bigint, status text, user_id uuid, event_seq bigint, type text, payload text, origin uuid)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    asked record;
    sender_name text;
    pending_from uuid;
    ords bigint[]; statuses text[]; recipients uuid[]; payloads text[];
BEGIN
    -- By pair, so that two servers wait for each other in one order.
    FOR asked IN
        SELECT q.* FROM unnest(ids, senders, receivers) WITH ORDINALITY q (id, sender, receiver, ord)
        ORDER BY least(q.sender, q.receiver), greatest(q.sender, q.receiver), q.ord
    LOOP
        SELECT u.username INTO sender_name FROM users u WHERE u.id = asked.sender;
        IF asked.sender = asked.receiver THEN
            status := 'SELF';
        ELSIF sender_name IS NULL OR NOT EXISTS (SELECT FROM users u WHERE u.id = asked.receiver) THEN
            status := 'NO_SUCH_USER';
        ELSIF EXISTS (SELECT FROM contacts c WHERE c.user_id = asked.sender AND c.contact_id = asked.receiver) THEN
            status := 'ALREADY_FRIENDS';
        ELSE
            INSERT INTO friend_requests (id, from_id, to_id) VALUES (asked.id, asked.sender, asked.receiver)
                ON CONFLICT (least(from_id, to_id), greatest(from_id, to_id)) WHERE status = 'pending' DO NOTHING;
            IF FOUND THEN
                status := 'OK';
            ELSE
                SELECT r.from_id INTO pending_from FROM friend_requests r
                WHERE least(r.from_id, r.to_id) = least(asked.sender, asked.receiver)
                  AND greatest(r.from_id, r.to_id) = greatest(asked.sender, asked.receiver) AND r.status = 'pending';
                status := CASE WHEN pending_from = asked.receiver THEN 'ALREADY_RECEIVED' ELSE 'ALREADY_SENT' END;
            END IF;
        END IF;
        ords := ords || asked.ord;
        statuses := statuses || status;
        recipients := array_append(recipients, CASE status WHEN 'OK' THEN asked.receiver END);
        payloads := array_append(payloads, CASE status WHEN 'OK' THEN
            format('{"senderId":"%s","senderName":%s,"createdAt":"%s"}', asked.sender, to_json(sender_name),
                   rfc3339(now())) END);
    END LOOP;
    RETURN QUERY SELECT * FROM event_append(ords, statuses, recipients,
        array_fill('friend_request_received'::text, ARRAY[cardinality(ords)]), payloads,
        array_fill(NULL::uuid, ARRAY[cardinality(ords)]));
END
$$;
COMMENT ON FUNCTION friend_request_send IS 'Status OK, SELF, NO_SUCH_USER, ALREADY_FRIENDS, ALREADY_SENT or ALREADY_RECEIVED.';

CREATE FUNCTION contact_make(one uuid, other uuid) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    low uuid := least(one, other);
    high uuid := greatest(one, other);
    chat uuid;
BEGIN
    INSERT INTO chats (kind, low_id, high_id) VALUES ('direct', low, high)
        ON CONFLICT (low_id, high_id) WHERE kind = 'direct' DO NOTHING;
    SELECT c.id INTO STRICT chat FROM chats c WHERE c.low_id = low AND c.high_id = high AND c.kind = 'direct';
    INSERT INTO members (chat_id, user_id, contact_id) VALUES (chat, low, high), (chat, high, low)
        ON CONFLICT (chat_id, user_id) DO UPDATE SET contact_id = excluded.contact_id;
    INSERT INTO contacts (user_id, contact_id, chat_id) VALUES (low, high, chat), (high, low, chat)
        ON CONFLICT DO NOTHING;
END
$$;
COMMENT ON FUNCTION contact_make IS 'Makes two users contacts, with a chat of their own: the one they had before, or a new one.';

CREATE FUNCTION friend_request_accept(accepters uuid[], requesters uuid[], requesters_online boolean[])
RETURNS TABLE (ord bigint, status text, user_id uuid, event_seq bigint, type text, payload text, origin uuid)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    asked record;
    accepter users;
    requester users;
    ords bigint[]; statuses text[]; recipients uuid[]; types text[]; payloads text[];
BEGIN
    FOR asked IN
        SELECT q.* FROM unnest(accepters, requesters, requesters_online)
            WITH ORDINALITY q (accepter, requester, online, ord)
        ORDER BY least(q.accepter, q.requester), greatest(q.accepter, q.requester), q.ord
    LOOP
        UPDATE friend_requests r SET status = 'accepted', answered_at = now()
        WHERE r.from_id = asked.requester AND r.to_id = asked.accepter AND r.status = 'pending';
        IF NOT FOUND THEN
            ords := ords || asked.ord; statuses := statuses || 'NO_SUCH_REQUEST'::text;
            recipients := array_append(recipients, NULL); types := array_append(types, NULL);
            payloads := array_append(payloads, NULL);
            CONTINUE;
        END IF;
        PERFORM contact_make(asked.accepter, asked.requester);
        SELECT u.* INTO accepter FROM users u WHERE u.id = asked.accepter;
        SELECT u.* INTO requester FROM users u WHERE u.id = asked.requester;
        ords := ords || asked.ord || asked.ord;
        statuses := statuses || ARRAY['OK', 'OK'];
        recipients := recipients || requester.id || accepter.id;
        types := types || ARRAY['friend_request_accepted', 'contact_added'];
        payloads := payloads
            || format('{"accepterId":"%s","accepterName":%s}', accepter.id, to_json(accepter.username))
            || format('{"newContact":{"id":"%s","username":%s,"online":%s,"lastSeen":%s}}', requester.id,
                      to_json(requester.username), to_json(coalesce(asked.online, false)),
                      coalesce(to_json(rfc3339(requester.last_seen_at))::text, 'null'));
    END LOOP;
    RETURN QUERY SELECT * FROM event_append(ords, statuses, recipients, types, payloads,
        array_fill(NULL::uuid, ARRAY[cardinality(ords)]));
END
$$;
COMMENT ON FUNCTION friend_request_accept IS 'Status OK or NO_SUCH_REQUEST. The requester is told, and every device of the accepter gets the new contact.';

CREATE FUNCTION friend_request_reject(rejecters uuid[], requesters uuid[])
RETURNS TABLE (ord bigint, status text, user_id uuid, event_seq bigint, type text, payload text, origin uuid)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    asked record;
    ords bigint[]; statuses text[]; recipients uuid[]; payloads text[];
BEGIN
    FOR asked IN
        SELECT q.*, u.username
        FROM unnest(rejecters, requesters) WITH ORDINALITY q (rejecter, requester, ord)
        LEFT JOIN users u ON u.id = q.rejecter
        ORDER BY least(q.rejecter, q.requester), greatest(q.rejecter, q.requester), q.ord
    LOOP
        UPDATE friend_requests r SET status = 'rejected', answered_at = now()
        WHERE r.from_id = asked.requester AND r.to_id = asked.rejecter AND r.status = 'pending';
        status := CASE WHEN FOUND THEN 'OK' ELSE 'NO_SUCH_REQUEST' END;
        ords := ords || asked.ord;
        statuses := statuses || status;
        recipients := array_append(recipients, CASE status WHEN 'OK' THEN asked.requester END);
        payloads := array_append(payloads, CASE status WHEN 'OK' THEN
            format('{"rejecterId":"%s","rejecterName":%s}', asked.rejecter, to_json(asked.username)) END);
    END LOOP;
    RETURN QUERY SELECT * FROM event_append(ords, statuses, recipients,
        array_fill('friend_request_rejected'::text, ARRAY[cardinality(ords)]), payloads,
        array_fill(NULL::uuid, ARRAY[cardinality(ords)]));
END
$$;
COMMENT ON FUNCTION friend_request_reject IS 'Status OK or NO_SUCH_REQUEST. The requester is told.';

CREATE FUNCTION contact_remove(removers uuid[], contact_ids uuid[])
RETURNS TABLE (ord bigint, status text, user_id uuid, event_seq bigint, type text, payload text, origin uuid)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    asked record;
BEGIN
    FOR asked IN
        SELECT q.ord, least(q.one, q.other) AS low, greatest(q.one, q.other) AS high
        FROM unnest(removers, contact_ids) WITH ORDINALITY q (one, other, ord) ORDER BY 2, 3, 1
    LOOP
        ord := asked.ord;
        DELETE FROM contacts c WHERE c.user_id = asked.low AND c.contact_id = asked.high;
        status := CASE WHEN FOUND THEN 'OK' ELSE 'NO_SUCH_CONTACT' END;
        DELETE FROM contacts c WHERE c.user_id = asked.high AND c.contact_id = asked.low;
        UPDATE members m SET contact_id = NULL FROM chats h
        WHERE h.low_id = asked.low AND h.high_id = asked.high AND h.kind = 'direct' AND m.chat_id = h.id;
        RETURN NEXT;
    END LOOP;
END
$$;
COMMENT ON FUNCTION contact_remove IS 'Both directions; the chat and its messages stay. Status OK or NO_SUCH_CONTACT.';
