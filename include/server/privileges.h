/* What the process may do once its ports are open. */
#ifndef STONECHAT_SERVER_PRIVILEGES_H
#define STONECHAT_SERVER_PRIVILEGES_H

#include <stdbool.h>

/* Started as root, the process goes on as `user`, in all threads and for good. False (logged) when that fails: it must
 * not go on. As anybody else nothing happens. */
bool server_drop_privileges(const char *user);

#endif
