#include "loop/splice.h"

#include <stdlib.h>
#include <string.h>

/* A side is read only while nothing waits to leave by the other one, so that a slow reader slows the writer down rather
 * than filling our memory; and so what a side sent before its end has left when the end is met. */

struct side {
    struct splice *splice;
    struct side *other;
    struct stream *stream;
    char *leaving; /* under write by this side's stream; owned */
};

struct splice {
    struct side sides[2];
    void (*on_end)(void *data);
    void *data;
};

static void end(struct splice *splice)
{
    void (*on_end)(void *) = splice->on_end;
    void *data = splice->data;
    splice_stop(splice);
    on_end(data);
}

static size_t on_read(void *data, const char *bytes, size_t length)
{
    struct side *side = data, *other = side->other;
    if (other->leaving != NULL) {
        return 0;
    }
    other->leaving = malloc(length);
    if (other->leaving == NULL) {
        end(side->splice);
        return 0;
    }
    memcpy(other->leaving, bytes, length);
    stream_pause(side->stream);
    stream_write(other->stream, &(struct iovec){other->leaving, length}, 1);
    return length;
}

static void on_written(void *data)
{
    struct side *side = data;
    free(side->leaving);
    side->leaving = NULL;
    stream_resume(side->other->stream);
}

static void on_side_end(void *data)
{
    end(((struct side *)data)->splice);
}

static const struct stream_callbacks CALLBACKS = {on_read, on_side_end, on_written};

struct splice *splice_start(struct stream *one, struct stream *other, void (*on_end)(void *data), void *data)
{
    struct splice *splice = calloc(1, sizeof *splice);
    if (splice == NULL) {
        stream_close(one);
        stream_close(other);
        return NULL;
    }
    splice->on_end = on_end;
    splice->data = data;
    for (int i = 0; i < 2; i++) {
        splice->sides[i] =
            (struct side){.splice = splice, .other = &splice->sides[1 - i], .stream = i == 0 ? one : other};
        stream_start(splice->sides[i].stream, &CALLBACKS, &splice->sides[i]);
    }
    return splice;
}

void splice_stop(struct splice *splice)
{
    if (splice == NULL) {
        return;
    }
    for (int i = 0; i < 2; i++) {
        stream_close(splice->sides[i].stream);
        free(splice->sides[i].leaving);
    }
    free(splice);
}
