/* The password threads: one queue, one mutex. A job is one allocation that carries everything, goes to a thread by the
 * queue and to its loop as a task, and is wiped when it is freed; the password in it is wiped as soon as it was used.
 */
#include "auth/password.h"

#include <argon2.h>
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <unistd.h>

#include "loop/loop.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/metrics.h"

enum { SALT_BYTES = 16, HASH_BYTES = 32, ENCODED_MAX_BYTES = 128, THREAD_NICENESS = 10 };

struct job {
    struct loop_task task; /* first: a task is its job */
    struct job *next;
    struct password_pool *pool;
    struct loop *loop;
    password_on_hashed *on_hashed; /* one of the two is NULL */
    password_on_verified *on_verified;
    void *data;
    struct log_context context; /* of whoever asked */
    int64_t asked_us;
    enum status status;
    bool needs_rehash, is_dummy;
    char encoded[ENCODED_MAX_BYTES + 1]; /* the result, or what to hold against */
    size_t password_bytes;
    char password[];
};

struct password_pool {
    struct password_options options;
    char prefix[ENCODED_MAX_BYTES + 1]; /* how hashes with these options begin */
    char dummy[ENCODED_MAX_BYTES + 1];  /* a hash with these options */
    pthread_mutex_t mutex;              /* guards what follows */
    pthread_cond_t wakeup;
    struct job *first, **last_next;
    size_t queued;
    bool is_stopping;
    unsigned started;
    pthread_t threads[];
};

/* --- a job's end --- */

static void free_job(struct job *job)
{
    explicit_bzero(job, sizeof *job + job->password_bytes);
    free(job);
}

static void deliver(struct loop_task *task)
{
    struct job *job = (struct job *)task;
    const struct log_context *before = log_enter(&job->context);
    if (job->on_hashed != NULL) {
        job->on_hashed(job->data, job->status, job->status == STATUS_OK ? job->encoded : NULL);
    } else {
        job->on_verified(job->data, job->status, job->needs_rehash);
    }
    log_leave(before);
    free_job(job);
}

static void complete(struct job *job, enum status status)
{
    explicit_bzero(job->password, job->password_bytes);
    job->status = status;
    metrics_observe(HISTOGRAM_PASSWORD, clock_now_us() - job->asked_us);
    job->task = (struct loop_task){.run = deliver};
    loop_post(job->loop, &job->task);
}

/* --- on the threads --- */

static enum status run_hash(struct job *job)
{
    const struct password_options *options = &job->pool->options;
    unsigned char salt[SALT_BYTES];
    if (getrandom(salt, sizeof salt, 0) != (ssize_t)sizeof salt) {
        return STATUS_UNAVAILABLE;
    }
    int error =
        argon2id_hash_encoded(options->iterations, options->memory_kib, options->parallelism, job->password,
                              job->password_bytes, salt, sizeof salt, HASH_BYTES, job->encoded, sizeof job->encoded);
    return error == ARGON2_OK ? STATUS_OK : STATUS_UNAVAILABLE;
}

static enum status run_verify(struct job *job)
{
    int error = argon2id_verify(job->encoded, job->password, job->password_bytes);
    if (error == ARGON2_MEMORY_ALLOCATION_ERROR || error == ARGON2_THREAD_FAIL) {
        return STATUS_UNAVAILABLE;
    }
    if (job->is_dummy || error == ARGON2_VERIFY_MISMATCH) {
        return STATUS_INVALID_CREDENTIALS;
    }
    if (error != ARGON2_OK) {
        return STATUS_INTERNAL;
    }
    job->needs_rehash = strncmp(job->encoded, job->pool->prefix, strlen(job->pool->prefix)) != 0;
    return STATUS_OK;
}

/* The next job, or NULL when the pool stops. */
static struct job *take_job(struct password_pool *pool)
{
    struct job *job = NULL;
    pthread_mutex_lock(&pool->mutex);
    while (pool->first == NULL && !pool->is_stopping) {
        pthread_cond_wait(&pool->wakeup, &pool->mutex);
    }
    if (!pool->is_stopping) {
        job = pool->first;
        pool->first = job->next;
        pool->last_next = pool->first != NULL ? pool->last_next : &pool->first;
        pool->queued--;
        metrics_add(METRIC_PASSWORDS_WAITING, -1);
    }
    pthread_mutex_unlock(&pool->mutex);
    return job;
}

static void *run_thread(void *context)
{
    struct password_pool *pool = context;
    /* where it is not allowed the threads work as well, only less politely */
    setpriority(PRIO_PROCESS, (id_t)gettid(), THREAD_NICENESS);
    for (struct job *job; (job = take_job(pool)) != NULL;) {
        complete(job, job->on_hashed != NULL ? run_hash(job) : run_verify(job));
    }
    return NULL;
}

