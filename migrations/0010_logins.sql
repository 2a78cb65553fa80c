-- Logins that are known by device and place, are refreshed, and end; passwords that change; accounts that go.

-- Tokens from before this migration were issued for at most ten years (JWT_EXPIRES_IN): for so long their logins can be
-- revoked. They cannot be refreshed.
ALTER TABLE logins
    ADD COLUMN ip text,
    ADD COLUMN user_agent text,
    ADD COLUMN last_used_at timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN refresh_hash bytea,
    ADD COLUMN tokens_until timestamptz NOT NULL DEFAULT 'infinity',
    ADD COLUMN expires_at timestamptz NOT NULL DEFAULT 'infinity',
    ADD COLUMN revoked_at timestamptz;
UPDATE logins SET last_used_at = created_at, tokens_until = created_at + interval '10 years',
                  expires_at = created_at + interval '30 days';
ALTER TABLE logins ALTER COLUMN tokens_until DROP DEFAULT, ALTER COLUMN expires_at DROP DEFAULT;
CREATE INDEX logins_revoked ON logins (revoked_at) WHERE revoked_at IS NOT NULL;
CREATE INDEX logins_over ON logins (greatest(expires_at, tokens_until));
COMMENT ON COLUMN logins.ip IS 'From where it was begun or last refreshed.';
COMMENT ON COLUMN logins.user_agent IS 'The User-Agent header of that request.';
COMMENT ON COLUMN logins.last_used_at IS 'When it was begun or last refreshed.';
COMMENT ON COLUMN logins.refresh_hash IS 'SHA-256 of the one refresh token that is good; null for logins that have none.';
COMMENT ON COLUMN logins.tokens_until IS 'When the last token that was issued for it expires.';
COMMENT ON COLUMN logins.expires_at IS 'When its refresh token expires.';
COMMENT ON COLUMN logins.revoked_at IS 'Since then none of its tokens is good. Servers look at it every few seconds, and when they hear of each other.';

ALTER TABLE users
    ADD COLUMN password_version bigint NOT NULL DEFAULT 0,
    ADD COLUMN deleted_at timestamptz;
COMMENT ON COLUMN users.password_version IS 'Counted up with each change of the password: what was checked before it does not count after it.';
COMMENT ON COLUMN users.deleted_at IS 'The account is gone; the row stays for those who were written to. Its name is free again.';
COMMENT ON COLUMN members.contact_id IS 'Of a direct chat: the other member, while he is a contact, or was one when he deleted his account.';

DROP FUNCTION register_user, login_failed, login_succeeded;

CREATE FUNCTION register_user(ids uuid[], usernames text[], hashes text[], login_ids uuid[], devices text[], ips text[],
                              user_agents text[], refresh_hashes text[], token_ends timestamptz[],
                              login_ends timestamptz[])
RETURNS TABLE (ord bigint, status text) LANGUAGE plpgsql AS $$
DECLARE
    asked record;
BEGIN
    -- By name, so that two servers that register the same names wait for each other in one order.
    FOR asked IN
        SELECT q.* FROM unnest(ids, usernames, hashes, login_ids, devices, ips, user_agents, refresh_hashes, token_ends,
                               login_ends)
            WITH ORDINALITY q (id, username, hash, login_id, device, ip, user_agent, refresh_hash, token_end, login_end,
                               ord)
        ORDER BY q.username COLLATE "C", q.ord
    LOOP
        ord := asked.ord;
        INSERT INTO users (id, username, password_hash) VALUES (asked.id, asked.username, asked.hash)
            ON CONFLICT (username) DO NOTHING;
        IF FOUND THEN
            INSERT INTO logins (id, user_id, device, ip, user_agent, refresh_hash, tokens_until, expires_at)
            VALUES (asked.login_id, asked.id, asked.device, asked.ip, asked.user_agent, decode(asked.refresh_hash, 'hex'),
                    asked.token_end, asked.login_end);
            PERFORM audit_note('registered', asked.id, asked.login_id, asked.ip);
            status := 'CREATED';
        ELSE
            status := 'USERNAME_TAKEN';
        END IF;
        RETURN NEXT;
    END LOOP;
END
$$;
COMMENT ON FUNCTION register_user IS 'Makes users, each with a first login. Status CREATED or USERNAME_TAKEN.';

CREATE FUNCTION login_failed(usernames text[], max_failures bigint[], lockout_minutes bigint[], ips text[])
RETURNS TABLE (ord bigint, failures integer, locked_until timestamptz) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    asked record;
    named uuid; -- whoever has the name
