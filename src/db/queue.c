#include "queue.h"

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

struct db_call *queue_take(struct queue *queue, int max, int *ret_count)
{
    struct db_call *taken = NULL, **last = &taken;
    int count = 0;
    while (queue->first != NULL && count < max) {
        *last = queue->first;
        queue->first = queue->first->next;
        last = &(*last)->next;
        count++;
    }
    *last = NULL;
    if (queue->first == NULL) {
        queue->last = &queue->first;
    }
    *ret_count = count;
    return taken;
}

int queue_run_length(const struct queue *queue, int max)
{
    int count = 0;
    for (const struct db_call *call = queue->first; call != NULL && count < max; call = call->next) {
        if (call->statement != queue->first->statement) {
            break;
        }
        count++;
    }
    return count;
}
