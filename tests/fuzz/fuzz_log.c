/* Any bytes in a line of the log, in either format: it stays one line, bounded, and is UTF-8; as JSON it is JSON.
 *
 * Lines are caught from the standard error, which is libFuzzer's too between two inputs. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>
#include <yajl/yajl_parse.h>

#include "util/log.h"
#include "util/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LINE_MAX_BYTES = 8192 };

/* A pipe has room for the longest line. */
static struct slice catch_line(struct slice value, enum log_format format)
{
    static char line[LINE_MAX_BYTES + 1];
    static int ends[2] = {-1, -1}, usual;
    if (ends[0] < 0) {
        assert(pipe(ends) == 0);
        usual = dup(STDERR_FILENO);
    }
    struct slice half = {value.data, value.length / 2};
    log_configure(LOG_INFO, format);
    dup2(ends[1], STDERR_FILENO);
    log_write(LOG_WARN, "fuzzed", LOG_SLICE("value", value), LOG_SLICE("half", half), LOG_INT("number", -1),
              LOG_SLICE("again", value), LOG_SLICE("andAgain", value), LOG_SLICE("last", value));
    dup2(usual, STDERR_FILENO);
    ssize_t length = read(ends[0], line, sizeof line);
    assert(length > 0 && length <= LINE_MAX_BYTES);
    return (struct slice){line, (size_t)length};
}

static void check_line(struct slice line)
{
    assert(memchr(line.data, '\n', line.length) == line.data + line.length - 1);
    assert(utf8_is_valid(line));
    for (size_t i = 0; i + 1 < line.length; i++) {
        assert((unsigned char)line.data[i] >= ' ');
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice value = {(const char *)data, size};
    check_line(catch_line(value, LOG_TEXT));
    struct slice line = catch_line(value, LOG_JSON);
    check_line(line);
    yajl_handle parser = yajl_alloc(NULL, NULL, NULL);
    assert(yajl_parse(parser, (const unsigned char *)line.data, line.length) == yajl_status_ok);
    assert(yajl_complete_parse(parser) == yajl_status_ok);
    yajl_free(parser);
    return 0;
}
