-- What each user is told, in order. Delivery to devices reads this log, now or later; it is the truth, a socket is a hint.

CREATE TABLE events (
    user_id uuid NOT NULL,
    seq bigint NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    message_seq bigint,
    chat_id uuid,
    type text NOT NULL,
    payload text,
    origin uuid,
    PRIMARY KEY (user_id, seq)
);
COMMENT ON TABLE events IS 'A log a user: the durable events, numbered 1, 2, 3… in commit order. Every write takes users.event_seq under its lock, which stands in for a foreign key.';
COMMENT ON COLUMN events.type IS 'The name of the event as clients know it, for example private-message.';
COMMENT ON COLUMN events.message_seq IS 'A message is not repeated here: it lies in messages under (chat_id, message_seq).';
COMMENT ON COLUMN events.payload IS 'Anything but a message: its JSON, just as it is sent.';
COMMENT ON COLUMN events.origin IS 'The session whose own action this was: it is not told of it, then or when it resumes.';
CREATE INDEX events_created_at ON events USING brin (created_at);

CREATE FUNCTION event_append(ords bigint[], statuses text[], recipients uuid[], types text[], payloads text[],
                             origins uuid[])
RETURNS TABLE (ord bigint, status text, user_id uuid, event_seq bigint, type text, payload text, origin uuid)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH told AS MATERIALIZED (
        SELECT q.*, row_number() OVER (PARTITION BY q.recipient ORDER BY q.place) AS nth
        FROM unnest(ords, statuses, recipients, types, payloads, origins)
            WITH ORDINALITY q (ord, status, recipient, type, payload, origin, place)
    ),
    counted AS (
        UPDATE users u SET event_seq = u.event_seq + d.events
        FROM (SELECT t.recipient, count(*) AS events FROM told t WHERE t.recipient IS NOT NULL
              GROUP BY t.recipient ORDER BY t.recipient) d
        WHERE u.id = d.recipient
        RETURNING u.id, u.event_seq - d.events AS before
    ),
    placed AS (
        SELECT t.*, c.before + t.nth AS seq FROM told t LEFT JOIN counted c ON c.id = t.recipient
    ),
    logged AS (
        INSERT INTO events (user_id, seq, type, payload, origin)
        SELECT p.recipient, p.seq, p.type, p.payload, p.origin FROM placed p WHERE p.recipient IS NOT NULL
    )
    SELECT p.ord, p.status, p.recipient, p.seq, p.type, p.payload, p.origin FROM placed p ORDER BY p.place;
END
$$;
COMMENT ON FUNCTION event_append IS 'The last step of what changes something: numbers and logs the events, and returns them. An outcome without an event has a null recipient and passes through.';
