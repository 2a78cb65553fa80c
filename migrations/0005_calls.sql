-- Calls: who rang whom and what came of it. The signalling itself passes through unseen.

CREATE TABLE calls (
    id uuid PRIMARY KEY DEFAULT uuid_v7(),
    caller_id uuid NOT NULL REFERENCES users (id),
    callee_id uuid NOT NULL REFERENCES users (id),
    status text NOT NULL CHECK (status IN ('ringing', 'ongoing', 'ended', 'missed', 'rejected', 'busy')),
    started_at timestamptz NOT NULL DEFAULT now(),
    answered_at timestamptz,
    ended_at timestamptz,
    CHECK ((status IN ('ringing', 'ongoing')) = (ended_at IS NULL))
) WITH (fillfactor = 90);
CREATE INDEX calls_caller ON calls (caller_id, started_at, id);
CREATE INDEX calls_callee ON calls (callee_id, started_at, id);
-- Calls under way are few: these tell who is in one, and which have rung too long.
CREATE INDEX calls_active_caller ON calls (caller_id) WHERE ended_at IS NULL;
CREATE INDEX calls_active_callee ON calls (callee_id) WHERE ended_at IS NULL;
CREATE INDEX calls_ringing ON calls (started_at) WHERE status = 'ringing';
COMMENT ON TABLE calls IS 'The history of calls, and the state of those under way.';
COMMENT ON COLUMN calls.status IS 'ringing, then ongoing or the end of it: ended, missed, rejected; busy when it never rang.';

CREATE FUNCTION call_start(ids uuid[], callers uuid[], callees uuid[], signals text[])
RETURNS TABLE (ord bigint, status text, user_id uuid, event_seq bigint, type text, payload text, origin uuid)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    asked record;
    ords bigint[]; statuses text[]; recipients uuid[]; payloads text[];
BEGIN
    -- A user is in one call at most: both parties are locked before the look at who is in one.
    PERFORM FROM users u WHERE u.id = ANY (callers || callees) ORDER BY u.id FOR NO KEY UPDATE;

    FOR asked IN
        SELECT q.* FROM unnest(ids, callers, callees, signals) WITH ORDINALITY q (id, caller, callee, signal, ord)
        ORDER BY q.ord
    LOOP
        IF NOT EXISTS (SELECT FROM contacts c WHERE c.user_id = asked.caller AND c.contact_id = asked.callee) THEN
            status := 'FORBIDDEN';
        ELSIF EXISTS (SELECT FROM calls c WHERE c.caller_id IN (asked.caller, asked.callee) AND c.ended_at IS NULL)
           OR EXISTS (SELECT FROM calls c WHERE c.callee_id IN (asked.caller, asked.callee) AND c.ended_at IS NULL) THEN
            INSERT INTO calls (id, caller_id, callee_id, status, ended_at)
            VALUES (asked.id, asked.caller, asked.callee, 'busy', now());
            status := 'BUSY';
        ELSE
            INSERT INTO calls (id, caller_id, callee_id, status)
            VALUES (asked.id, asked.caller, asked.callee, 'ringing');
            status := 'OK';
        END IF;
        ords := ords || asked.ord;
        statuses := statuses || status;
        recipients := array_append(recipients, CASE status WHEN 'OK' THEN asked.callee END);
        payloads := array_append(payloads, CASE status WHEN 'OK' THEN
            format('{"callId":"%s","callerId":"%s","calleeId":"%s","signal":%s}', asked.id, asked.caller, asked.callee,
                   coalesce(asked.signal, 'null')) END);
    END LOOP;
    RETURN QUERY SELECT * FROM event_append(ords, statuses, recipients,
        array_fill('call-user'::text, ARRAY[cardinality(ords)]), payloads,
        array_fill(NULL::uuid, ARRAY[cardinality(ords)]));
END
$$;
COMMENT ON FUNCTION call_start IS 'Rings the callee. A signal is JSON and passes as it is. Status OK, FORBIDDEN (not a contact), or BUSY, which goes into the history.';

CREATE FUNCTION call_answer(call_ids uuid[], callees uuid[], signals text[], sessions uuid[] DEFAULT NULL)
RETURNS TABLE (ord bigint, status text, user_id uuid, event_seq bigint, type text, payload text, origin uuid)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    asked record;
    call calls;
    ords bigint[]; statuses text[]; recipients uuid[]; types text[]; payloads text[]; origins uuid[];
BEGIN
    FOR asked IN
        SELECT q.* FROM unnest(call_ids, callees, signals, sessions)
            WITH ORDINALITY q (call_id, callee, signal, session, ord)
        ORDER BY q.call_id, q.ord
    LOOP
        SELECT c.* INTO call FROM calls c WHERE c.id = asked.call_id FOR NO KEY UPDATE;
        status := CASE WHEN NOT FOUND THEN 'NOT_FOUND' WHEN call.callee_id <> asked.callee THEN 'FORBIDDEN'
                       WHEN call.status <> 'ringing' THEN 'CONFLICT' ELSE 'OK' END;
        IF status <> 'OK' THEN
            ords := ords || asked.ord; statuses := statuses || status;
            recipients := array_append(recipients, NULL); types := array_append(types, NULL);
            payloads := array_append(payloads, NULL); origins := array_append(origins, NULL);
            CONTINUE;
        END IF;
        UPDATE calls c SET status = 'ongoing', answered_at = now() WHERE c.id = call.id;
        ords := ords || asked.ord || asked.ord;
        statuses := statuses || ARRAY['OK', 'OK'];
        recipients := recipients || call.caller_id || call.callee_id;
        types := types || ARRAY['answer-call', 'end-call'];
        payloads := payloads
            || format('{"callId":"%s","callerId":"%s","calleeId":"%s","signal":%s}', call.id, call.caller_id,
                      call.callee_id, coalesce(asked.signal, 'null'))
            || format('{"callId":"%s","status":"answered-elsewhere"}', call.id);
        origins := origins || ARRAY[asked.session, asked.session];
    END LOOP;
    RETURN QUERY SELECT * FROM event_append(ords, statuses, recipients, types, payloads, origins);