BEGIN
    FOR asked IN
        SELECT q.ord, q.username, q.max_failures, make_interval(mins => q.minutes::integer) AS lockout, q.ip
        FROM unnest(usernames, max_failures, lockout_minutes, ips)
            WITH ORDINALITY q (username, max_failures, minutes, ip, ord)
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

        SELECT u.id INTO named FROM users u WHERE u.username = asked.username;
        PERFORM audit_note('login_failed', named, NULL, asked.ip);
        IF failures = asked.max_failures THEN
            PERFORM audit_note('locked_out', named, NULL, asked.ip);
        END IF;
        RETURN NEXT;
    END LOOP;
END
$$;
COMMENT ON FUNCTION login_failed IS 'Counts a failed login and locks the name when there have been too many.';

CREATE FUNCTION login_succeeded(usernames text[], user_ids uuid[], versions bigint[], login_ids uuid[], devices text[],
                                ips text[], user_agents text[], refresh_hashes text[], token_ends timestamptz[],
                                login_ends timestamptz[])
RETURNS TABLE (ord bigint, status text) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    asked record;
    statuses text[] := array_fill('OK'::text, ARRAY[cardinality(usernames)]);
BEGIN
    FOR asked IN
        SELECT q.* FROM unnest(usernames) WITH ORDINALITY q (username, ord) ORDER BY q.username COLLATE "C", q.ord
    LOOP
        -- Passwords are checked for a while: guesses that failed meanwhile may have locked the name.
        DELETE FROM login_failures f
        WHERE f.username = asked.username AND (f.locked_until IS NULL OR f.locked_until <= now());
        IF EXISTS (SELECT FROM login_failures f WHERE f.username = asked.username AND f.locked_until > now()) THEN
            statuses[asked.ord] := 'ACCOUNT_LOCKED';
        END IF;
    END LOOP;
    -- Who changes the password, or deletes the account, waits for the logins of the old one, and finds them.
    FOR asked IN
        SELECT q.* FROM unnest(user_ids, versions, login_ids, devices, ips, user_agents, refresh_hashes, token_ends,
                               login_ends)
            WITH ORDINALITY q (user_id, version, login_id, device, ip, user_agent, refresh_hash, token_end, login_end, ord)
        ORDER BY q.user_id, q.ord
    LOOP
        ord := asked.ord;
        status := statuses[asked.ord];
        IF status = 'OK' THEN
            PERFORM FROM users u WHERE u.id = asked.user_id AND u.password_version = asked.version FOR NO KEY UPDATE;
            IF FOUND THEN
                INSERT INTO logins (id, user_id, device, ip, user_agent, refresh_hash, tokens_until, expires_at)
                VALUES (asked.login_id, asked.user_id, asked.device, asked.ip, asked.user_agent,
                        decode(asked.refresh_hash, 'hex'), asked.token_end, asked.login_end);
                PERFORM audit_note('logged_in', asked.user_id, asked.login_id, asked.ip);
            ELSE
                status := 'INVALID_CREDENTIALS';
            END IF;
        END IF;
        RETURN NEXT;
    END LOOP;
END
$$;
COMMENT ON FUNCTION login_succeeded IS 'Starts a login and forgets the failures. Status OK, ACCOUNT_LOCKED when the name got locked meanwhile, or INVALID_CREDENTIALS when the password changed.';

CREATE FUNCTION login_refresh(login_ids uuid[], hashes text[], next_hashes text[], ips text[], user_agents text[],
                              token_ends timestamptz[], login_ends timestamptz[])
RETURNS TABLE (ord bigint, status text, login_id uuid, user_id uuid, tokens_until timestamptz, username text)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    asked record;
BEGIN
    FOR asked IN
        SELECT q.* FROM unnest(login_ids, hashes, next_hashes, ips, user_agents, token_ends, login_ends)
            WITH ORDINALITY q (id, hash, next_hash, ip, user_agent, token_end, login_end, ord)
        ORDER BY q.id, q.ord
    LOOP
        ord := asked.ord;
        UPDATE logins l
        SET refresh_hash = decode(asked.next_hash, 'hex'), ip = asked.ip, user_agent = asked.user_agent,
            last_used_at = now(), tokens_until = greatest(l.tokens_until, asked.token_end), expires_at = asked.login_end
        FROM users u
        WHERE l.id = asked.id AND l.refresh_hash = decode(asked.hash, 'hex') AND l.revoked_at IS NULL
          AND l.expires_at > now() AND u.id = l.user_id
        RETURNING l.id, l.user_id, l.tokens_until, u.username INTO login_id, user_id, tokens_until, username;
        IF FOUND THEN
            status := 'OK';
        ELSE
            -- The server made the token, and it is not the newest: one of the two who have it has stolen it.
            UPDATE logins l SET revoked_at = clock_timestamp()
            WHERE l.id = asked.id AND l.refresh_hash <> decode(asked.hash, 'hex') AND l.revoked_at IS NULL
            RETURNING l.id, l.user_id, l.tokens_until INTO login_id, user_id, tokens_until;
            status := CASE WHEN FOUND THEN 'REUSED' ELSE 'UNAUTHORIZED' END;
            IF status = 'REUSED' THEN
                PERFORM audit_note('refresh_reused', user_id, login_id, asked.ip);
            END IF;
        END IF;
        RETURN NEXT;
    END LOOP;
