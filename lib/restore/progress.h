/*
 * progress - how far a load is. Pure.
 *
 * Every entry has a cost (order.h); what counts is the cost of the finished ones plus the bytes
 * that running ones have read so far. The percentage never goes back.
 */
#ifndef RR_RESTORE_PROGRESS_H
#define RR_RESTORE_PROGRESS_H

#include "lib/base/limits.h"
#include "lib/restore/load.h"

struct progress {
    uint64_t total_cost, done_cost;
    uint64_t in_flight[LIMIT_JOBS]; /* of the entry that each worker has in hand */
    uint64_t bytes_done, bytes_total;
    uint64_t entries_done, entries_total;
    uint64_t rows;
    unsigned percent;
};

void progress_init(struct progress *progress, uint64_t total_cost, uint64_t bytes_total,
                   uint64_t entries_total);
/* Worker `worker` has read `bytes` more of an entry that costs `cost`, and sent `rows` more. */
void progress_add(struct progress *progress, unsigned worker, uint64_t cost, uint64_t bytes,
                  uint64_t rows);
/* The entry that the worker had in hand is finished. */
void progress_finish(struct progress *progress, unsigned worker, uint64_t cost);
/* The same for work that is no entry (ANALYZE). */
void progress_finish_other(struct progress *progress, uint64_t cost);
/* The state now; `is_over`: the load is complete, 100 percent. Remembers the percentage. */
struct load_progress progress_now(struct progress *progress, const char *stage, bool is_over);

#endif
