#include "realtime/rendering.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "frame.h"
#include "util/json.h"

enum { PLAIN_HEAD_MAX_BYTES = 1024 };

static struct sio_frame *render_socketio(const struct rendering *rendering)
{
    char offset[24];
    int length = rendering->seq > 0 ? snprintf(offset, sizeof offset, "%" PRId64, rendering->seq) : 0;
    return sio_frame_create(rendering->type, rendering->payload, (struct slice){offset, (size_t)length});
}

/* A line's end would be the end of the data. In JSON it only stands between tokens, where a blank is as good. */
static struct slice without_line_ends(struct slice json, char **ret_copy)
{
    *ret_copy = NULL;
    if (memchr(json.data, '\n', json.length) == NULL && memchr(json.data, '\r', json.length) == NULL) {
        return json;
    }
    char *copy = *ret_copy = malloc(json.length);
    for (size_t i = 0; copy != NULL && i < json.length; i++) {
        copy[i] = json.data[i] == '\n' || json.data[i] == '\r' ? ' ' : json.data[i];
    }
    return (struct slice){copy, json.length};
}

/* https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation */
static struct sio_frame *render_sse(const struct rendering *rendering)
{
    char id[32];
    char *copy;
    int length = rendering->seq > 0 ? snprintf(id, sizeof id, "id: %" PRId64 "\n", rendering->seq) : 0;
    struct slice payload = without_line_ends(rendering->payload, &copy);
    const struct slice parts[] = {{id, (size_t)length}, SLICE("event: "), rendering->type,
                                  SLICE("\ndata: "),    payload,          SLICE("\n\n")};
    struct sio_frame *frame =
        payload.data != NULL ? frame_create(WS_OPCODE_TEXT, parts, sizeof parts / sizeof parts[0]) : NULL;
    free(copy);
    return frame;
}

static struct sio_frame *render_plain(const struct rendering *rendering)
{
    char tail[48] = "}";
    struct buffer head = buffer_init(PLAIN_HEAD_MAX_BYTES);
    buffer_append_text(&head, "{\"event\":");
    json_string(&head, rendering->type);
    buffer_append_text(&head, ",\"data\":");
    if (rendering->seq > 0) {
        snprintf(tail, sizeof tail, ",\"offset\":\"%" PRId64 "\"}", rendering->seq);
    }
    const struct slice parts[] = {buffer_slice(&head), rendering->payload, slice_of(tail)};
    struct sio_frame *frame = head.failed ? NULL : frame_create(WS_OPCODE_TEXT, parts, 3);
    buffer_dispose(&head);
    return frame;
}

struct sio_frame *rendering_frame(struct rendering *rendering, enum rendering_form form)
{
    static struct sio_frame *(*const renderers[])(const struct rendering *) = {
        [RENDERING_SOCKETIO] = render_socketio,
        [RENDERING_SSE] = render_sse,
        [RENDERING_PLAIN] = render_plain,
    };
    if (rendering->frames[form] == NULL) {
        rendering->frames[form] = renderers[form](rendering);
    }
    return rendering->frames[form];
}

void rendering_dispose(struct rendering *rendering)
{
    for (int i = 0; i < RENDERING_FORMS; i++) {
        sio_frame_unref(rendering->frames[i]);
    }
}
