#include "lib/restore/worker.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/restore/queue.h"

/* A worker looks at the cancel flag several times a second, and gives a silent server up after half
 * a minute. */
static const uint64_t stop_deadline_ms = 90 * 1000;
/* musl's default of 128 KiB is little for TLS and name resolution. */
static const size_t stack_bytes = 1024 * 1024;

struct worker {
    struct pool *pool;
    unsigned number;
    pthread_t thread;
    struct session *session; /* NULL until its first task */
    uint32_t position;       /* of the entry in hand */
    uint64_t bytes_read;
};

struct pool {
    struct load_context *load;
    const struct order *order;
    struct queue *tasks, *messages;
    struct worker *workers;
    unsigned started;
    pthread_mutex_t lock;
    unsigned ended; /* under the lock */
};

static void report_bytes(void *context, uint64_t bytes, uint64_t rows)
{
    const struct worker *worker = context;
    struct message message = {.kind = MESSAGE_BYTES,
                              .worker = worker->number,
                              .position = worker->position,
                              .bytes = bytes,
                              .rows = rows};
    queue_put(worker->pool->messages, &message);
}

static enum errc run_entries(struct worker *worker, const struct task *task, struct error *err)
{
    for (size_t i = 0; i < task->count; i++) {
        struct message message = {
            .kind = MESSAGE_ENTRY, .worker = worker->number, .position = task->positions[i]};
        worker->position = task->positions[i];
        if (cancel_check(&worker->pool->load->stop, err) ||
            apply_entry(worker->session, &worker->pool->order->items[worker->position],
                        &message.applied, err))
            return err->code;
        queue_put(worker->pool->messages, &message);
    }
    return RR_OK;
}

static enum errc run_task(struct worker *worker, const struct task *task, struct error *err)
{
    worker->position = ORDER_NOWHERE;
    struct session_meter meter = {.report = report_bytes, .context = worker};
    if (worker->session == NULL && session_open(worker->pool->load, meter, &worker->session, err))
        return err->code;
    if (task->sql == NULL)
        return run_entries(worker, task, err);
    return session_exec(worker->session, task->sql, err);
}

static void end_worker(struct worker *worker)
{
    if (worker->session != NULL && worker->session->reader != NULL)
        worker->bytes_read = worker->session->reader->read_bytes;
    session_close(worker->session);
    pthread_mutex_lock(&worker->pool->lock);
    worker->pool->ended++;
    pthread_mutex_unlock(&worker->pool->lock);
}

static void *run_worker(void *context)
{
    struct worker *worker = context;
    struct task task;
    while (queue_take(worker->pool->tasks, &task)) {
        struct message message = {.kind = MESSAGE_DONE, .worker = worker->number, .task = task};
        if (run_task(worker, &task, &message.err))
            message.kind = MESSAGE_FAILED;
        message.position = worker->position;
        queue_put(worker->pool->messages, &message);
    }
    end_worker(worker);
    return NULL;
}

static int start_thread(struct worker *worker)
{
    pthread_attr_t attributes;
    sigset_t all, old;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, stack_bytes);
    /* Signals are the main thread's. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int failed = pthread_create(&worker->thread, &attributes, run_worker, worker);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    pthread_attr_destroy(&attributes);
    return failed;
}

enum errc pool_start(struct load_context *load, const struct order *order, unsigned jobs,
                     struct pool **ret_pool, struct error *err)
{
    struct pool *pool = mem_alloc(sizeof *pool);
    pool->load = load;
    pool->order = order;
    pool->tasks = queue_new(sizeof(struct task), jobs);
    pool->messages = queue_new(sizeof(struct message), 4 * jobs);
    pool->workers = mem_alloc(jobs * sizeof *pool->workers);
    pthread_mutex_init(&pool->lock, NULL);
    for (unsigned i = 0; i < jobs; i++) {
        pool->workers[i] = (struct worker){.pool = pool, .number = i};
        int failed = start_thread(&pool->workers[i]);
        if (failed != 0) {
            pool_stop(pool, NULL);
            return error_set_errno(err, ERR_NOMEM, failed, "worker thread %u of %u", i + 1, jobs);
        }
        pool->started++;
    }
    *ret_pool = pool;
    return RR_OK;
}

void pool_give(struct pool *pool, const struct task *task)
{
    queue_put(pool->tasks, task);
}

bool pool_take(struct pool *pool, struct message *ret_message, uint64_t ms)
{
    return queue_take_within(pool->messages, ret_message, ms);
}

static bool have_ended(struct pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    bool all = pool->ended == pool->started;
    pthread_mutex_unlock(&pool->lock);
    return all;
}

/* A thread cannot be taken out of a process safely, and what it works on is about to be freed: past
 * the deadline the process ends. Safe, because undo is recorded before every effect: the next run
 * clears up. */
static void wait_for_workers(struct pool *pool)
{
    const struct clock *clock = clock_system();
    uint64_t begin_ms = clock_boottime_ms(clock);
    while (!have_ended(pool)) {
        if (clock_boottime_ms(clock) - begin_ms > stop_deadline_ms) {
            log_error("a worker of the load does not stop; ending the process, the next run "
                      "clears up");
            _exit(errc_exit(ERR_BUG));
        }
        clock_sleep_ms(clock, 10, NULL);
    }
}

void pool_stop(struct pool *pool, uint64_t *ret_bytes_read)
{
    if (pool == NULL)
        return;
    queue_close(pool->tasks);
    /* Nobody listens any more: a worker that has something to say must not wait for room. */
    queue_close(pool->messages);
    wait_for_workers(pool);
    uint64_t bytes_read = 0;
    for (unsigned i = 0; i < pool->started; i++) {
        pthread_join(pool->workers[i].thread, NULL);
        bytes_read += pool->workers[i].bytes_read;
    }
    if (ret_bytes_read != NULL)
        *ret_bytes_read = bytes_read;
    pthread_mutex_destroy(&pool->lock);
    queue_free(pool->tasks);
    queue_free(pool->messages);
    free(pool->workers);
    free(pool);
}
