-- Who may come in: users, their login sessions, and the count of failed attempts.
--
-- Functions that the server calls take arrays, one element a member of a group, and return `ord`, the member's place in
-- them from 1. They are PL/pgSQL throughout: its plans are kept, those of LANGUAGE sql are made anew at each call.
-- Row locks are always taken in one order, so that servers never deadlock with each other: chats by id, then members,
-- requests and calls by key, and users by id last of all.

CREATE FUNCTION uuid_v7() RETURNS uuid LANGUAGE plpgsql VOLATILE PARALLEL SAFE AS $$
DECLARE
    milliseconds bigint := floor(extract(epoch FROM clock_timestamp()) * 1000);
    bytes bytea := overlay(uuid_send(gen_random_uuid()) PLACING substring(int8send(milliseconds) FROM 3) FROM 1 FOR 6);
BEGIN
    -- A version 4 UUID has 0100 where version 7 wants 0111; bits count from the low end of each byte.
    RETURN encode(set_bit(set_bit(bytes, 52, 1), 53, 1), 'hex')::uuid;
END
$$;
COMMENT ON FUNCTION uuid_v7() IS 'A UUID of version 7: milliseconds since 1970, then random bits. For rows made in psql; the server makes its own.';

CREATE FUNCTION rfc3339(moment timestamptz) RETURNS text LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
BEGIN
    RETURN to_char(moment AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"');
END
$$;
COMMENT ON FUNCTION rfc3339(timestamptz) IS 'The moment as clients read it: UTC with milliseconds.';

-- event_seq changes with nearly every statement: room on the page keeps those updates off the indexes.
CREATE TABLE users (
    id uuid PRIMARY KEY DEFAULT uuid_v7(),
    username text COLLATE "C" NOT NULL UNIQUE,
    password_hash text NOT NULL,
    event_seq bigint NOT NULL DEFAULT 0,
    pruned_seq bigint NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now(),
    last_seen_at timestamptz
) WITH (fillfactor = 60);
COMMENT ON TABLE users IS 'The people who chat.';
COMMENT ON COLUMN users.username IS 'Lower case; compared byte by byte, so that a prefix is a range of its index.';
COMMENT ON COLUMN users.password_hash IS 'argon2id in its encoded form.';
COMMENT ON COLUMN users.event_seq IS 'The seq of the newest row in events for this user; counted up under the row''s lock.';
COMMENT ON COLUMN users.pruned_seq IS 'Events up to this seq have been taken out of the log: who has not read them loads the state afresh.';
COMMENT ON COLUMN users.last_seen_at IS 'When the last socket went away; null if there has never been one.';

CREATE TABLE logins (
    id uuid PRIMARY KEY DEFAULT uuid_v7(),
    user_id uuid NOT NULL REFERENCES users (id),
    device text,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX logins_user ON logins (user_id, created_at);
COMMENT ON TABLE logins IS 'Login sessions; a token names its own in the claim `sid`.';
COMMENT ON COLUMN logins.device IS 'What the client calls itself, if it does.';

CREATE TABLE login_failures (
    username text COLLATE "C" PRIMARY KEY,
    failures integer NOT NULL,
    locked_until timestamptz,
    last_at timestamptz NOT NULL
) WITH (fillfactor = 80);
CREATE INDEX login_failures_last_at ON login_failures (last_at);
COMMENT ON TABLE login_failures IS 'Failed logins by name. Names that do not exist are counted too, so that nobody learns which do.';
COMMENT ON COLUMN login_failures.locked_until IS 'Until then the name is refused; null while the failures are few.';

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
