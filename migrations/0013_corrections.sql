-- What was wrong in the functions. Each can still be called as before, by nodes that are older.

-- Two factors are enabled for the secret that the code was checked against, or not at all.

DROP FUNCTION two_factor_enable;
CREATE FUNCTION two_factor_enable(users uuid[], steps bigint[], hashes text[], ips text[], secrets text[] DEFAULT NULL)
RETURNS TABLE (ord bigint, status text) LANGUAGE plpgsql AS $$
DECLARE
    asked record;
BEGIN
    FOR asked IN
        SELECT q.* FROM unnest(users, steps, hashes, ips, secrets) WITH ORDINALITY q (id, step, hashes, ip, secret, ord)
        ORDER BY q.id, q.ord
    LOOP
        ord := asked.ord;
        UPDATE two_factors f SET enabled_at = now(), last_step = asked.step, failures = 0, locked_until = NULL
        WHERE f.user_id = asked.id AND f.enabled_at IS NULL AND f.secret = coalesce(asked.secret, f.secret);
        status := CASE WHEN FOUND THEN 'OK'
                       WHEN EXISTS (SELECT FROM two_factors f WHERE f.user_id = asked.id AND f.enabled_at IS NULL)
                       THEN 'CHANGED' ELSE 'CONFLICT' END;
        IF status = 'OK' THEN
            DELETE FROM recovery_codes c WHERE c.user_id = asked.id;
            INSERT INTO recovery_codes (user_id, hash) SELECT asked.id, unnest(string_to_array(asked.hashes, ','));
            PERFORM audit_note('two_factors_enabled', asked.id, NULL, asked.ip);
        END IF;
        RETURN NEXT;
    END LOOP;
END
$$;
COMMENT ON FUNCTION two_factor_enable IS 'Logins ask for a code from now on. `hashes`: those of the recovery codes, separated by commas. `secrets`: sealed as they were when the code was checked. Status OK, CHANGED when two factors were set up anew meanwhile, or CONFLICT.';

-- Names that were tried and never logged in are forgotten.

CREATE FUNCTION prune_login_failures(lockout_minutes bigint[], max_rows bigint[])
RETURNS TABLE (ord bigint, pruned bigint) LANGUAGE plpgsql AS $$
BEGIN
    ord := 1;
    WITH old AS MATERIALIZED (
        SELECT f.username FROM login_failures f
        WHERE f.last_at < now() - greatest(make_interval(mins => lockout_minutes[1]::integer), interval '1 day')
          AND coalesce(f.locked_until < now(), true)
        LIMIT max_rows[1] FOR UPDATE SKIP LOCKED
    ),
    gone AS (
        DELETE FROM login_failures f USING old WHERE f.username = old.username RETURNING 1
    )
    SELECT count(*) INTO pruned FROM gone;
    RETURN NEXT;
END
$$;
COMMENT ON FUNCTION prune_login_failures IS 'Takes out at most max_rows names whose failures count no more since a day. One member; returns how many.';

-- Chats are locked before their members and contacts by those too who make contacts and take them out, as who writes does:
-- two groups that met in two chats could deadlock.

