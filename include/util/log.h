/* One line a thing that happened, to stderr: JSON or text, with a level, a message and named values. Any thread. */
#ifndef STONECHAT_UTIL_LOG_H
#define STONECHAT_UTIL_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "util/slice.h"

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

/* Set once at the start; the level may be changed later, from any thread. */
void log_configure(enum log_level level, enum log_format format);
bool log_enabled(enum log_level level);

/* Writes one line. `log_write(LOG_INFO, "listening", LOG_INT("port", port))`. */
#define log_write(level, message, ...)                                                                                 \
    log_write_fields((level), (message), (const struct log_field[]){__VA_ARGS__ __VA_OPT__(, ){0}})
void log_write_fields(enum log_level level, const char *message, const struct log_field *fields);

#endif
