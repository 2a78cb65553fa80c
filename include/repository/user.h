/* Users and their logins: the statements, and what their rows say. Each function fills `call` with its statement and
 * values; the texts must stay until the call is done. `ip` is for the audit log: from where it was asked, empty when
 * that is not known. */
#ifndef STONECHAT_REPOSITORY_USER_H
#define STONECHAT_REPOSITORY_USER_H

#include "db/db.h"
#include "repository/login.h"

/* A row's texts live as long as its rows. */
struct user {
    struct uuid id;
    struct slice username;
    bool has_last_seen;
    int64_t last_seen_us; /* since 1970 */
};

/* Reads a user from three columns, from `column` on: id, username, last_seen_at. */
struct user user_decode(const struct db_rows *rows, int row, int column);

/* A user by id: one row (user_decode from column 0), or none. */
void user_find(struct db_call *call, struct uuid id);

/* At most `max` users but `self` whose names begin with `prefix` (in any case), by name; a row a user, as user_find. */
void user_search(struct db_call *call, struct uuid self, struct slice prefix, int64_t max);

/* A new user with a first login. One row: the status CREATED or USERNAME_TAKEN. */
struct user_registration {
    struct uuid id;
    struct slice username, password_hash;
};
void user_register(struct db_call *call, const struct user_registration *registration, const struct login_draft *login);

/* Whose password was looked up, and which one of his: what is done by it fails when there is a newer one. */
struct user_checked {
    struct uuid id;
    int64_t password_version;
};

/* What a login needs to know. One row. */
struct user_credentials {
    bool exists;
    int64_t locked_s;           /* how long the name is still locked out; 0: it is not */
    struct user_checked user;   /* nil without a user */
    struct slice password_hash; /* empty without a user */
};
void user_find_credentials(struct db_call *call, struct slice username);
struct user_credentials user_decode_credentials(const struct db_rows *rows);

/* Counts a failure; the name is locked for `lockout_minutes` after `max_failures`. One row, of no interest. */
void user_login_failed(struct db_call *call, struct slice username, int64_t max_failures, int64_t lockout_minutes,
                       struct slice ip);

/* Starts a login and forgets the failures. One row: the status OK, ACCOUNT_LOCKED or INVALID_CREDENTIALS. */
void user_login_succeeded(struct db_call *call, struct slice username, const struct user_checked *user,
                          const struct login_draft *login);

/* A new password, of which `hash` is the hash; ends all logins but `spared`. The first row has the status OK or
 * INVALID_CREDENTIALS, the others a login each (login_decode_ended). */
void user_change_password(struct db_call *call, const struct user_checked *user, struct slice hash, struct uuid spared,
                          struct slice ip);

/* Takes the account out. Rows as user_change_password; some have a contact instead of a login: nil for none. */
void user_delete(struct db_call *call, const struct user_checked *user, struct slice ip);
struct uuid user_decode_lost_contact(const struct db_rows *rows, int row);

/* Replaces a hash that is still `old_hash`. No row of interest. */
void user_change_hash(struct db_call *call, struct uuid id, struct slice old_hash, struct slice new_hash);

#endif
