#include "acceptor.h"

#include <errno.h>

#include "loop/h2o_loop.h"
#include "util/log.h"

enum { ACCEPTS_A_TURN = 32, PAUSE_MS = 100 };

static void on_readable(h2o_socket_t *listener, const char *error)
{
    if (error == NULL) {
        acceptor_accept(listener->data);
    }
}

static void on_pause(struct timer *timer)
{
    struct acceptor *acceptor = (struct acceptor *)((char *)timer - offsetof(struct acceptor, pause));
    h2o_socket_read_start(acceptor->listener, on_readable);
}

/* Nothing was accepted. The listener stays readable without free descriptors, so that it is left alone for a while. */
static void on_failure(struct acceptor *acceptor, int error)
{
    if (error != EMFILE && error != ENFILE && error != ENOBUFS && error != ENOMEM) {
        return;
    }
    if (!acceptor->is_full) {
        log_write(LOG_ERROR, "cannot accept connections", LOG_STR("reason", strerror(error)),
                  LOG_INT("connections", acceptor->connections->count));
    }
    acceptor->is_full = true;
    h2o_socket_read_stop(acceptor->listener);
    loop_timer_start(acceptor->loop, &acceptor->pause, PAUSE_MS);
}

void acceptor_accept(struct acceptor *acceptor)
{
    for (int i = 0; i < ACCEPTS_A_TURN; i++) {
        h2o_socket_t *socket = h2o_evloop_socket_accept(acceptor->listener);
        if (socket == NULL) {
            on_failure(acceptor, errno);
            return;
        }
        acceptor->is_full = false;
        acceptor->on_connection(acceptor, socket);
    }
}

void acceptor_start(struct acceptor *acceptor, int fd)
{
    acceptor->pause.on_fire = on_pause;
    acceptor->listener = h2o_evloop_socket_create(loop_h2o(acceptor->loop), fd, H2O_SOCKET_FLAG_DONT_READ);
    acceptor->listener->data = acceptor;
    h2o_socket_read_start(acceptor->listener, on_readable);
}

void acceptor_close(struct acceptor *acceptor)
{
    if (acceptor->listener != NULL) {
        loop_timer_stop(acceptor->loop, &acceptor->pause);
        h2o_socket_close(acceptor->listener);
        acceptor->listener = NULL;
    }
}
