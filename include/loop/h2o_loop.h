/* The doors between the loop and libh2o; only server and http come in by them. */
#ifndef STONECHAT_LOOP_H2O_LOOP_H
#define STONECHAT_LOOP_H2O_LOOP_H

#include <h2o.h>

#include "loop/loop.h"
#include "loop/stream.h"

/* The libh2o loop inside. */
h2o_loop_t *loop_h2o(struct loop *loop);

/* Makes a stream of a socket that nobody else uses any more; the stream closes it. NULL without memory (then the socket
 * is closed). */
struct stream *stream_create(struct loop *loop, h2o_socket_t *socket);

#endif
