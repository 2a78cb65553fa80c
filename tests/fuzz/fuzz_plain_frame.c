/* Any bytes as what comes by a plain WebSocket: what is good has a name in UTF-8 and JSON for data, an ack's id is JSON
 * that cannot be more than one value, and a token lies within the header that brings it. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <yajl/yajl_tree.h>

#include "realtime/plain_frame.h"
#include "util/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_json(struct slice text, bool must_be_scalar)
{
    char *terminated = strndup(text.data, text.length);
    yajl_val tree = yajl_tree_parse(terminated, NULL, 0);
    bool good = tree != NULL && (!must_be_scalar || YAJL_IS_STRING(tree) || YAJL_IS_NUMBER(tree));
    yajl_tree_free(tree);
    free(terminated);
    return good && memchr(text.data, '\0', text.length) == NULL;
}

static void check_frame(struct slice message)
{
    struct plain_frame frame;
    if (plain_frame_read(message, &frame)) {
        assert(frame.status == STATUS_OK || frame.status == STATUS_INVALID_PAYLOAD);
        assert(frame.status != STATUS_OK || frame.data.length > 0);
        assert(utf8_is_valid(frame.event) && utf8_is_valid(frame.data));
        assert(is_json(frame.data, false));
        assert(!frame.ack.is_wanted || (frame.ack.text.length <= 128 && is_json(frame.ack.text, true)));
    }
    plain_frame_dispose(&frame);
}

static void check_protocol(struct slice list)
{
    struct slice token = {NULL, 0};
    if (plain_protocol_read(list, &token)) {
        assert(token.data >= list.data && token.data + token.length <= list.data + list.length);
        assert(token.length == 0 || token.data - list.data > (ptrdiff_t)strlen("bearer"));
        assert(token.length == 0 || memchr(token.data, ',', token.length) == NULL);
    } else {
        assert(token.data == NULL);
        assert(list.length < 6 || strncasecmp(list.data, "bearer", 6) != 0 || (list.length > 6 && list.data[6] != ','));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = {(const char *)data, size};
    check_frame(text);
    check_protocol(text);
    return 0;
}
