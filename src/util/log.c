/* The log. A line is put together on the stack and leaves in one write(2), so that threads need no lock and lines never
 * mix. What it is given may come from anybody: everything is escaped, broken UTF-8 becomes U+FFFD, and long values are
 * cut, so that a line stays a line and within 8 KiB. */
#include "util/log.h"

#include <errno.h>
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "util/json.h"
#include "util/utf8.h"

enum { LINE_MAX_BYTES = 8192, VALUE_MAX_BYTES = 2048, ENDING_BYTES = 16 };

static const char *const level_names[] = {"debug", "info", "warn", "error"};

static atomic_int minimum_level = LOG_INFO;
static atomic_int line_format = LOG_JSON;

void log_configure(enum log_level level, enum log_format format)
{
    atomic_store_explicit(&minimum_level, (int)level, memory_order_relaxed);
    atomic_store_explicit(&line_format, (int)format, memory_order_relaxed);
}

bool log_enabled(enum log_level level)
{
    return (int)level >= atomic_load_explicit(&minimum_level, memory_order_relaxed);
}

/* Appends the inside of a JSON string, at most `max_bytes` of it; "…" says that there was more. */
static void append_escaped(struct buffer *line, struct slice text, size_t max_bytes)
{
    size_t limit = line->length + max_bytes;
    while (text.length > 0) {
        size_t bytes = utf8_character(text), taken = bytes > 0 ? bytes : 1;
        char quoted[16];
        struct buffer escaped = {.data = quoted, .capacity = sizeof quoted, .max_bytes = sizeof quoted};
        json_string(&escaped, bytes > 0 ? (struct slice){text.data, bytes} : SLICE("\xef\xbf\xbd"));
        if (line->length + escaped.length - 2 > limit) {
            buffer_append_text(line, "…");
            return;
        }
        buffer_append(line, quoted + 1, escaped.length - 2);
        text = (struct slice){text.data + taken, text.length - taken};
    }
}

static void append_string(struct buffer *line, struct slice text)
{
    size_t left = line->max_bytes - line->length - ENDING_BYTES;
    buffer_append_char(line, '"');
    append_escaped(line, text, left < VALUE_MAX_BYTES ? left : VALUE_MAX_BYTES);
    buffer_append_char(line, '"');
}

/* In text lines a word needs no quotes. */
static bool is_word(struct slice text)
{
    for (size_t i = 0; i < text.length; i++) {
        if (text.data[i] <= ' ' || text.data[i] > '~' || strchr("\"\\=", text.data[i]) != NULL) {
            return false;
        }
    }
    return text.length > 0 && text.length <= VALUE_MAX_BYTES / 16;
}

static void append_value(struct buffer *line, const struct log_field *field, bool is_json)
{
    if (field->type == LOG_FIELD_INTEGER) {
        json_integer(line, field->integer);
    } else if (field->type == LOG_FIELD_REAL && isfinite(field->real)) {
        char digits[32];
        int length = snprintf(digits, sizeof digits, "%.6g", field->real);
        buffer_append(line, digits, (size_t)length);
    } else if (field->type == LOG_FIELD_REAL || field->text.data == NULL) {
        buffer_append_text(line, "null");
    } else if (!is_json && is_word(field->text)) {
        buffer_append_slice(line, field->text);
    } else {
        append_string(line, field->text);
    }
}

static void append_field(struct buffer *line, const struct log_field *field, bool is_json)
{
    buffer_append_text(line, is_json ? ",\"" : " ");
    append_escaped(line, slice_of(field->name), 64);
    buffer_append_text(line, is_json ? "\":" : "=");
    append_value(line, field, is_json);
}

static void append_head(struct buffer *line, enum log_level level, const char *message, bool is_json)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    char time[JSON_TIME_LENGTH];
    json_time_format((int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000, time);

    buffer_append_text(line, is_json ? "{\"time\":\"" : "");
    buffer_append(line, time, sizeof time);
    buffer_append_text(line, is_json ? "\",\"level\":\"" : " ");
    buffer_append_text(line, level_names[level]);
    if (is_json) {
        buffer_append_text(line, "\",\"msg\":");
        append_string(line, slice_of(message));
    } else {
        buffer_append_char(line, ' ');
        append_escaped(line, slice_of(message), VALUE_MAX_BYTES);
    }
}

/* A log that cannot be written has nowhere to say so: what is lost is lost. */
static void write_all(const char *data, size_t length)
{
    while (length > 0) {
        ssize_t n = write(STDERR_FILENO, data, length);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return;
        }
        data += n;
        length -= (size_t)n;
    }
}

void log_write_fields(enum log_level level, const char *message, const struct log_field *fields)
{
    if (!log_enabled(level)) {
        return;
    }
    enum { ROOM_FOR_A_FIELD = 128 + ENDING_BYTES }; /* the least that a name and a cut value take */
    bool is_json = atomic_load_explicit(&line_format, memory_order_relaxed) == LOG_JSON;
    int saved_errno = errno;
    char bytes[LINE_MAX_BYTES];
    struct buffer line = {.data = bytes, .capacity = sizeof bytes, .max_bytes = sizeof bytes};
    append_head(&line, level, message, is_json);
    for (; fields->name != NULL && line.max_bytes - line.length >= ROOM_FOR_A_FIELD; fields++) {
        append_field(&line, fields, is_json);
    }
    buffer_append_text(&line, is_json ? "}\n" : "\n");
    write_all(line.data, line.length);
    errno = saved_errno;
}