END
$$;
COMMENT ON FUNCTION login_refresh IS 'Puts a new refresh token in the place of the one whose hash it is. Status OK; REUSED when it is an older one of the login, which is revoked; UNAUTHORIZED when the login has ended. login_id is null then.';

CREATE FUNCTION login_revoke(user_ids uuid[], only_ids uuid[], spared_ids uuid[], ips text[])
RETURNS TABLE (ord bigint, status text, login_id uuid, user_id uuid, tokens_until timestamptz) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    asked record;
BEGIN
    FOR asked IN
        SELECT q.ord, l.id, q.ip
        FROM unnest(user_ids, only_ids, spared_ids, ips) WITH ORDINALITY q (user_id, one, spared, ip, ord)
        JOIN logins l ON l.user_id = q.user_id
        WHERE l.revoked_at IS NULL AND greatest(l.expires_at, l.tokens_until) > now()
          AND (q.one IS NULL OR l.id = q.one) AND (q.spared IS NULL OR l.id <> q.spared)
        ORDER BY l.id, q.ord
    LOOP
        UPDATE logins l SET revoked_at = clock_timestamp() WHERE l.id = asked.id AND l.revoked_at IS NULL
        RETURNING l.id, l.user_id, l.tokens_until INTO login_id, user_id, tokens_until;
        IF FOUND THEN
            PERFORM audit_note('login_ended', user_id, login_id, asked.ip);
            ord := asked.ord;
            status := 'OK';
            RETURN NEXT;
        END IF;
    END LOOP;
END
$$;
COMMENT ON FUNCTION login_revoke IS 'Ends logins of a user: one, or all but one, or all. A row each.';

CREATE FUNCTION password_change(user_ids uuid[], versions bigint[], hashes text[], spared_ids uuid[], ips text[])
RETURNS TABLE (ord bigint, status text, login_id uuid, user_id uuid, tokens_until timestamptz) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    asked record;
BEGIN
    FOR asked IN
        SELECT q.* FROM unnest(user_ids, versions, hashes, spared_ids, ips)
            WITH ORDINALITY q (user_id, version, hash, spared, ip, ord)
        ORDER BY q.user_id, q.ord
    LOOP
        ord := asked.ord;
        login_id := NULL;
        UPDATE users u SET password_hash = asked.hash, password_version = u.password_version + 1
        WHERE u.id = asked.user_id AND u.password_version = asked.version;
        status := CASE WHEN FOUND THEN 'OK' ELSE 'INVALID_CREDENTIALS' END;
        RETURN NEXT;
        IF status = 'OK' THEN
            PERFORM audit_note('password_changed', asked.user_id, NULL, asked.ip);
            RETURN QUERY SELECT asked.ord, r.status, r.login_id, r.user_id, r.tokens_until
                FROM login_revoke(ARRAY[asked.user_id], ARRAY[NULL]::uuid[], ARRAY[asked.spared], ARRAY[asked.ip]) r;
        END IF;
    END LOOP;
END
$$;
COMMENT ON FUNCTION password_change IS 'Changes a password that is still the one that was checked, and ends the user''s logins but one: first a row without a login, then a row each. Status OK or INVALID_CREDENTIALS.';

CREATE FUNCTION user_delete(user_ids uuid[], versions bigint[], ips text[])
RETURNS TABLE (ord bigint, status text, login_id uuid, user_id uuid, tokens_until timestamptz, contact_id uuid)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    asked record;
    friends uuid[];
    mine uuid;
