DROP FUNCTION prune_audit, audit_note;
DROP TABLE audit_log;
