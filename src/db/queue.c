#include "queue.h"

/* However many wait for one busy conversation, a turn looks at no more. */
enum { LOOK_MAX = 512 };

void queue_push(struct queue *queue, struct db_call *call)
{
    call->next = NULL;
    *queue->last = call;
    queue->last = &call->next;
}

void queue_push_front(struct queue *queue, struct db_call *call)
{
    call->next = queue->first;
    queue->first = call;
    if (call->next == NULL) {
        queue->last = &call->next;
    }
}

struct db_call *queue_take_all(struct queue *queue, int *ret_count)
{
    struct db_call *taken = queue->first;
    *ret_count = 0;
    for (const struct db_call *call = taken; call != NULL; call = call->next) {
        ++*ret_count;
    }
    queue->first = NULL;
    queue->last = &queue->first;
    return taken;
}

struct db_call *queue_take_group(struct queue *queue, int max, struct concerns *held, struct concerns *own,
                                 int *ret_count)
{
    struct db_call *taken = NULL, **last = &taken, **link = &queue->first;
    int count = 0;
    for (int looked_at = 0; *link != NULL && count < max && looked_at < LOOK_MAX; looked_at++) {
        struct db_call *call = *link;
        if (concerns_have(held, call)) {
            concerns_add(held, call);
            link = &call->next;
            continue;
        }
        if (taken != NULL && call->statement != taken->statement) {
            break;
        }
        concerns_add(own, call);
        *link = call->next;
        *last = call;
        last = &call->next;
        count++;
    }
    *last = NULL;
    if (*link == NULL) {
        queue->last = link;
    }
    *ret_count = count;
    return taken;
}
