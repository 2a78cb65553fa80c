-- Reads the load generator's JSON lines from standard input and prints one row a scenario: medians of its runs.
\set ON_ERROR_STOP on
CREATE TEMPORARY TABLE lines (line jsonb);
\copy lines FROM pstdin WITH (FORMAT csv, QUOTE E'\x01', DELIMITER E'\x02')

CREATE TEMPORARY TABLE titles (place serial, name text, title text);
INSERT INTO titles (name, title) VALUES
    ('health', 'GET /health'),
    ('chats', 'GET /api/chats'),
    ('messages', 'GET /api/messages?limit=20'),
    ('page-1', '  page 1 of 100,000 messages'),
    ('page-5000', '  page 5,000 of the same'),
    ('post', 'POST /api/messages'),
    ('sockets', 'messages by socket, 200 users × 16'),
    ('nodes', '  the same between two nodes'),
    ('paced', '500 messages/s over 1,000 users'),
    ('connect', 'connect + authenticate'),
    ('idle', 'idle authenticated socket'),
    ('fanout', 'one event to 1,000 sockets, frames'),
    ('reconnect-few', '1,000 sockets are back'),
    ('reconnect-all', '10,000 sockets are back'),
    ('resume', '200 users catch up 500 events each'),
    ('login', 'POST /api/auth/login'),
    ('chats-alone', 'GET /api/chats, 4 connections'),
    ('chats-beside', '  the same while 32 clients log in');

CREATE FUNCTION pg_temp.median(numbers jsonb[], decimals int) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    median numeric := (SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY (n #>> '{}')::float8)
                       FROM unnest(numbers) n WHERE jsonb_typeof(n) = 'number');
BEGIN
    RETURN coalesce(to_char(median, 'FM999,999,990' || CASE WHEN decimals > 0 THEN '.' || repeat('0', decimals) ELSE '' END), '–');
END
$$;

\pset border 2
\pset linestyle unicode
\pset footer off
SELECT coalesce(t.title, l.name) AS "row", count(*) AS runs,
       pg_temp.median(array_agg(line -> 'rate'), 0) AS "per s",
       pg_temp.median(array_agg(line -> 'p50_ms'), 2) AS "p50 ms",
       pg_temp.median(array_agg(line -> 'p99_ms'), 2) AS "p99 ms",
       pg_temp.median(array_agg(line -> 'server_us'), 1) AS "server µs",
       pg_temp.median(array_agg(line -> 'postgres_us'), 1) AS "PostgreSQL µs",
       pg_temp.median(array_agg(line -> 'memory_bytes'), 0) AS "bytes each",
       pg_temp.median(array_agg(line -> 'kept_percent'), 0) AS "keeps %",
       pg_temp.median(array_agg(line -> 'client_cpu_percent'), 0) AS "client %",
       sum((line ->> 'errors')::bigint + coalesce((line ->> 'lost')::bigint, 0) +
           coalesce((line ->> 'duplicated')::bigint, 0) + coalesce((line ->> 'reordered')::bigint, 0)) AS wrong
FROM (SELECT line, line ->> 'row' AS name FROM lines) l LEFT JOIN titles t ON t.name = l.name
GROUP BY t.place, t.title, l.name ORDER BY t.place, l.name;
