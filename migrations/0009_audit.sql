-- What was done with accounts, when and from where: for the day when somebody asks. The server writes it and can neither
-- read nor change it; who may read it is the owner's choice.

CREATE TABLE audit_log (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    action text NOT NULL CHECK (action IN (
        'registered', 'logged_in', 'login_failed', 'locked_out', 'login_ended', 'refresh_reused', 'password_changed',
        'account_deleted', 'two_factors_set_up', 'two_factors_enabled', 'two_factors_disabled', 'two_factors_failed',
        'two_factors_locked_out', 'recovery_code_used')),
    user_id uuid,
    login_id uuid,
    ip text
);
CREATE INDEX audit_log_at ON audit_log USING brin (at);
CREATE INDEX audit_log_user ON audit_log (user_id, id);
COMMENT ON TABLE audit_log IS 'What was done with accounts, in the transaction that did it. Kept for AUDIT_RETENTION_DAYS.';
COMMENT ON COLUMN audit_log.action IS 'login_ended: by a logout, from another login, or by what ends them all. refresh_reused: a refresh token came twice, and its login was ended.';
COMMENT ON COLUMN audit_log.user_id IS 'Null where a login failed by a name that nobody has. The name is not kept: people type passwords there.';
COMMENT ON COLUMN audit_log.login_id IS 'The login that began or ended.';
COMMENT ON COLUMN audit_log.ip IS 'Where it was asked from.';

CREATE FUNCTION audit_note(action text, user_id uuid, login_id uuid, ip text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO audit_log (action, user_id, login_id, ip) VALUES (action, user_id, login_id, ip);
END
$$;
COMMENT ON FUNCTION audit_note IS 'Writes a row of the audit log.';

CREATE FUNCTION prune_audit(older_than_days bigint[], max_rows bigint[]) RETURNS TABLE (ord bigint, pruned bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    ord := 1;
    WITH old AS MATERIALIZED (
        SELECT a.id FROM audit_log a
        WHERE a.at < now() - make_interval(days => greatest(older_than_days[1], 30)::integer)
        LIMIT max_rows[1] FOR UPDATE SKIP LOCKED
    ),
    gone AS (
        DELETE FROM audit_log a USING old WHERE a.id = old.id RETURNING 1
    )
    SELECT count(*) INTO pruned FROM gone;
    RETURN NEXT;
END
$$;
REVOKE ALL ON FUNCTION prune_audit FROM PUBLIC;
COMMENT ON FUNCTION prune_audit IS 'Takes out at most max_rows rows that are older, but none of the last 30 days: the server must not be able to clear its traces. One member; returns how many.';
