/*
 * The heartbeat: a thread that lets the server see, every five seconds, that the holder of the lock
 * is alive. Others read pg_stat_activity.state_change. It pings only a session that is idle; one
 * that is at work shows that by itself. A ping that fails marks the session as lost: its lock may
 * be somebody else's already.
 */
#include <errno.h>
#include <signal.h>
#include <time.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/pg/control_internal.h"

enum { BEAT_MS = 5000, IDLE_MS = 4000, PING_LIMIT_MS = 15 * 1000, STACK_BYTES = 1024 * 1024 };

/* Runs with the mutex held. */
static void ping(struct control *control)
{
    struct conn *conn = control->conn;
    struct error err = ERROR_INIT;
    conn_set_limit_ms(conn, PING_LIMIT_MS);
    if (conn_exec(conn, "SELECT 1", &err)) {
        atomic_store(&control->is_lost, true);
        log_debug("the session of the database lock broke", LOG_TEXT("cause", err.text));
    }
    conn_set_limit_ms(conn, CONTROL_LIMIT_MS);
    control->last_used_ms = clock_boottime_ms(clock_system());
}

static void beat(struct control *control)
{
    if (pthread_mutex_trylock(&control->mutex) != 0)
        return;
    uint64_t idle_ms = clock_boottime_ms(clock_system()) - control->last_used_ms;
    if (!control_is_lost(control) && idle_ms >= IDLE_MS)
        ping(control);
    pthread_mutex_unlock(&control->mutex);
}

static void *heart_main(void *argument)
{
    struct control *control = argument;
    pthread_mutex_lock(&control->stop_mutex);
    while (!control->is_stopping) {
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += BEAT_MS / 1000;
        int rc = pthread_cond_timedwait(&control->stop_signal, &control->stop_mutex, &until);
        if (rc != ETIMEDOUT)
            continue;
        pthread_mutex_unlock(&control->stop_mutex);
        beat(control);
        pthread_mutex_lock(&control->stop_mutex);
    }
    pthread_mutex_unlock(&control->stop_mutex);
    return NULL;
}

void control_heart_start(struct control *control)
{
    if (control->has_heart)
        return;
    sigset_t all, before;
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    control->has_heart = pthread_create(&control->heart, &attributes, heart_main, control) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    if (!control->has_heart)
        mem_die(STACK_BYTES);
}

void control_heart_stop(struct control *control)
{
    if (!control->has_heart)
        return;
    pthread_mutex_lock(&control->stop_mutex);
    control->is_stopping = true;
    pthread_cond_signal(&control->stop_signal);
    pthread_mutex_unlock(&control->stop_mutex);
    pthread_join(control->heart, NULL);
    control->has_heart = false;
}
