#include "lib/restore/progress.h"

void progress_init(struct progress *progress, uint64_t total_cost, uint64_t bytes_total,
                   uint64_t entries_total)
{
    *progress = (struct progress){
        .total_cost = total_cost, .bytes_total = bytes_total, .entries_total = entries_total};
}

static uint64_t at_most(uint64_t value, uint64_t limit)
{
    return value < limit ? value : limit;
}

void progress_add(struct progress *progress, unsigned worker, uint64_t cost, uint64_t bytes,
                  uint64_t rows)
{
    /* An entry that is tried again reads its bytes again. */
    progress->in_flight[worker] = at_most(progress->in_flight[worker] + bytes, cost);
    progress->bytes_done = at_most(progress->bytes_done + bytes, progress->bytes_total);
    progress->rows += rows;
}

void progress_finish(struct progress *progress, unsigned worker, uint64_t cost)
{
    progress->in_flight[worker] = 0;
    progress->entries_done++;
    progress_finish_other(progress, cost);
}

void progress_finish_other(struct progress *progress, uint64_t cost)
{
    progress->done_cost = at_most(progress->done_cost + cost, progress->total_cost);
}

static unsigned percent_of(const struct progress *progress)
{
    uint64_t cost = progress->done_cost;
    for (unsigned i = 0; i < LIMIT_JOBS; i++)
        cost += progress->in_flight[i];
    cost = at_most(cost, progress->total_cost);
    if (progress->total_cost == 0)
        return 0;
    /* Only the end is 100. */
    return (unsigned)at_most((uint64_t)((double)cost / (double)progress->total_cost * 100), 99);
}

struct load_progress progress_now(struct progress *progress, const char *stage, bool is_over)
{
    unsigned percent = is_over ? 100 : percent_of(progress);
    if (percent > progress->percent)
        progress->percent = percent;
    return (struct load_progress){.stage = stage,
                                  .bytes_done = progress->bytes_done,
                                  .bytes_total = progress->bytes_total,
                                  .entries_done = progress->entries_done,
                                  .entries_total = progress->entries_total,
                                  .rows = progress->rows,
                                  .percent = progress->percent};
}
