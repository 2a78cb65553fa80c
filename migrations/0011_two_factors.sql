-- Two factors: a secret that an authenticator app has too, and codes for whoever lost it.

CREATE TABLE two_factors (
    user_id uuid PRIMARY KEY REFERENCES users (id),
    secret text NOT NULL,
    enabled_at timestamptz,
    last_step bigint NOT NULL DEFAULT 0,
    failures integer NOT NULL DEFAULT 0,
    locked_until timestamptz
);
COMMENT ON TABLE two_factors IS 'The second factor of users who have one, or are setting one up.';
COMMENT ON COLUMN two_factors.secret IS 'Of RFC 6238; sealed with AES-256-GCM under a key of TOTP_KEYS, for this user.';
COMMENT ON COLUMN two_factors.enabled_at IS 'Since when logins ask for it; null while it is being set up.';
COMMENT ON COLUMN two_factors.last_step IS 'The 30 s step, since 1970, of the newest code that was accepted: neither it nor one before is accepted again.';
COMMENT ON COLUMN two_factors.failures IS 'Wrong codes since the last right one, or the last lock-out.';

CREATE TABLE recovery_codes (
    user_id uuid NOT NULL REFERENCES two_factors (user_id) ON DELETE CASCADE,
    hash text COLLATE "C" NOT NULL,
    used_at timestamptz,
    PRIMARY KEY (user_id, hash)
);
COMMENT ON TABLE recovery_codes IS 'Ten for each user with two factors, each good once.';
COMMENT ON COLUMN recovery_codes.hash IS 'SHA-256 of the user''s id and the code, in hexadecimal.';

CREATE FUNCTION two_factor_setup(users uuid[], secrets text[], ips text[])
RETURNS TABLE (ord bigint, status text) LANGUAGE plpgsql AS $$
DECLARE
    asked record;
BEGIN
    FOR asked IN
        SELECT q.* FROM unnest(users, secrets, ips) WITH ORDINALITY q (id, secret, ip, ord) ORDER BY q.id, q.ord
    LOOP
        ord := asked.ord;
        INSERT INTO two_factors AS f (user_id, secret) VALUES (asked.id, asked.secret)
        ON CONFLICT (user_id) DO UPDATE SET secret = excluded.secret, last_step = 0 WHERE f.enabled_at IS NULL;
        status := CASE WHEN FOUND THEN 'OK' ELSE 'CONFLICT' END;
        IF FOUND THEN
            PERFORM audit_note('two_factors_set_up', asked.id, NULL, asked.ip);
        END IF;
        RETURN NEXT;
    END LOOP;
END
$$;
COMMENT ON FUNCTION two_factor_setup IS 'Begins, or begins anew. Status OK, or CONFLICT when two factors are enabled already.';

CREATE FUNCTION two_factor_enable(users uuid[], steps bigint[], hashes text[], ips text[])
RETURNS TABLE (ord bigint, status text) LANGUAGE plpgsql AS $$
DECLARE
    asked record;
BEGIN
    FOR asked IN
        SELECT q.* FROM unnest(users, steps, hashes, ips) WITH ORDINALITY q (id, step, hashes, ip, ord)
        ORDER BY q.id, q.ord
    LOOP
        ord := asked.ord;
        UPDATE two_factors f SET enabled_at = now(), last_step = asked.step, failures = 0, locked_until = NULL
        WHERE f.user_id = asked.id AND f.enabled_at IS NULL;
        status := CASE WHEN FOUND THEN 'OK' ELSE 'CONFLICT' END;
        IF FOUND THEN
            DELETE FROM recovery_codes c WHERE c.user_id = asked.id;
            INSERT INTO recovery_codes (user_id, hash) SELECT asked.id, unnest(string_to_array(asked.hashes, ','));
            PERFORM audit_note('two_factors_enabled', asked.id, NULL, asked.ip);
        END IF;
        RETURN NEXT;
    END LOOP;
END
$$;
COMMENT ON FUNCTION two_factor_enable IS 'Logins ask for a code from now on. `hashes`: those of the recovery codes, separated by commas. Status OK or CONFLICT.';

CREATE FUNCTION two_factor_use(users uuid[], steps bigint[], hashes text[], ips text[])
RETURNS TABLE (ord bigint, status text) LANGUAGE plpgsql AS $$
DECLARE
    asked record;
