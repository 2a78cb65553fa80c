DROP FUNCTION call_abandon, call_expire, call_end, call_answer, call_start;
DROP TABLE calls;
