DROP FUNCTION event_append;
DROP TABLE events;
