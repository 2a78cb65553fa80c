#include "realtime/rendering.h"

#include <inttypes.h>
#include <stdio.h>

static struct sio_frame *render_socketio(const struct rendering *rendering)
{
    char offset[24];
    int length = rendering->seq > 0 ? snprintf(offset, sizeof offset, "%" PRId64, rendering->seq) : 0;
    return sio_frame_create(rendering->type, rendering->payload, (struct slice){offset, (size_t)length});
}

struct sio_frame *rendering_frame(struct rendering *rendering, enum rendering_form form)
{
    static struct sio_frame *(*const renderers[])(const struct rendering *) = {[RENDERING_SOCKETIO] = render_socketio};
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
