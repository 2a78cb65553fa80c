/* The statements, each defined in the file of its model. Private to repository. */
#ifndef STONECHAT_REPOSITORY_STATEMENT_LIST_H
#define STONECHAT_REPOSITORY_STATEMENT_LIST_H

#include "db/db.h"

/* In the order in which what waits is sent, but for what is in turn: a contact is made before messages are let through,
 * and removed after that. */
#define STATEMENTS(X)                                                                                                  \
    X(USER_FIND)                                                                                                       \
    X(USER_SEARCH)                                                                                                     \
    X(USER_REGISTER)                                                                                                   \
    X(USER_FIND_CREDENTIALS)                                                                                           \
    X(USER_LOGIN_FAILED)                                                                                               \
    X(USER_LOGIN_SUCCEEDED)                                                                                            \
    X(USER_CHANGE_HASH)                                                                                                \
    X(USER_CHANGE_PASSWORD)                                                                                            \
    X(USER_DELETE)                                                                                                     \
    X(LOGIN_REFRESH)                                                                                                   \
    X(LOGIN_REVOKE)                                                                                                    \
    X(LOGIN_LIST)                                                                                                      \
    X(LOGIN_LIST_REVOKED)                                                                                              \
    X(LOGIN_PRUNE)                                                                                                     \
    X(LOGIN_PRUNE_FAILURES)                                                                                            \
    X(AUDIT_PRUNE)                                                                                                     \
    X(TWO_FACTOR_FIND)                                                                                                 \
    X(TWO_FACTOR_SETUP)                                                                                                \
    X(TWO_FACTOR_ENABLE)                                                                                               \
    X(TWO_FACTOR_USE)                                                                                                  \
    X(TWO_FACTOR_FAIL)                                                                                                 \
    X(TWO_FACTOR_DISABLE)                                                                                              \
    X(TWO_FACTOR_RESEAL)                                                                                               \
    X(FRIEND_REQUEST_SEND)                                                                                             \
    X(FRIEND_REQUEST_ACCEPT)                                                                                           \
    X(FRIEND_REQUEST_REJECT)                                                                                           \
    X(CONTACT_LIST)                                                                                                    \
    X(CONTACT_LIST_IDS)                                                                                                \
    X(CONTACT_CHECK)                                                                                                   \
    X(CONTACT_WENT_OFFLINE)                                                                                            \
    X(MESSAGE_APPEND)                                                                                                  \
    X(MESSAGE_MARK_READ)                                                                                               \
    X(MESSAGE_LIST)                                                                                                    \
    X(CHAT_LIST)                                                                                                       \
    X(CHAT_LIST_VERSION)                                                                                               \
    X(CALL_START)                                                                                                      \
    X(CALL_ANSWER)                                                                                                     \
    X(CALL_CHECK)                                                                                                      \
    X(CALL_END)                                                                                                        \
    X(CONTACT_REMOVE)                                                                                                  \
    X(CALL_EXPIRE)                                                                                                     \
    X(CALL_ABANDON)                                                                                                    \
    X(CALL_LIST_ACTIVE)                                                                                                \
    X(CALL_LIST)                                                                                                       \
    X(NODE_RENEW)                                                                                                      \
    X(NODE_BURY)                                                                                                       \
    X(NODE_LIST)                                                                                                       \
    X(NODE_PEERS)                                                                                                      \
    X(NODE_HOLD)                                                                                                       \
    X(NODE_RELEASE)

#define X(name) extern const struct db_statement STATEMENT_##name;
STATEMENTS(X)
#undef X

#endif
