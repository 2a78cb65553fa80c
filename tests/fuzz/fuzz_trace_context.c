/* Any bytes as the header traceparent: what is taken is written as a header that is taken too, of the same trace, with
 * the span of this request as the parent. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "http/trace_context.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct trace_context trace, next;
    char header[TRACEPARENT_LENGTH + 1];
    if (trace_context_read((struct slice){(const char *)data, size}, &trace)) {
        assert(size >= TRACEPARENT_LENGTH && memcmp(data + 3, trace.trace_id, TRACE_ID_LENGTH) == 0);
        trace_context_write(&trace, header);
        assert(trace_context_read(slice_of(header), &next));
        assert(strcmp(next.trace_id, trace.trace_id) == 0 && strcmp(next.parent_id, trace.span_id) == 0);
        assert(strcmp(next.flags, trace.flags) == 0 && strcmp(next.span_id, trace.span_id) != 0);
    }
    return 0;
}
