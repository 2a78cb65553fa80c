/* Two streams in one: what comes by either goes out by the other, as fast as that one takes it. */
#ifndef STONECHAT_LOOP_SPLICE_H
#define STONECHAT_LOOP_SPLICE_H

#include "loop/stream.h"

struct splice;

/* Starts both streams, which are on the same loop and have not been started; they belong to the splice. When one of
 * them has ended, both are closed, and `on_end` is called: the splice is gone then. NULL without memory: the streams
 * are closed. */
struct splice *splice_start(struct stream *one, struct stream *other, void (*on_end)(void *data), void *data);

/* Closes both streams; on_end is not called. NULL is fine. */
void splice_stop(struct splice *splice);

#endif
