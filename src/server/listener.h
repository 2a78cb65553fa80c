/* Listening sockets. Before any thread runs. */
#ifndef STONECHAT_SERVER_LISTENER_H
#define STONECHAT_SERVER_LISTENER_H

/* `setting` is the one that names the address. Opens `count` (at least 1) non-blocking sockets that share one port of
 * the address, and writes them to `ret_fds`, the caller's to close; with port 0 the system chooses one for all. Returns
 * the port, or -1, logged, with none of them open. */
int listener_open(const char *setting, const char *host, int port, int count, int *ret_fds);

#endif
