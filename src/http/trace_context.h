/* Where a request stands in a trace: the header traceparent of https://www.w3.org/TR/trace-context-1/. Pure, but for
 * the randomness of new ids. Private to http. */
#ifndef STONECHAT_HTTP_TRACE_CONTEXT_H
#define STONECHAT_HTTP_TRACE_CONTEXT_H

#include <stdbool.h>

#include "util/slice.h"

enum { TRACE_ID_LENGTH = 32, SPAN_ID_LENGTH = 16, TRACEPARENT_LENGTH = 55 };

/* Lower-case hexadecimal digits, terminated. */
struct trace_context {
    char trace_id[TRACE_ID_LENGTH + 1];
    char parent_id[SPAN_ID_LENGTH + 1]; /* the span of whoever asks */
    char span_id[SPAN_ID_LENGTH + 1];   /* the request's own, made here */
    char flags[3];
};

/* Reads the header's value, of this version or of a later one. False when it is none that may be continued. */
bool trace_context_read(struct slice traceparent, struct trace_context *ret_trace);

/* What goes to whomever this request asks: a header's value, terminated. */
void trace_context_write(const struct trace_context *trace, char out[TRACEPARENT_LENGTH + 1]);

#endif
