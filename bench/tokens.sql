-- Logs every seeded user in, and prints id, name and token a line, in the order of their numbers. For a private database.
--
--     JWT_SECRET=… psql "$DATABASE_URL" -qAtF "$(printf '\t')" -f bench/tokens.sql > users.tsv
\set ON_ERROR_STOP on
\getenv secret JWT_SECRET
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pgcrypto;

CREATE FUNCTION pg_temp.base64url(bytes bytea) RETURNS text LANGUAGE plpgsql IMMUTABLE AS
    $$ BEGIN RETURN translate(encode(bytes, 'base64'), E'+/=\n', '-_'); END $$;

WITH started AS (
    INSERT INTO logins (user_id, device, tokens_until, expires_at)
    SELECT id, 'bench', now() + interval '7 days', now() + interval '7 days' FROM users WHERE username ~ '^user[0-9]+$'
    RETURNING id, user_id
),
claims AS (
    SELECT u.id, u.username, json_build_object('id', u.id, 'username', u.username, 'sid', s.id,
                                               'iat', extract(epoch FROM now())::bigint,
                                               'exp', extract(epoch FROM now())::bigint + 7 * 86400) AS claims
    FROM started s JOIN users u ON u.id = s.user_id
),
unsigned AS (
    SELECT id, username, pg_temp.base64url('{"alg":"HS256","typ":"JWT"}') || '.' ||
                         pg_temp.base64url(convert_to(claims::text, 'UTF8')) AS text
    FROM claims
)
SELECT id, username, text || '.' || pg_temp.base64url(hmac(text, :'secret', 'sha256'))
FROM unsigned ORDER BY substr(username, 5)::int;
