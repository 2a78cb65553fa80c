/* Logins: the statements, and what their rows say. Each function fills `call` with its statement and values; the texts
 * must stay until the call is done. */
#ifndef STONECHAT_REPOSITORY_LOGIN_H
#define STONECHAT_REPOSITORY_LOGIN_H

#include "db/db.h"

/* A login as it is begun or refreshed. Texts that are not known are empty. */
struct login_draft {
    struct uuid id;
    struct slice device, ip, user_agent;
    struct slice refresh_hash;              /* hexadecimal */
    int64_t tokens_until_us, expires_at_us; /* since 1970: of the token, of the refresh token */
};

/* Puts `draft` (its device does not count) in the place of the refresh token that has `hash`. One row: the status OK,
 * REUSED (an older one of the login, which is revoked now) or UNAUTHORIZED, and what login_decode_ended reads; with OK,
 * the user and his name. */
void login_refresh(struct db_call *call, const struct login_draft *draft, struct slice hash);
struct slice login_decode_username(const struct db_rows *rows);

/* Ends logins of the user: the one that is `only`, or (nil) all but `spared`, or (both nil) all. A row each. `ip`: from
 * where it was asked, for the audit log. */
void login_revoke(struct db_call *call, struct uuid user_id, struct uuid only, struct uuid spared, struct slice ip);

/* What a statement that ends logins says of them: in each row a status, then the login, which may be missing. */
struct login_ended {
    struct uuid id; /* nil: none */
    struct uuid user_id;
    int64_t tokens_until_us;
};
struct slice login_decode_status(const struct db_rows *rows);
struct login_ended login_decode_ended(const struct db_rows *rows, int row);

/* At most `max` logins of the user that can still be used: `current` first, then by last use. */
struct login_row {
    struct uuid id;
    struct slice device, ip, user_agent; /* data NULL for none */
    int64_t created_at_us, last_used_at_us;
};
void login_list(struct db_call *call, struct uuid user_id, struct uuid current, int64_t max);
struct login_row login_decode(const struct db_rows *rows, int row);

/* The logins that were revoked at `since_us` or later and whose tokens have not expired, by whatever clock. The first
 * row has the database's time, and maybe a login, the others a login each. */
void login_list_revoked(struct db_call *call, int64_t since_us);
struct login_ended login_decode_revoked(const struct db_rows *rows, int row);
int64_t login_decode_now_us(const struct db_rows *rows);

/* Take out at most `max`: logins that nobody can use any more; names whose failed logins count no more. One row: how
 * many. */
void login_prune(struct db_call *call, int64_t max);
void login_prune_failures(struct db_call *call, int64_t lockout_minutes, int64_t max);
int64_t login_decode_pruned(const struct db_rows *rows);

#endif
