/* Host names, looked up beside the loop: getaddrinfo waits for seconds when no name server answers. */
#ifndef STONECHAT_LOOP_LOOKUP_H
#define STONECHAT_LOOP_LOOKUP_H

#include <netdb.h>

#include "loop/loop.h"

struct lookup;

/* `addresses` of stream sockets, which the callee frees by freeaddrinfo; NULL with what went wrong. The lookup is over.
 */
typedef void lookup_on_done(void *data, struct addrinfo *addresses, const char *error);

/* Looks up the addresses of a host, a name or an address itself, with the port. `on_done` is called in a later turn.
 * NULL without memory or thread. Loop's thread. */
struct lookup *lookup_start(struct loop *loop, const char *host, int port, lookup_on_done *on_done, void *data);

/* `on_done` is not called any more; the loop may end. NULL is fine. Loop's thread. */
void lookup_cancel(struct lookup *lookup);

#endif
