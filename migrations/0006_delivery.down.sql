DROP FUNCTION prune_events;
DROP VIEW event_log, chat_list, message_log;
DROP FUNCTION message_json;
