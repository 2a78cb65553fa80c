-- The roles stay: other databases of the cluster may use them.
REVOKE ALL ON ALL TABLES IN SCHEMA public FROM stonechat_app, stonechat_read;
REVOKE SELECT (id, username, event_seq, pruned_seq, created_at, last_seen_at, deleted_at) ON users FROM stonechat_read;
REVOKE EXECUTE ON FUNCTION prune_audit FROM stonechat_app;
REVOKE USAGE ON SCHEMA public FROM stonechat_app, stonechat_read;
GRANT SELECT ON schema_migrations TO stonechat_app; -- so that a server can say what is missing
