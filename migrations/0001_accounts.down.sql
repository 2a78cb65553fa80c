DROP FUNCTION login_succeeded, login_failed, register_user;
DROP TABLE login_failures, logins, users;
DROP FUNCTION rfc3339, uuid_v7;
