#include "lib/pg/errand.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include "lib/base/arena.h"

/* Resolvers and TLS handshakes need more than the 128 KiB that musl gives a thread. */
enum { STACK_BYTES = 1024 * 1024 };

struct errand {
    pthread_mutex_t mutex;
    pthread_cond_t is_over;
    void (*run)(void *work);
    void (*release)(void *work);
    void *work;
    bool is_done, is_left; /* run() has returned; nobody waits any more */
};

static void free_errand(struct errand *errand)
{
    pthread_cond_destroy(&errand->is_over);
    pthread_mutex_destroy(&errand->mutex);
    free(errand);
}

static void *thread_main(void *argument)
{
    struct errand *errand = argument;
    errand->run(errand->work);
    pthread_mutex_lock(&errand->mutex);
    errand->is_done = true;
    bool is_left = errand->is_left;
    pthread_cond_signal(&errand->is_over);
    pthread_mutex_unlock(&errand->mutex);
    if (is_left) {
        errand->release(errand->work);
        free_errand(errand);
    }
    return NULL;
}

/* Signals belong to the main thread: it alone looks at them. */
static bool start_thread(struct errand *errand)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_t thread;
    bool is_started = pthread_create(&thread, &attributes, thread_main, errand) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return is_started;
}

struct errand *errand_start(void (*run)(void *work), void (*release)(void *work), void *work)
{
    struct errand *errand = mem_alloc(sizeof *errand);
    errand->run = run;
    errand->release = release;
    errand->work = work;
    pthread_mutex_init(&errand->mutex, NULL);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&errand->is_over, &monotonic);
    pthread_condattr_destroy(&monotonic);
    if (start_thread(errand))
        return errand;
    free_errand(errand);
    return NULL;
}

bool errand_wait(struct errand *errand, uint64_t ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += (time_t)(ms / 1000);
    until.tv_nsec += (long)(ms % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_nsec -= 1000000000;
        until.tv_sec++;
    }
    pthread_mutex_lock(&errand->mutex);
    while (!errand->is_done &&
           pthread_cond_timedwait(&errand->is_over, &errand->mutex, &until) == 0)
        ;
    bool is_done = errand->is_done;
    pthread_mutex_unlock(&errand->mutex);
    return is_done;
}

void *errand_end(struct errand *errand)
{
    pthread_mutex_lock(&errand->mutex);
    bool is_done = errand->is_done;
    errand->is_left = true;
    pthread_mutex_unlock(&errand->mutex);
    if (!is_done)
        return NULL;
    void *work = errand->work;
    free_errand(errand);
    return work;
}
