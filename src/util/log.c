/* The log. A line is put together on the stack and leaves in one write(2), so that lines never mix. Nobody waits for
 * whoever reads them: a line that does not fit now is lost, and told of as soon as there is room again. What it is
 * given may come from anybody: everything is escaped, broken UTF-8 becomes U+FFFD, and long values are cut, so that a
 * line stays a line and within 8 KiB. */
#include "util/log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "util/json.h"
#include "util/metrics.h"
#include "util/utf8.h"

enum { LINE_MAX_BYTES = 8192, VALUE_MAX_BYTES = 2048, ENDING_BYTES = 16, PIPE_BYTES = 1 << 20 };

static const char *const level_names[] = {"debug", "info", "warn", "error"};

static _Thread_local const struct log_context *current;

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

const struct log_context *log_enter(const struct log_context *context)
{
    const struct log_context *before = current;
    current = context;
    return before;
}

void log_leave(const struct log_context *before)
{
    current = before;
}

void log_get_context(struct log_context *ret_context)
{
    *ret_context = current != NULL ? *current : (struct log_context){0};
}

static void append_context(struct buffer *line, bool is_json)
{
    if (current == NULL) {
        return;
    }
    char id[UUID_TEXT_LENGTH];
    uuid_format(current->id, id);
    struct log_field request = LOG_STR("requestId", current->request_id), trace = LOG_STR("traceId", current->trace_id);
    if (request.text.length == 0 && !uuid_is_nil(current->id)) {
        request.text = (struct slice){id, sizeof id};
    }
    if (request.text.length > 0) {
        append_field(line, &request, is_json);
    }
    if (trace.text.length > 0) {
        append_field(line, &trace, is_json);
    }
}

/* --- writing --- */

/* How to write without waiting. O_NONBLOCK is of the open file, and others may have it open too. */
static enum { WRITE, WRITE_POLLED, SEND } manner = WRITE;
static int log_fd = STDERR_FILENO;
static pthread_mutex_t pipe_mutex = PTHREAD_MUTEX_INITIALIZER;
static atomic_bool is_torn; /* a line has lost its end */
static atomic_llong lost_count;

void log_open(void)
{
    struct stat status;
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) < 0) { /* takes the lowest number that is free */
            return;
        }
    }
    if (fstat(STDERR_FILENO, &status) != 0) {
        return;
    }
    if (S_ISSOCK(status.st_mode)) {
        manner = SEND;
    } else if (S_ISFIFO(status.st_mode)) {
        manner = WRITE_POLLED;
        fcntl(STDERR_FILENO, F_SETPIPE_SZ, PIPE_BYTES); /* a help, if it is allowed */
    } else if (isatty(STDERR_FILENO)) {
        int fd = open("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
        log_fd = fd < 0 ? STDERR_FILENO : fd;
    }
}

/* A pipe that has room has room for PIPE_BUF bytes, unless somebody else takes it. */
static ssize_t write_some(const char *data, size_t length)
{
    struct pollfd pipe_end = {.fd = log_fd, .events = POLLOUT};
    switch (manner) {
    case SEND:
        return send(log_fd, data, length, MSG_DONTWAIT | MSG_NOSIGNAL);
    case WRITE_POLLED:
        switch (poll(&pipe_end, 1, 0)) {
        case -1:
            return -1;
        case 0:
            errno = EAGAIN;
            return -1;
        default:
            break;
        }
        return write(log_fd, data, length < PIPE_BUF ? length : PIPE_BUF);
    default:
        return write(log_fd, data, length);
    }
}

static bool write_all(const char *data, size_t length)
{
    size_t left = length;
    while (left > 0) {
        ssize_t n = write_some(data, left);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            atomic_store(&is_torn, left < length);
            return false;
        }
        data += n;
        left -= (size_t)n;
    }
    return true;
}

/* Tells how many lines were lost before this one. */
static bool tell_lost(bool is_json)
{
    long long lost = atomic_exchange(&lost_count, 0);
    if (lost == 0) {
        return true;
    }
    char bytes[512];
    struct buffer line = {.data = bytes, .capacity = sizeof bytes, .max_bytes = sizeof bytes};
    struct log_field count = LOG_INT("lines", lost);
    if (atomic_exchange(&is_torn, false)) {
        buffer_append_char(&line, '\n');
    }
    append_head(&line, LOG_WARN, "lines of the log were lost: its reader was too slow, or its disk full", is_json);
    append_field(&line, &count, is_json);
    buffer_append_text(&line, is_json ? "}\n" : "\n");
    if (write_all(line.data, line.length)) {
        return true;
    }
    atomic_fetch_add(&lost_count, lost);
    return false;
}

/* A line leaves, or is counted. */
static void write_line(const struct buffer *line, bool is_json)
{
    bool is_locked = manner == WRITE_POLLED && pthread_mutex_lock(&pipe_mutex) == 0;
    if (!tell_lost(is_json) || !write_all(line->data, line->length)) {
        atomic_fetch_add(&lost_count, 1);
        metrics_add(METRIC_LOG_LINES_LOST, 1);
    }
    if (is_locked) {
        pthread_mutex_unlock(&pipe_mutex);
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
    append_context(&line, is_json);
    for (; fields->name != NULL && line.max_bytes - line.length >= ROOM_FOR_A_FIELD; fields++) {
        append_field(&line, fields, is_json);
    }
    buffer_append_text(&line, is_json ? "}\n" : "\n");
    write_line(&line, is_json);
    errno = saved_errno;
}