CREATE FUNCTION chats_lock(ones uuid[], others uuid[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM unnest(ones, others) q (one, other)
    JOIN chats c ON c.kind = 'direct' AND c.low_id = least(q.one, q.other) AND c.high_id = greatest(q.one, q.other)
    ORDER BY c.id FOR NO KEY UPDATE OF c;
END
$$;
COMMENT ON FUNCTION chats_lock IS 'Locks the chats of pairs, those that there are, in the order in which everybody locks them.';

-- A cached list of chats is looked for by what changes with it.

ALTER TABLE users ADD COLUMN chats_removed bigint NOT NULL DEFAULT 0;
COMMENT ON COLUMN users.chats_removed IS 'Counted up when chats leave the list whose other member had deleted the account: neither an event nor the number of contacts tells that.';

CREATE OR REPLACE FUNCTION contact_remove(removers uuid[], contact_ids uuid[])
RETURNS TABLE (ord bigint, status text, user_id uuid, event_seq bigint, type text, payload text, origin uuid)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    asked record;
    left_behind uuid[]; -- those who have removed somebody without an account
BEGIN
    PERFORM chats_lock(removers, contact_ids);
    FOR asked IN
        SELECT q.ord, q.one AS remover, least(q.one, q.other) AS low, greatest(q.one, q.other) AS high
        FROM unnest(removers, contact_ids) WITH ORDINALITY q (one, other, ord) ORDER BY 3, 4, 1
    LOOP
        ord := asked.ord;
        DELETE FROM contacts c WHERE c.user_id = asked.low AND c.contact_id = asked.high;
        status := CASE WHEN FOUND THEN 'OK' ELSE 'NO_SUCH_CONTACT' END;
        DELETE FROM contacts c WHERE c.user_id = asked.high AND c.contact_id = asked.low;
        UPDATE members m SET contact_id = NULL FROM chats h
        WHERE h.low_id = asked.low AND h.high_id = asked.high AND h.kind = 'direct' AND m.chat_id = h.id
          AND m.contact_id IS NOT NULL;
        IF FOUND AND status <> 'OK' THEN -- who has deleted his account is a contact of nobody any more
            status := 'OK';
            left_behind := left_behind || asked.remover;
        END IF;
        RETURN NEXT;
    END LOOP;
    PERFORM FROM users u WHERE u.id = ANY (left_behind) ORDER BY u.id FOR NO KEY UPDATE;
    UPDATE users u SET chats_removed = u.chats_removed + 1 WHERE u.id = ANY (left_behind);
END
$$;

-- As before, but for the order.

CREATE OR REPLACE FUNCTION friend_request_accept(accepters uuid[], requesters uuid[], requesters_online boolean[])
RETURNS TABLE (ord bigint, status text, user_id uuid, event_seq bigint, type text, payload text, origin uuid)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    asked record;
    accepter users;
    requester users;
    ords bigint[]; statuses text[]; recipients uuid[]; types text[]; payloads text[];
BEGIN
    PERFORM chats_lock(accepters, requesters);
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

CREATE OR REPLACE FUNCTION user_delete(user_ids uuid[], versions bigint[], ips text[])
RETURNS TABLE (ord bigint, status text, login_id uuid, user_id uuid, tokens_until timestamptz, contact_id uuid)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    asked record;
    friends uuid[];
    mine uuid;
    leaving uuid[] := '{}'; leaving_ords bigint[] := '{}';
    friend_ords bigint[] := '{}'; friend_ids uuid[] := '{}'; -- of all that leave
BEGIN
    -- What the group needs is locked in the order that everybody keeps, not account by account: chats, what hangs on
    -- them, and users last.
    PERFORM FROM chats c WHERE c.id IN (SELECT m.chat_id FROM members m WHERE m.user_id = ANY (user_ids))
    ORDER BY c.id FOR NO KEY UPDATE OF c;
    FOR asked IN
        SELECT q.* FROM unnest(user_ids, versions) WITH ORDINALITY q (user_id, version, ord) ORDER BY q.user_id, q.ord
    LOOP
        IF asked.user_id = ANY (leaving)
           OR NOT EXISTS (SELECT FROM users u WHERE u.id = asked.user_id AND u.password_version = asked.version) THEN
            CONTINUE;
        END IF;
        leaving := leaving || asked.user_id;
        leaving_ords := leaving_ords || asked.ord;
        DELETE FROM friend_requests r
        WHERE r.status = 'pending' AND (r.from_id = asked.user_id OR r.to_id = asked.user_id);
        friends := ARRAY(SELECT c.contact_id FROM contacts c WHERE c.user_id = asked.user_id ORDER BY 1);
        friend_ids := friend_ids || friends;
        friend_ords := friend_ords || array_fill(asked.ord, ARRAY[cardinality(friends)]);
        DELETE FROM contacts c USING unnest(friends) f (id) WHERE c.user_id = f.id AND c.contact_id = asked.user_id;
        DELETE FROM contacts c WHERE c.user_id = asked.user_id;
        -- The others keep theirs: their list still shows the chat.
        FOR mine IN SELECT m.chat_id FROM members m WHERE m.user_id = asked.user_id ORDER BY 1 LOOP
            UPDATE members m SET contact_id = NULL WHERE m.chat_id = mine AND m.user_id = asked.user_id;
        END LOOP;
    END LOOP;

    FOR asked IN
        SELECT q.* FROM unnest(user_ids, versions, ips) WITH ORDINALITY q (user_id, version, ip, ord)
        ORDER BY q.user_id, q.ord
    LOOP
        ord := asked.ord;
        user_id := asked.user_id;
        login_id := NULL;
        contact_id := NULL;
        IF asked.ord <> ALL (leaving_ords) THEN
            status := 'INVALID_CREDENTIALS';
            RETURN NEXT;
            CONTINUE;
        END IF;
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
        FOR contact_id IN SELECT f.id FROM unnest(friend_ords, friend_ids) f (ord, id) WHERE f.ord = asked.ord LOOP
            RETURN NEXT;
        END LOOP;
        RETURN QUERY SELECT asked.ord, r.status, r.login_id, r.user_id, r.tokens_until, NULL::uuid
            FROM login_revoke(ARRAY[asked.user_id], ARRAY[NULL]::uuid[], ARRAY[NULL]::uuid[], ARRAY[asked.ip]) r;
    END LOOP;
END
$$;
