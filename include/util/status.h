/* The one vocabulary of outcomes. Inner layers return a status and stay silent; the edge turns it into an HTTP status,
 * a stable code and a message, and logs it once. A new code goes here and into swagger/ together. */
#ifndef STONECHAT_UTIL_STATUS_H
#define STONECHAT_UTIL_STATUS_H

/* X(name, code that clients see, HTTP status, default message, what a client does about it in Markdown) */
#define STATUS_MAP(X)                                                                                                  \
    X(OK, "OK", 200, "OK", "")                                                                                         \
    X(CREATED, "CREATED", 201, "Created", "")                                                                          \
    X(VALIDATION_ERROR, "VALIDATION_ERROR", 400, "Validation error",                                                   \
      "`errors` names each bad field and says what is wrong with it")                                                  \
    X(INVALID_PAYLOAD, "INVALID_PAYLOAD", 400, "Malformed JSON",                                                       \
      "Send one JSON object; by socket, with an event that exists")                                                    \
    X(BAD_REQUEST, "INVALID_PAYLOAD", 400, "The request cannot be carried out",                                        \
      "`message` says why: nothing to accept, a request to oneself, a bad head")                                       \
    X(UNAUTHORIZED, "UNAUTHORIZED", 401, "Invalid token",                                                              \
      "Get a new token by `POST /api/auth/refresh`; if that is refused too, log in")                                   \
    X(INVALID_CREDENTIALS, "INVALID_CREDENTIALS", 400, "Invalid credentials", "Ask for name and password again")       \
    X(ACCOUNT_LOCKED, "ACCOUNT_LOCKED", 403, "Account locked after too many failed logins",                            \
      "Log in after `LOCKOUT_MINUTES`")                                                                                \
    X(OTP_REQUIRED, "OTP_REQUIRED", 401, "One-time password required",                                                 \
      "Ask for a code of the authenticator app, and log in again with it as `otp`")                                    \
    X(FORBIDDEN, "FORBIDDEN", 403, "Permission denied",                                                                \
      "It is for contacts, or for the parties of a chat or call; not for this user")                                   \
    X(NOT_FOUND, "NOT_FOUND", 404, "Not found", "The id or the path leads nowhere, or no longer")                      \
    X(METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", 405, "Method not allowed", "`Allow` has the methods of this path")     \
    X(CONFLICT, "CONFLICT", 409, "Conflict", "It is so already, or too late: load the state again")                    \
    X(USERNAME_TAKEN, "USERNAME_TAKEN", 400, "Username taken", "Choose another name")                                  \
    X(PAYLOAD_TOO_LARGE, "PAYLOAD_TOO_LARGE", 413, "The body is too large", "Send less than `MAX_BODY_BYTES`")         \
    X(URI_TOO_LONG, "URI_TOO_LONG", 414, "The address is too long", "Send a shorter address")                          \
    X(HEADERS_TOO_LARGE, "HEADERS_TOO_LARGE", 431, "The headers are too large", "Send fewer or shorter headers")       \
    X(UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED_MEDIA_TYPE", 415, "Send the body as application/json",                      \
      "Send `Content-Type: application/json`")                                                                         \
    X(RATE_LIMITED, "RATE_LIMITED", 429, "Too many requests, please try again later",                                  \
      "Wait `Retry-After` seconds, by socket `retryAfter`, and send it again")                                         \
    X(BUSY, "BUSY", 409, "One of the two is in another call", "Call later")                                            \
    X(UNAVAILABLE, "UNAVAILABLE", 503, "Temporarily unavailable, please try again",                                    \
      "Wait `Retry-After` seconds and send it again, a message with the same `clientId`")                              \
    X(INTERNAL, "INTERNAL", 500, "Internal server error",                                                              \
      "Send a message again with the same `clientId`; report the `requestId`")

enum status {
#define X(name, code, http, message, advice) STATUS_##name,
    STATUS_MAP(X)
#undef X
        STATUS_COUNT
};

/* The stable code, for example "NOT_FOUND"; static. */
const char *status_code(enum status status);

/* The status whose stable code is `code` (as SQL functions return it), or STATUS_INTERNAL. */
enum status status_of_code(const char *code);

/* The HTTP status, for example 404. */
int status_http(enum status status);

/* The default message for people; static. */
const char *status_message(enum status status);

#endif
