DROP FUNCTION contact_remove, friend_request_reject, friend_request_accept, contact_make, friend_request_send;
DROP TABLE friend_requests, contacts, members, chats;
DROP TYPE chat_kind;
