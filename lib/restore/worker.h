/*
 * worker - the threads of a load.
 *
 * The main thread decides what runs; workers take tasks from one bounded queue and answer with
 * messages through another. Each has its own session, opened at its first task, and touches nothing
 * else that changes. A task ends with MESSAGE_DONE or MESSAGE_FAILED; before that comes one
 * MESSAGE_ENTRY per entry of it, and MESSAGE_BYTES now and then. After a failure the worker goes on
 * with the next task: it is the main thread that gives the load up, by requesting the context's
 * cancel flag.
 *
 *     pool_start(); { pool_give(); pool_take(); } ...; pool_stop();
 */
#ifndef RR_RESTORE_WORKER_H
#define RR_RESTORE_WORKER_H

#include "lib/restore/apply.h"
#include "lib/restore/order.h"
#include "lib/restore/session.h"

/* Entries in this order, or one statement. What the pointers name must live until the task has
 * ended. */
struct task {
    const uint32_t *positions;
    size_t count;
    const char *sql; /* NULL: entries */
    uint64_t cost;   /* of the statement, handed back */
};

enum message_kind { MESSAGE_BYTES, MESSAGE_ENTRY, MESSAGE_DONE, MESSAGE_FAILED };

struct message {
    enum message_kind kind;
    unsigned worker;
    uint32_t
        position; /* MESSAGE_BYTES, MESSAGE_ENTRY, MESSAGE_FAILED: of the entry; or ORDER_NOWHERE */
    uint64_t bytes, rows;   /* MESSAGE_BYTES: since the last one */
    struct applied applied; /* MESSAGE_ENTRY */
    struct task task;       /* MESSAGE_DONE, MESSAGE_FAILED */
    struct error err;       /* MESSAGE_FAILED */
};

struct pool;

/* Starts `jobs` workers, which read `order`'s items and nothing else of it. Both must outlive the
 * pool. */
enum errc pool_start(struct load_context *load, const struct order *order, unsigned jobs,
                     struct pool **ret_pool, struct error *err) RR_MUST_CHECK;
/* Never more tasks than workers are under way at a time. */
void pool_give(struct pool *pool, const struct task *task);
/* Waits for a message for at most `ms`. */
bool pool_take(struct pool *pool, struct message *ret_message, uint64_t ms);
/* Ends the workers and waits for them; what they still say is dropped. For workers that are busy
 * the context's cancel flag must be requested. *ret_bytes_read (may be NULL): what they fetched of
 * the archive. NULL is accepted. */
void pool_stop(struct pool *pool, uint64_t *ret_bytes_read);

#endif