BEGIN
    FOR asked IN
        SELECT q.* FROM unnest(users, steps, hashes, ips) WITH ORDINALITY q (id, step, hash, ip, ord)
        ORDER BY q.id, q.ord
    LOOP
        ord := asked.ord;
        -- The row's lock lets one of two who bring the same code through.
        PERFORM FROM two_factors f
        WHERE f.user_id = asked.id AND f.enabled_at IS NOT NULL AND coalesce(f.locked_until <= now(), true)
        FOR NO KEY UPDATE;
        IF NOT FOUND THEN
            status := 'ACCOUNT_LOCKED';
        ELSIF asked.hash IS NULL THEN
            UPDATE two_factors f SET last_step = asked.step, failures = 0
            WHERE f.user_id = asked.id AND f.last_step < asked.step;
            status := CASE WHEN FOUND THEN 'OK' ELSE 'INVALID_CREDENTIALS' END;
        ELSE
            UPDATE recovery_codes c SET used_at = now()
            WHERE c.user_id = asked.id AND c.hash = asked.hash AND c.used_at IS NULL;
            status := CASE WHEN FOUND THEN 'OK' ELSE 'INVALID_CREDENTIALS' END;
            IF FOUND THEN
                UPDATE two_factors f SET failures = 0 WHERE f.user_id = asked.id;
                PERFORM audit_note('recovery_code_used', asked.id, NULL, asked.ip);
            END IF;
        END IF;
        RETURN NEXT;
    END LOOP;
END
$$;
COMMENT ON FUNCTION two_factor_use IS 'Takes a code that is right, by its step or (not null) the hash of a recovery code, once. Status OK, INVALID_CREDENTIALS when it was used before, ACCOUNT_LOCKED.';

CREATE FUNCTION two_factor_fail(users uuid[], max_failures bigint[], lockout_minutes bigint[], ips text[])
RETURNS TABLE (ord bigint, status text) LANGUAGE plpgsql AS $$
DECLARE
    asked record;
    is_too_many boolean;
BEGIN
    FOR asked IN
        SELECT q.* FROM unnest(users, max_failures, lockout_minutes, ips) WITH ORDINALITY q (id, max, minutes, ip, ord)
        ORDER BY q.id, q.ord
    LOOP
        ord := asked.ord;
        UPDATE two_factors f
        SET failures = CASE WHEN f.failures + 1 >= asked.max THEN 0 ELSE f.failures + 1 END,
            locked_until = CASE WHEN f.failures + 1 >= asked.max THEN now() + make_interval(mins => asked.minutes::integer)
                                ELSE f.locked_until END
        WHERE f.user_id = asked.id AND coalesce(f.locked_until <= now(), true)
        RETURNING f.failures = 0 INTO is_too_many;
        status := CASE WHEN FOUND THEN 'INVALID_CREDENTIALS' ELSE 'ACCOUNT_LOCKED' END;
        PERFORM audit_note('two_factors_failed', asked.id, NULL, asked.ip);
        IF is_too_many THEN
            PERFORM audit_note('two_factors_locked_out', asked.id, NULL, asked.ip);
        END IF;
        RETURN NEXT;
    END LOOP;
END
$$;
COMMENT ON FUNCTION two_factor_fail IS 'Counts a wrong code and locks the second factor when there have been too many. Status INVALID_CREDENTIALS, or ACCOUNT_LOCKED when it was locked already.';

CREATE FUNCTION two_factor_disable(users uuid[], ips text[])
RETURNS TABLE (ord bigint, status text) LANGUAGE plpgsql AS $$
DECLARE
    asked record;
BEGIN
    FOR asked IN SELECT q.* FROM unnest(users, ips) WITH ORDINALITY q (id, ip, ord) ORDER BY q.id, q.ord LOOP
        ord := asked.ord;
        DELETE FROM two_factors f WHERE f.user_id = asked.id;
        status := CASE WHEN FOUND THEN 'OK' ELSE 'CONFLICT' END;
        IF FOUND THEN
            PERFORM audit_note('two_factors_disabled', asked.id, NULL, asked.ip);
        END IF;
        RETURN NEXT;
    END LOOP;
END
$$;
COMMENT ON FUNCTION two_factor_disable IS 'Forgets the secret and the recovery codes. Status OK, or CONFLICT when there are none.';

CREATE FUNCTION two_factor_forget() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM two_factors f WHERE f.user_id = NEW.id;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION two_factor_forget() IS 'An account that is deleted leaves no second factor behind.';
CREATE TRIGGER two_factor_forget AFTER UPDATE OF deleted_at ON users
    FOR EACH ROW WHEN (NEW.deleted_at IS NOT NULL) EXECUTE FUNCTION two_factor_forget();
