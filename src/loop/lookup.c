#include "loop/lookup.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A name has a thread of its own, which nobody waits for: it either brings its result to the loop or, if that has been
 * given up meanwhile, takes it away. The mutex keeps the loop there while the thread posts to it. An address needs no
 * thread. */

enum { PORT_SIZE = 12 };

struct lookup {
    struct loop_task task; /* first: the task is the lookup */
    struct loop *loop;
    lookup_on_done *on_done;
    void *data;
    char *host, port[PORT_SIZE];
    struct addrinfo *addresses;
    int failure; /* of getaddrinfo; 0: none */
    pthread_mutex_t mutex;
    bool is_cancelled; /* under the mutex */
};

static void destroy(struct lookup *lookup)
{
    if (lookup->addresses != NULL) {
        freeaddrinfo(lookup->addresses);
    }
    pthread_mutex_destroy(&lookup->mutex);
    free(lookup->host);
    free(lookup);
}

static void resolve(struct lookup *lookup, int flags)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV | flags};
    lookup->failure = getaddrinfo(lookup->host, lookup->port, &hints, &lookup->addresses);
    if (lookup->failure != 0) {
        lookup->addresses = NULL;
    }
}

static void *run_thread(void *data)
{
    struct lookup *lookup = data;
    resolve(lookup, 0);
    pthread_mutex_lock(&lookup->mutex);
    bool is_cancelled = lookup->is_cancelled;
    if (!is_cancelled) {
        loop_post(lookup->loop, &lookup->task);
    }
    pthread_mutex_unlock(&lookup->mutex);
    if (is_cancelled) {
        destroy(lookup);
    }
    return NULL;
}

static void on_result(struct loop_task *task)
{
    struct lookup *lookup = (struct lookup *)task;
    pthread_mutex_lock(&lookup->mutex); /* until the thread has let go of it */
    pthread_mutex_unlock(&lookup->mutex);
    if (!lookup->is_cancelled) {
        struct addrinfo *addresses = lookup->addresses;
        lookup->addresses = NULL;
        lookup->on_done(lookup->data, addresses, lookup->failure != 0 ? gai_strerror(lookup->failure) : NULL);
    }
    destroy(lookup);
}

static bool start_thread(struct lookup *lookup)
{
    pthread_attr_t attributes;
    pthread_t thread;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    int failure = pthread_create(&thread, &attributes, run_thread, lookup);
    pthread_attr_destroy(&attributes);
    return failure == 0;
}

struct lookup *lookup_start(struct loop *loop, const char *host, int port, lookup_on_done *on_done, void *data)
{
    struct lookup *lookup = calloc(1, sizeof *lookup);
    if (lookup == NULL) {
        return NULL;
    }
    *lookup =
        (struct lookup){.task.run = on_result, .loop = loop, .on_done = on_done, .data = data, .host = strdup(host)};
    pthread_mutex_init(&lookup->mutex, NULL);
    snprintf(lookup->port, sizeof lookup->port, "%d", port);
    if (lookup->host == NULL) {
        destroy(lookup);
        return NULL;
    }
    resolve(lookup, AI_NUMERICHOST);
    if (lookup->failure == 0) {
        loop_post(loop, &lookup->task);
    } else if (!start_thread(lookup)) {
        destroy(lookup);
        return NULL;
    }
    return lookup;
}

void lookup_cancel(struct lookup *lookup)
{
    if (lookup != NULL) {
        pthread_mutex_lock(&lookup->mutex);
        lookup->is_cancelled = true;
        pthread_mutex_unlock(&lookup->mutex);
    }
}
