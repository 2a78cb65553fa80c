DROP FUNCTION message_mark_read, send_message, message_append;
DROP TABLE messages;