BEGIN
    FOR asked IN
        SELECT q.* FROM unnest(user_ids, versions, ips) WITH ORDINALITY q (user_id, version, ip, ord)
        ORDER BY q.user_id, q.ord
    LOOP
        ord := asked.ord;
        user_id := asked.user_id;
        login_id := NULL;
        contact_id := NULL;
        IF NOT EXISTS (SELECT FROM users u WHERE u.id = asked.user_id AND u.password_version = asked.version) THEN
            status := 'INVALID_CREDENTIALS';
            RETURN NEXT;
            CONTINUE;
        END IF;
        DELETE FROM friend_requests r
        WHERE r.status = 'pending' AND (r.from_id = asked.user_id OR r.to_id = asked.user_id);
        friends := ARRAY(SELECT c.contact_id FROM contacts c WHERE c.user_id = asked.user_id ORDER BY 1);
        DELETE FROM contacts c USING unnest(friends) f (id) WHERE c.user_id = f.id AND c.contact_id = asked.user_id;
        DELETE FROM contacts c WHERE c.user_id = asked.user_id;
        -- The others keep theirs: their list still shows the chat.
        FOR mine IN SELECT m.chat_id FROM members m WHERE m.user_id = asked.user_id ORDER BY 1 LOOP
            UPDATE members m SET contact_id = NULL WHERE m.chat_id = mine AND m.user_id = asked.user_id;
        END LOOP;
        -- No name that can be registered has a space. A new name is a new key, so that this waits for everybody who is
        -- about to refer to the user.
        UPDATE users u
        SET username = 'deleted user ' || right(u.id::text, 12), password_hash = '', last_seen_at = NULL,
            password_version = u.password_version + 1, deleted_at = now()
        WHERE u.id = asked.user_id AND u.password_version = asked.version;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'the password has changed meanwhile' USING ERRCODE = 'serialization_failure';
        END IF;
        DELETE FROM friend_requests r -- those that it has waited for
        WHERE r.status = 'pending' AND (r.from_id = asked.user_id OR r.to_id = asked.user_id);
        UPDATE logins l SET device = NULL, ip = NULL, user_agent = NULL, refresh_hash = NULL
        WHERE l.user_id = asked.user_id;
        PERFORM audit_note('account_deleted', asked.user_id, NULL, asked.ip);
        status := 'OK';
        RETURN NEXT;
        FOR contact_id IN SELECT f.id FROM unnest(friends) f (id) LOOP
            RETURN NEXT;
        END LOOP;
        RETURN QUERY SELECT asked.ord, r.status, r.login_id, r.user_id, r.tokens_until, NULL::uuid
            FROM login_revoke(ARRAY[asked.user_id], ARRAY[NULL]::uuid[], ARRAY[NULL]::uuid[], ARRAY[asked.ip]) r;
    END LOOP;
END
$$;
COMMENT ON FUNCTION user_delete IS 'Takes an account out: its name, contacts, pending requests and logins go, its chats and messages stay for the others. A row without contact and login, then a row for each contact, then for each login. Status OK or INVALID_CREDENTIALS.';

CREATE FUNCTION prune_logins(max_rows bigint[]) RETURNS TABLE (ord bigint, pruned bigint) LANGUAGE plpgsql AS $$
BEGIN
    ord := 1;
    WITH old AS MATERIALIZED (
        SELECT l.id FROM logins l WHERE greatest(l.expires_at, l.tokens_until) < now() - interval '1 day'
        LIMIT max_rows[1] FOR UPDATE SKIP LOCKED
    ),
    gone AS (
        DELETE FROM logins l USING old WHERE l.id = old.id RETURNING 1
    )
    SELECT count(*) INTO pruned FROM gone;
    RETURN NEXT;
END
$$;
COMMENT ON FUNCTION prune_logins IS 'Takes out at most max_rows logins of which nothing is good any more since a day. One member; returns how many.';

-- As before, but for accounts that are gone.

CREATE OR REPLACE FUNCTION friend_request_send(ids uuid[], senders uuid[], receivers uuid[])
RETURNS TABLE (ord bigint, status text, user_id uuid, event_seq bigint, type text, payload text, origin uuid)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    asked record;
    sender_name text;
    pending_from uuid;
    receiver_exists boolean;
    ords bigint[]; statuses text[]; recipients uuid[]; payloads text[];
BEGIN
    -- By pair, so that two servers wait for each other in one order.
    FOR asked IN
        SELECT q.* FROM unnest(ids, senders, receivers) WITH ORDINALITY q (id, sender, receiver, ord)
        ORDER BY least(q.sender, q.receiver), greatest(q.sender, q.receiver), q.ord
    LOOP
        -- Accounts that are just being deleted are waited for.
        SELECT u.username INTO sender_name FROM users u WHERE u.id = asked.sender AND u.deleted_at IS NULL FOR KEY SHARE;
        PERFORM FROM users u WHERE u.id = asked.receiver AND u.deleted_at IS NULL FOR KEY SHARE;
        receiver_exists := FOUND;
        IF asked.sender = asked.receiver THEN
            status := 'SELF';
        ELSIF sender_name IS NULL OR NOT receiver_exists THEN
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
        WHERE h.low_id = asked.low AND h.high_id = asked.high AND h.kind = 'direct' AND m.chat_id = h.id
          AND m.contact_id IS NOT NULL;
        IF FOUND THEN -- also one who has deleted his account, and is a contact of nobody any more
            status := 'OK';
        END IF;
        RETURN NEXT;
    END LOOP;
END
$$;
