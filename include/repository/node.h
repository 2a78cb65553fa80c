/* The nodes on this database, and whom each of them holds. Each function fills `call`. */
#ifndef STONECHAT_REPOSITORY_NODE_H
#define STONECHAT_REPOSITORY_NODE_H

#include "db/db.h"

/* Extends a node's lease. One row: was it unknown, so that what it held was forgotten? And its number: `number`, unless
 * that one was taken. `address` stays the caller's until the call is done; it is empty when the node stops, and will
 * not extend its lease again. */
void node_renew(struct db_call *call, struct uuid node_id, int64_t lease_seconds, int number, struct slice address);
bool node_decode_is_new(const struct db_rows *rows);
int node_decode_number(const struct db_rows *rows);

/* Takes out the nodes whose lease has ended, but `burier`. A row a user that they held, those of a node side by side.
 * Had the node stopped, or has it died? */
struct node_user {
    struct uuid node_id;
    struct uuid user_id; /* nil: the node held nobody */
};
void node_bury(struct db_call *call, struct uuid burier);
bool node_decode_has_left(const struct db_rows *rows, int row);
/* Whom all nodes but `asker` hold, rows as node_bury. */
void node_list(struct db_call *call, struct uuid asker);
struct node_user node_decode_user(const struct db_rows *rows, int row);

/* The nodes but `asker` that can be reached, a row each. The address lives as long as the rows. */
struct node_peer {
    int number;
    struct slice address;
};
void node_peers(struct db_call *call, struct uuid asker);
struct node_peer node_decode_peer(const struct db_rows *rows, int row);

/* The node holds the user; holds him no more. No row. */
void node_hold(struct db_call *call, struct uuid node_id, struct uuid user_id);
void node_release(struct db_call *call, struct uuid node_id, struct uuid user_id);

#endif
