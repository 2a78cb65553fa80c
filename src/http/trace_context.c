#include "trace_context.h"

#include <stdio.h>
#include <string.h>

#include "util/hex.h"
#include "util/uuid.h"

/* version "-" trace-id "-" parent-id "-" trace-flags, of fixed lengths; later versions may go on behind a '-'. */

enum { VERSION_LENGTH = 2, FLAGS_LENGTH = 2 };

/* Copies digits off the front, and what has to follow them. False when there are others. */
static bool take_digits(struct slice *text, size_t length, char *out)
{
    if (text->length < length) {
        return false;
    }
    for (size_t i = 0; i < length; i++) {
        char c = text->data[i];
        if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'f')) {
            return false;
        }
        out[i] = c;
    }
    out[length] = '\0';
    *text = (struct slice){text->data + length, text->length - length};
    return true;
}

static bool take_dash(struct slice *text)
{
    if (text->length == 0 || text->data[0] != '-') {
        return false;
    }
    *text = (struct slice){text->data + 1, text->length - 1};
    return true;
}

static bool is_zero(const char *digits)
{
    return digits[strspn(digits, "0")] == '\0';
}

/* The second half of a UUID is random, and never all zero. */
static void make_span_id(char out[SPAN_ID_LENGTH + 1])
{
    struct uuid random = uuid_generate();
    hex_write(random.bytes + 8, SPAN_ID_LENGTH / 2, out);
    out[SPAN_ID_LENGTH] = '\0';
}

bool trace_context_read(struct slice traceparent, struct trace_context *ret_trace)
{
    char version[VERSION_LENGTH + 1];
    struct trace_context trace;
    struct slice rest = traceparent;
    bool good = take_digits(&rest, VERSION_LENGTH, version) && take_dash(&rest) &&
                take_digits(&rest, TRACE_ID_LENGTH, trace.trace_id) && take_dash(&rest) &&
                take_digits(&rest, SPAN_ID_LENGTH, trace.parent_id) && take_dash(&rest) &&
                take_digits(&rest, FLAGS_LENGTH, trace.flags) && strcmp(version, "ff") != 0 &&
                !is_zero(trace.trace_id) && !is_zero(trace.parent_id);
    bool is_at_end = rest.length == 0 || (strcmp(version, "00") != 0 && rest.data[0] == '-');
    if (!good || !is_at_end) {
        return false;
    }
    make_span_id(trace.span_id);
    *ret_trace = trace;
    return true;
}

void trace_context_write(const struct trace_context *trace, char out[TRACEPARENT_LENGTH + 1])
{
    snprintf(out, TRACEPARENT_LENGTH + 1, "00-%s-%s-%s", trace->trace_id, trace->span_id, trace->flags);
}
