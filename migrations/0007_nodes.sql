-- Several nodes on one database: who they are, and whom each of them holds.

CREATE UNLOGGED TABLE nodes (
    id uuid PRIMARY KEY,
    number integer NOT NULL UNIQUE CHECK (number BETWEEN 1 AND 65535),
    address text NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now(),
    lease_until timestamptz NOT NULL
);
COMMENT ON TABLE nodes IS 'The servers that run. Unlogged: after a crash of PostgreSQL each of them writes itself down again.';
COMMENT ON COLUMN nodes.number IS 'Stands in the ids of its sessions, so that every node knows whose they are.';
COMMENT ON COLUMN nodes.address IS 'Where the other nodes reach it: http:// or https://, host and port.';
COMMENT ON COLUMN nodes.lease_until IS 'A node that has not extended its lease by then is dead, and its users are gone.';

CREATE UNLOGGED TABLE online (
    node_id uuid NOT NULL,
    user_id uuid NOT NULL,
    PRIMARY KEY (node_id, user_id)
);
COMMENT ON TABLE online IS 'Who is connected to which node, or was until a grace time ago.';

CREATE FUNCTION node_renew(node_ids uuid[], lease_seconds bigint[], numbers bigint[], addresses text[])
RETURNS TABLE (ord bigint, is_new boolean, number integer) LANGUAGE plpgsql AS $$
BEGIN
    ord := 1;
    UPDATE nodes n SET lease_until = now() + make_interval(secs => lease_seconds[1]), address = addresses[1]
        WHERE n.id = node_ids[1] RETURNING n.number INTO number;
    is_new := NOT FOUND;
    IF is_new THEN
        PERFORM pg_advisory_xact_lock(hashtext('nodes'), 0); -- new nodes choose one after the other
        number := numbers[1];
        WHILE EXISTS (SELECT FROM nodes n WHERE n.number = node_renew.number) LOOP
            number := number % 65535 + 1;
        END LOOP;
        INSERT INTO nodes (id, number, address, lease_until)
            VALUES (node_ids[1], number, addresses[1], now() + make_interval(secs => lease_seconds[1]));
    END IF;
    RETURN NEXT;
END
$$;
COMMENT ON FUNCTION node_renew IS 'Extends a node''s lease. One member. True when the node was not known (any more): then what it held was forgotten, and it gets the number that it asks for, or the next one that is free.';

CREATE FUNCTION node_bury(buriers uuid[]) RETURNS TABLE (ord bigint, node_id uuid, user_id uuid) LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    -- Whoever takes the node's row out tells of its users: nobody else does.
    RETURN QUERY
    WITH dead AS (
        DELETE FROM nodes n WHERE n.id IN (
            SELECT d.id FROM nodes d WHERE d.lease_until < now() AND d.id <> buriers[1]
            ORDER BY d.id FOR UPDATE SKIP LOCKED)
        RETURNING n.id
    ),
    gone AS (
        DELETE FROM online o USING dead WHERE o.node_id = dead.id RETURNING o.node_id, o.user_id
    )
    SELECT 1::bigint, dead.id, gone.user_id FROM dead LEFT JOIN gone ON gone.node_id = dead.id;
END
$$;
COMMENT ON FUNCTION node_bury IS 'Takes out the nodes whose lease has ended, and returns the users that they held (null for none).';
