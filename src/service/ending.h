/* What happens when logins have ended: see service/logins.h. Private to service. */
#ifndef STONECHAT_SERVICE_ENDING_H
#define STONECHAT_SERVICE_ENDING_H

#include "repository/login.h"
#include "service/services.h"

/* For on_commit of statements on services->db that end logins: their tokens are good no more, their sessions end, and
 * the other nodes are told. */
void ending_publish(struct services *services, const struct db_rows *rows);

/* The same for a login that was found to have ended, without telling the other nodes. On the thread of
 * services->hub. False without memory. */
bool ending_note(struct services *services, const struct login_ended *ended);

#endif
