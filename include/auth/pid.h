/* What a client keeps to come back as the session that it was: Socket.IO's private id. It says which session and where
 * in the user's log it began, sealed, so that any node believes it, after any restart, and nobody makes one up. */
#ifndef STONECHAT_AUTH_PID_H
#define STONECHAT_AUTH_PID_H

#include <stdbool.h>
#include <stdint.h>

#include "auth/token.h"
#include "util/slice.h"
#include "util/uuid.h"

enum { PID_LENGTH = 56 };

/* Writes a pid and a terminator. */
void pid_make(const struct token_key *key, struct uuid user_id, struct uuid session_id, int64_t start_seq,
              char out[PID_LENGTH + 1]);

/* False when it was not made with this key for this user. */
bool pid_parse(const struct token_key *key, struct uuid user_id, struct slice text, struct uuid *ret_session_id,
               int64_t *ret_start_seq);

#endif
