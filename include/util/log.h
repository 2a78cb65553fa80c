/* One line a thing that happened, to stderr: JSON or text, with a level, a message and named values. Any thread. */
#ifndef STONECHAT_UTIL_LOG_H
#define STONECHAT_UTIL_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "util/slice.h"
#include "util/uuid.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };
enum log_format { LOG_JSON, LOG_TEXT };

/* A named value; make them with the macros below. */
struct log_field {
    const char *name;
    enum { LOG_FIELD_TEXT, LOG_FIELD_INTEGER, LOG_FIELD_REAL } type;
    struct slice text;
    int64_t integer;
    double real;
};

#define LOG_STR(key, value) ((struct log_field){.name = (key), .type = LOG_FIELD_TEXT, .text = slice_of(value)})
#define LOG_SLICE(key, value) ((struct log_field){.name = (key), .type = LOG_FIELD_TEXT, .text = (value)})
#define LOG_INT(key, value) ((struct log_field){.name = (key), .type = LOG_FIELD_INTEGER, .integer = (value)})
#define LOG_REAL(key, value) ((struct log_field){.name = (key), .type = LOG_FIELD_REAL, .real = (value)})

/* First of all in main: puts /dev/null where a standard descriptor is closed, so that no line goes into a file or
 * socket that got its number, and sees to it that no line is waited for. Without it a full pipe blocks. */
void log_open(void);

/* Set once at the start; the level may be changed later, from any thread. */
void log_configure(enum log_level level, enum log_format format);
bool log_enabled(enum log_level level);

/* Writes one line. `log_write(LOG_INFO, "listening", LOG_INT("port", port))`. */
#define log_write(level, message, ...)                                                                                 \
    log_write_fields((level), (message), (const struct log_field[]){__VA_ARGS__ __VA_OPT__(, ){0}})
void log_write_fields(enum log_level level, const char *message, const struct log_field *fields);

/* --- whom a thread works for --- */

enum { LOG_REQUEST_ID_MAX_LENGTH = 128, LOG_TRACE_ID_LENGTH = 32 };

/* Every line that is written meanwhile says so: as requestId, and as traceId where a trace goes through the request. */
struct log_context {
    struct uuid id; /* the request's, where `request_id` is empty; nil: nobody's */
    char request_id[LOG_REQUEST_ID_MAX_LENGTH + 1];
    char trace_id[LOG_TRACE_ID_LENGTH + 1]; /* empty: none */
};

/* This thread works for it until log_leave, which gets what this has returned; `context` has to stay until then. */
const struct log_context *log_enter(const struct log_context *context);
void log_leave(const struct log_context *before);

/* Whom this thread works for, to be entered again when the work goes on; all zero: nobody. */
void log_get_context(struct log_context *ret_context);

#endif
