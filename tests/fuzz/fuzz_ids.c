/* Any text as the ids that clients bring without a seal: UUIDs, ids of Engine.IO sessions, places in the log. What is
 * taken is the same when it is written and read again. */
#include <assert.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "realtime/engineio_private.h"
#include "realtime/session.h"
#include "util/uuid.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_uuid(struct slice text)
{
    struct uuid id, again;
    char written[UUID_TEXT_LENGTH];
    if (uuid_parse(text, &id)) {
        uuid_format(id, written);
        assert(text.length == sizeof written && strncasecmp(text.data, written, sizeof written) == 0);
        assert(uuid_parse((struct slice){written, sizeof written}, &again) && uuid_equals(again, id));
    }
}

static void check_sid(struct slice text)
{
    char *terminated = strndup(text.data != NULL ? text.data : "", text.length), written[EIO_SID_LENGTH + 1];
    uint8_t sid[15];
    if (eio_sid_parse(terminated, sid)) {
        eio_sid_format(sid, written);
        assert(strcmp(written, terminated) == 0);
        assert(eio_sid_node(sid) >= 0 && eio_sid_node(sid) <= 65535);
        assert(eio_sid_worker(sid) >= 0 && eio_sid_worker(sid) <= 255);
    }
    free(terminated);
}

static void check_offset(struct slice text)
{
    char written[32];
    int64_t seq = -1;
    if (session_parse_offset(text, &seq)) {
        assert(seq >= 0);
        snprintf(written, sizeof written, "%0*" PRId64, (int)text.length, seq); /* zeros in front are let be */
        assert(slice_equals(text, slice_of(written)));
    } else {
        assert(seq == -1);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = {(const char *)data, size};
    check_uuid(text);
    check_sid(text);
    check_offset(text);
    return 0;
}
