/* Calls that wait, in the order in which they came. Private to db. */
#ifndef STONECHAT_DB_QUEUE_H
#define STONECHAT_DB_QUEUE_H

#include "concerns.h"
#include "db/db.h"

struct queue {
    const struct db_statement *statement; /* whose calls wait here; where several do, the first of them */
    struct db_call *first, **last;        /* linked by `next`; an empty queue has last = &first */
};

void queue_push(struct queue *queue, struct db_call *call);
void queue_push_front(struct queue *queue, struct db_call *call);

/* Takes all of them. */
struct db_call *queue_take_all(struct queue *queue, int *ret_count);

/* Takes a group: the first calls, up to `max` of one statement, that concern nobody of `held`. What those concern that
 * are passed over is added to `held`, and what the group concerns to `own`. NULL when all have to wait. */
struct db_call *queue_take_group(struct queue *queue, int max, struct concerns *held, struct concerns *own,
                                 int *ret_count);

#endif