END
$$;
COMMENT ON FUNCTION call_answer IS 'The callee takes a ringing call: the caller gets the answer, the callee''s other devices stop ringing. Status OK, NOT_FOUND, FORBIDDEN, or CONFLICT (it does not ring).';

CREATE FUNCTION call_end(call_ids uuid[], actors uuid[], ends text[], sessions uuid[] DEFAULT NULL)
RETURNS TABLE (ord bigint, status text, user_id uuid, event_seq bigint, type text, payload text, origin uuid)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    asked record;
    call calls;
    peer uuid;
    ords bigint[]; statuses text[]; recipients uuid[]; payloads text[]; origins uuid[];
BEGIN
    FOR asked IN
        SELECT q.* FROM unnest(call_ids, actors, ends, sessions)
            WITH ORDINALITY q (call_id, actor, ending, session, ord)
        ORDER BY q.call_id, q.ord
    LOOP
        SELECT c.* INTO call FROM calls c WHERE c.id = asked.call_id FOR NO KEY UPDATE;
        status := CASE WHEN NOT FOUND THEN 'NOT_FOUND'
                       WHEN asked.actor NOT IN (call.caller_id, call.callee_id) THEN 'FORBIDDEN'
                       WHEN call.ended_at IS NOT NULL THEN 'CONFLICT' ELSE 'OK' END;
        IF status <> 'OK' THEN
            ords := ords || asked.ord; statuses := statuses || status;
            recipients := array_append(recipients, NULL); payloads := array_append(payloads, NULL);
            origins := array_append(origins, NULL);
            CONTINUE;
        END IF;
        -- Once it has been answered, it can't be missed or rejected any more.
        asked.ending := CASE call.status WHEN 'ongoing' THEN 'ended' ELSE asked.ending END;
        UPDATE calls c SET status = asked.ending, ended_at = now() WHERE c.id = call.id;
        peer := CASE asked.actor WHEN call.caller_id THEN call.callee_id ELSE call.caller_id END;
        ords := ords || asked.ord || asked.ord;
        statuses := statuses || ARRAY['OK', 'OK'];
        recipients := recipients || peer || asked.actor;
        payloads := payloads || array_fill(format('{"callId":"%s","status":"%s","userId":"%s","peerId":"%s"}',
                                                  call.id, asked.ending, asked.actor, peer), ARRAY[2]);
        origins := origins || ARRAY[asked.session, asked.session];
    END LOOP;
    RETURN QUERY SELECT * FROM event_append(ords, statuses, recipients,
        array_fill('end-call'::text, ARRAY[cardinality(ords)]), payloads, origins);
END
$$;
COMMENT ON FUNCTION call_end IS 'A party ends a call: ended, missed or rejected. Both parties are told. Status OK, NOT_FOUND, FORBIDDEN (not a party), or CONFLICT (it is over).';

CREATE FUNCTION call_expire(ring_seconds bigint[])
RETURNS TABLE (ord bigint, status text, user_id uuid, event_seq bigint, type text, payload text, origin uuid)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    call calls;
    ords bigint[]; recipients uuid[]; payloads text[];
BEGIN
    -- Locked calls are being answered or ended right now, or expired by another server.
    FOR call IN
        SELECT c.* FROM calls c
        WHERE c.status = 'ringing' AND c.started_at < now() - make_interval(secs => ring_seconds[1])
        ORDER BY c.id FOR NO KEY UPDATE SKIP LOCKED
    LOOP
        UPDATE calls c SET status = 'missed', ended_at = now() WHERE c.id = call.id;
        ords := ords || ARRAY[1, 1]::bigint[];
        recipients := recipients || call.caller_id || call.callee_id;
        payloads := payloads || array_fill(format('{"callId":"%s","status":"missed","userId":"%s","peerId":"%s"}',
                                                  call.id, call.callee_id, call.caller_id), ARRAY[2]);
    END LOOP;
    IF ords IS NOT NULL THEN
        RETURN QUERY SELECT * FROM event_append(ords, array_fill('OK'::text, ARRAY[cardinality(ords)]), recipients,
            array_fill('end-call'::text, ARRAY[cardinality(ords)]), payloads,
            array_fill(NULL::uuid, ARRAY[cardinality(ords)]));
    END IF;
END
$$;
COMMENT ON FUNCTION call_expire IS 'Calls that nobody answered in time are missed; both parties are told. One member; no row when there is nothing to do.';

CREATE FUNCTION call_abandon(call_ids uuid[])
RETURNS TABLE (ord bigint, status text, user_id uuid, event_seq bigint, type text, payload text, origin uuid)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    -- A ringing call was missed by the callee, an ongoing one ends as if by the caller.
    RETURN QUERY SELECT e.* FROM call_end(call_ids,
        ARRAY(SELECT CASE c.status WHEN 'ringing' THEN c.callee_id ELSE c.caller_id END
              FROM unnest(call_ids) WITH ORDINALITY q (id, ord) LEFT JOIN calls c ON c.id = q.id ORDER BY q.ord),
        array_fill('missed'::text, ARRAY[cardinality(call_ids)])) e;
END
$$;
COMMENT ON FUNCTION call_abandon IS 'Ends calls whose both parties are gone: missed if it still rang, else ended. Status as call_end.';
