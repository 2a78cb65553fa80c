/* The one vocabulary of outcomes. Inner layers return a status and stay silent; the edge turns it into an HTTP status,
 * a stable code and a message, and logs it once. A new code goes here and into swagger/ together. */
#ifndef STONECHAT_UTIL_STATUS_H
#define STONECHAT_UTIL_STATUS_H

/* X(name, code that clients see, HTTP status, default message) */
#define STATUS_MAP(X)                                                                                                  \
    X(OK, "OK", 200, "OK")                                                                                             \
    X(CREATED, "CREATED", 201, "Created")                                                                              \
    X(VALIDATION_ERROR, "VALIDATION_ERROR", 400, "Validation error")                                                   \
    X(INVALID_PAYLOAD, "INVALID_PAYLOAD", 400, "Invalid payload")                                                      \
    X(BAD_REQUEST, "INVALID_PAYLOAD", 400, "The request cannot be carried out")                                        \
    X(UNAUTHORIZED, "UNAUTHORIZED", 401, "Invalid token")                                                              \
    X(INVALID_CREDENTIALS, "INVALID_CREDENTIALS", 400, "Invalid credentials")                                          \
    X(ACCOUNT_LOCKED, "ACCOUNT_LOCKED", 403, "Account locked after too many failed logins")                            \
    X(OTP_REQUIRED, "OTP_REQUIRED", 401, "One-time password required")                                                 \
    X(FORBIDDEN, "FORBIDDEN", 403, "Permission denied")                                                                \
    X(NOT_FOUND, "NOT_FOUND", 404, "Not found")                                                                        \
    X(METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", 405, "Method not allowed")                                             \
    X(CONFLICT, "CONFLICT", 409, "Conflict")                                                                           \
    X(USERNAME_TAKEN, "USERNAME_TAKEN", 400, "Username taken")                                                         \
    X(PAYLOAD_TOO_LARGE, "PAYLOAD_TOO_LARGE", 413, "The body is too large")                                            \
    X(URI_TOO_LONG, "URI_TOO_LONG", 414, "The address is too long")                                                    \
    X(HEADERS_TOO_LARGE, "HEADERS_TOO_LARGE", 431, "The headers are too large")                                        \
    X(UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED_MEDIA_TYPE", 415, "Send the body as application/json")                      \
    X(RATE_LIMITED, "RATE_LIMITED", 429, "Too many requests, please try again later")                                  \
    X(BUSY, "BUSY", 409, "The user is in another call")                                                                \
    X(UNAVAILABLE, "UNAVAILABLE", 503, "Temporarily unavailable, please try again")                                    \
    X(INTERNAL, "INTERNAL", 500, "Internal server error")

enum status {
#define X(name, code, http, message) STATUS_##name,
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
