/* Calls that wait, in the order in which they came. Private to db. */
#ifndef STONECHAT_DB_QUEUE_H
#define STONECHAT_DB_QUEUE_H

#include "db/db.h"

struct queue {
    const struct db_statement *statement; /* whose calls wait here; where several do, the first of them */
    struct db_call *first, **last;        /* linked by `next`; an empty queue has last = &first */
};

void queue_push(struct queue *queue, struct db_call *call);
void queue_push_front(struct queue *queue, struct db_call *call);

/* Takes up to `max` calls off the front. */
struct db_call *queue_take(struct queue *queue, int max, int *ret_count);

/* How many from the front are of one statement, up to `max`. */
int queue_run_length(const struct queue *queue, int max);

#endif