/* --- the pool --- */

/* The threads get no signals: those are for the program's own. */
static bool start_threads(struct password_pool *pool)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (pool->started < pool->options.threads &&
           pthread_create(&pool->threads[pool->started], NULL, run_thread, pool) == 0) {
        pool->started++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return pool->started == pool->options.threads;
}

struct password_pool *password_pool_create(const struct password_options *options)
{
    assert(options->threads > 0 && options->parallelism > 0 && options->iterations > 0);
    assert(options->memory_kib >= 8 * options->parallelism);
    struct password_pool *pool = calloc(1, sizeof *pool + options->threads * sizeof pool->threads[0]);
    if (pool == NULL) {
        return NULL;
    }
    pool->options = *options;
    pool->last_next = &pool->first;
    pthread_mutex_init(&pool->mutex, NULL);
    pthread_cond_init(&pool->wakeup, NULL);
    snprintf(pool->prefix, sizeof pool->prefix, "$argon2id$v=%d$m=%" PRIu32 ",t=%" PRIu32 ",p=%" PRIu32 "$",
             ARGON2_VERSION_13, options->memory_kib, options->iterations, options->parallelism);
    /* salt and hash are any 16 and 32 bytes: nothing is ever let in by it */
    snprintf(pool->dummy, sizeof pool->dummy, "%.60s%s", pool->prefix,
             "AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
    if (!start_threads(pool)) {
        password_pool_destroy(pool);
        return NULL;
    }
    return pool;
}

void password_pool_stop(struct password_pool *pool)
{
    if (pool == NULL) {
        return;
    }
    pthread_mutex_lock(&pool->mutex);
    pool->is_stopping = true;
    pthread_cond_broadcast(&pool->wakeup);
    pthread_mutex_unlock(&pool->mutex);
    for (unsigned i = 0; i < pool->started; i++) {
        pthread_join(pool->threads[i], NULL);
    }
    pool->started = 0;
    while (pool->first != NULL) {
        struct job *job = pool->first;
        pool->first = job->next;
        complete(job, STATUS_UNAVAILABLE);
    }
}

void password_pool_destroy(struct password_pool *pool)
{
    if (pool == NULL) {
        return;
    }
    password_pool_stop(pool);
    pthread_cond_destroy(&pool->wakeup);
    pthread_mutex_destroy(&pool->mutex);
    free(pool);
}

static struct job *create_job(struct password_pool *pool, struct loop *loop, struct slice password, void *data)
{
    struct job *job = calloc(1, sizeof *job + password.length);
    if (job != NULL) {
        job->pool = pool;
        job->loop = loop;
        job->asked_us = clock_now_us();
        log_get_context(&job->context);
        job->data = data;
        job->password_bytes = password.length;
        if (password.length > 0) {
            memcpy(job->password, password.data, password.length);
        }
    }
    return job;
}

static enum status enqueue(struct password_pool *pool, struct job *job)
{
    pthread_mutex_lock(&pool->mutex);
    bool has_room = !pool->is_stopping && pool->queued < pool->options.queue_max;
    if (has_room) {
        *pool->last_next = job;
        pool->last_next = &job->next;
        pool->queued++;
        metrics_add(METRIC_PASSWORDS_WAITING, 1);
        pthread_cond_signal(&pool->wakeup);
    }
    pthread_mutex_unlock(&pool->mutex);
    if (!has_room) {
        free_job(job);
    }
    return has_room ? STATUS_OK : STATUS_UNAVAILABLE;
}

enum status password_hash(struct password_pool *pool, struct loop *loop, struct slice password,
                          password_on_hashed *on_hashed, void *data)
{
    struct job *job = create_job(pool, loop, password, data);
    if (job == NULL) {
        return STATUS_UNAVAILABLE;
    }
    job->on_hashed = on_hashed;
    return enqueue(pool, job);
}

enum status password_verify(struct password_pool *pool, struct loop *loop, struct slice password, const char *encoded,
                            password_on_verified *on_verified, void *data)
{
    struct job *job = create_job(pool, loop, password, data);
    if (job == NULL) {
        return STATUS_UNAVAILABLE;
    }
    job->on_verified = on_verified;
    job->is_dummy = encoded == NULL;
    /* what is too long was not made here: cut, it matches nothing, for argon2 hashes the length too */
    snprintf(job->encoded, sizeof job->encoded, "%s", encoded != NULL ? encoded : pool->dummy);
    return enqueue(pool, job);
}
