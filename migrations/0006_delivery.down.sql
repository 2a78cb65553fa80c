DROP FUNCTION prune_events;
DROP VIEW event_log;
DROP FUNCTION message_json;
