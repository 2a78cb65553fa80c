/* Whom this node holds, as the database has it, for the other nodes and for whoever buries this one. Private to
 * service; on the node's thread. */
#ifndef STONECHAT_SERVICE_NODE_ROWS_H
#define STONECHAT_SERVICE_NODE_ROWS_H

#include "service/services.h"

struct node_rows;

struct node_rows_callbacks {
    /* What node_rows_put called a coming has been written. */
    void (*on_coming)(void *data, struct uuid user_id);
    /* The user's row is gone. */
    void (*on_released)(void *data, struct uuid user_id);
};

/* NULL without memory. */
struct node_rows *node_rows_create(struct services *services, struct uuid node_id,
                                   const struct node_rows_callbacks *callbacks, void *data);
/* Nothing is written any more, and nobody called back. NULL is fine. */
void node_rows_stop(struct node_rows *rows);
/* After the database has gone. NULL is fine. */
void node_rows_destroy(struct node_rows *rows);

/* The user's row may be out of date: node_rows_write will see to it. Calls nothing. Without memory it is forgotten. */
void node_rows_put(struct node_rows *rows, struct uuid user_id, bool is_coming);
void node_rows_write(struct node_rows *rows);
/* Writes also what could not be written before. */
void node_rows_retry(struct node_rows *rows);

#endif
