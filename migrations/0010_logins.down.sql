DROP FUNCTION prune_logins, user_delete, password_change, login_revoke, login_refresh, login_succeeded, login_failed,
              register_user;
ALTER TABLE users DROP COLUMN password_version, DROP COLUMN deleted_at;
COMMENT ON COLUMN members.contact_id IS 'Of a direct chat: the other member, while he is a contact.';
DROP INDEX logins_revoked, logins_over;
ALTER TABLE logins DROP COLUMN ip, DROP COLUMN user_agent, DROP COLUMN last_used_at, DROP COLUMN refresh_hash,
                   DROP COLUMN tokens_until, DROP COLUMN expires_at, DROP COLUMN revoked_at;

CREATE OR REPLACE FUNCTION friend_request_send(ids uuid[], senders uuid[], receivers uuid[])
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

CREATE OR REPLACE FUNCTION contact_remove(removers uuid[], contact_ids uuid[])
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

CREATE FUNCTION register_user(ids uuid[], usernames text[], hashes text[], login_ids uuid[], devices text[])
RETURNS TABLE (ord bigint, status text) LANGUAGE plpgsql AS $$
DECLARE
    asked record;
BEGIN
    -- By name, so that two servers that register the same names wait for each other in one order.
    FOR asked IN
        SELECT q.* FROM unnest(ids, usernames, hashes, login_ids, devices)
            WITH ORDINALITY q (id, username, hash, login_id, device, ord)
        ORDER BY q.username COLLATE "C", q.ord
    LOOP
        ord := asked.ord;
        INSERT INTO users (id, username, password_hash) VALUES (asked.id, asked.username, asked.hash)
            ON CONFLICT (username) DO NOTHING;
        IF FOUND THEN
            INSERT INTO logins (id, user_id, device) VALUES (asked.login_id, asked.id, asked.device);
            status := 'CREATED';
        ELSE
            status := 'USERNAME_TAKEN';
        END IF;
        RETURN NEXT;
    END LOOP;
END
$$;
COMMENT ON FUNCTION register_user IS 'Makes users, each with a first login. Status CREATED or USERNAME_TAKEN.';

CREATE FUNCTION login_failed(usernames text[], max_failures bigint[], lockout_minutes bigint[])
RETURNS TABLE (ord bigint, failures integer, locked_until timestamptz) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    asked record;
BEGIN
    FOR asked IN
        SELECT q.ord, q.username, q.max_failures, make_interval(mins => q.minutes::integer) AS lockout
        FROM unnest(usernames, max_failures, lockout_minutes) WITH ORDINALITY q (username, max_failures, minutes, ord)
        ORDER BY q.username COLLATE "C", q.ord
    LOOP
        ord := asked.ord;
        -- Failures that are older than a lock-out, or that a lock-out has paid for, are forgotten.
        INSERT INTO login_failures AS f (username, failures, locked_until, last_at)
        VALUES (asked.username, 1, NULL, now())
        ON CONFLICT (username) DO UPDATE SET
            failures = CASE WHEN f.last_at < now() - asked.lockout OR f.locked_until <= now() THEN 1
                            ELSE f.failures + 1 END,
            locked_until = CASE WHEN f.locked_until > now() THEN f.locked_until END,
            last_at = now()
        RETURNING f.failures INTO failures;

        UPDATE login_failures f
        SET locked_until = CASE WHEN f.failures >= asked.max_failures
                                THEN coalesce(f.locked_until, now() + asked.lockout) END
        WHERE f.username = asked.username
        RETURNING f.locked_until INTO locked_until;
        RETURN NEXT;
    END LOOP;
END
$$;
COMMENT ON FUNCTION login_failed IS 'Counts a failed login and locks the name when there have been too many.';

CREATE FUNCTION login_succeeded(usernames text[], user_ids uuid[], login_ids uuid[], devices text[])
RETURNS TABLE (ord bigint, status text) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    asked record;
BEGIN
    FOR asked IN
        SELECT q.* FROM unnest(usernames, user_ids, login_ids, devices)
            WITH ORDINALITY q (username, user_id, login_id, device, ord)
        ORDER BY q.username COLLATE "C", q.ord
    LOOP
        ord := asked.ord;
        -- Passwords are checked for a while: guesses that failed meanwhile may have locked the name.
        DELETE FROM login_failures f
        WHERE f.username = asked.username AND (f.locked_until IS NULL OR f.locked_until <= now());
        IF EXISTS (SELECT FROM login_failures f WHERE f.username = asked.username AND f.locked_until > now()) THEN
            status := 'ACCOUNT_LOCKED';
        ELSE
            INSERT INTO logins (id, user_id, device) VALUES (asked.login_id, asked.user_id, asked.device);
            status := 'OK';
        END IF;
        RETURN NEXT;
    END LOOP;
END
$$;
COMMENT ON FUNCTION login_succeeded IS 'Starts a login and forgets the failures. Status OK, or ACCOUNT_LOCKED when the name got locked meanwhile.';
