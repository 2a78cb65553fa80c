-- Who may do what. The owner of the schema migrates; the server needs less, and whoever looks, less still. The two roles
-- are of the whole cluster and cannot log in: give them to those that do.
--
--     CREATE ROLE chat LOGIN PASSWORD '…' IN ROLE stonechat_app;
--     CREATE ROLE analyst LOGIN PASSWORD '…' IN ROLE stonechat_read;

DO $$
DECLARE
    role text;
BEGIN
    FOREACH role IN ARRAY ARRAY['stonechat_app', 'stonechat_read'] LOOP
        CONTINUE WHEN EXISTS (SELECT FROM pg_roles WHERE rolname = role); -- another database of the cluster has it already
        BEGIN
            EXECUTE format('CREATE ROLE %I NOLOGIN', role);
        EXCEPTION
            WHEN duplicate_object OR unique_violation THEN
                NULL; -- since a moment ago
            WHEN insufficient_privilege THEN
                RAISE insufficient_privilege USING
                    MESSAGE = format('%s may not create roles, and there is no role %s', current_user, role),
                    HINT = 'As a superuser: CREATE ROLE stonechat_app NOLOGIN; CREATE ROLE stonechat_read NOLOGIN; Then migrate again.';
        END;
    END LOOP;
END
$$;

GRANT USAGE ON SCHEMA public TO stonechat_app, stonechat_read;

GRANT SELECT ON schema_migrations TO stonechat_app;
GRANT SELECT, INSERT ON messages TO stonechat_app;
GRANT SELECT, INSERT, DELETE ON events, contacts TO stonechat_app;
GRANT SELECT, INSERT, UPDATE ON users, chats, members, calls TO stonechat_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON friend_requests, logins, login_failures, two_factors, recovery_codes, nodes, online TO stonechat_app;
GRANT SELECT ON event_log, message_log, chat_list TO stonechat_app;
GRANT INSERT ON audit_log TO stonechat_app;
GRANT EXECUTE ON FUNCTION prune_audit TO stonechat_app;

-- No password, no secret, no token.
GRANT SELECT ON schema_migrations, messages, events, contacts, chats, members, friend_requests, calls, nodes, online,
    event_log, message_log, chat_list TO stonechat_read;
GRANT SELECT (id, username, event_seq, pruned_seq, created_at, last_seen_at, deleted_at) ON users TO stonechat_read;
