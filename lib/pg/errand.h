/*
 * errand - one blocking call in a thread of its own, so that whoever waits for it can stop waiting.
 *
 * libpq has calls that block beyond our control (names are resolved while connecting; PQcancel
 * waits for the server to hang up). An errand runs such a call; errand_wait() waits for it in
 * slices. Ownership: `work` belongs to the errand from errand_start() on. errand_end() gives it
 * back when the call has returned, and otherwise leaves it to the thread, which releases it when
 * the call returns.
 *
 * Private to lib/pg.
 */
#ifndef RR_PG_ERRAND_H
#define RR_PG_ERRAND_H

#include <stdbool.h>
#include <stdint.h>

struct errand;

/* Starts run(work). NULL when no thread could be made; `work` is then still the caller's. */
struct errand *errand_start(void (*run)(void *work), void (*release)(void *work), void *work);
/* Waits up to `ms`; true when run() has returned. */
bool errand_wait(struct errand *errand, uint64_t ms);
/* Ends the errand. Returns `work` (now the caller's) if run() has returned, else NULL. */
void *errand_end(struct errand *errand);

#endif
