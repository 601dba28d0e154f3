/*
 * retry - the only place that loops on errors.
 *
 * A call that fails with a transient code (errc_is_transient()) is made again after a pause that
 * doubles from first_pause_ms up to max_pause_ms, until `attempts` calls were made or total_ms have
 * passed. What comes back on failure is the last cause, with the first one added when they differ,
 * and the number of tries. A call may ask for a longer pause (Retry-After) with retry_ask_pause().
 */
#ifndef RR_BASE_RETRY_H
#define RR_BASE_RETRY_H

#include <stdint.h>

#include "lib/base/error.h"

struct cancel;
struct clock;

struct retry_policy {
    unsigned attempts; /* at least 1 */
    uint64_t first_pause_ms;
    uint64_t max_pause_ms;
    uint64_t total_ms; /* no new try after that; 0: no such bound */
};

/* State of one loop, handed to the call. */
struct retry {
    unsigned attempt;  /* 1 for the first try */
    uint64_t asked_ms; /* pause that the peer asked for, 0 if none */
};

/* The peer asked to be left alone for `ms`; honoured up to the policy's max_pause_ms. */
void retry_ask_pause(struct retry *retry, uint64_t ms);

/* Calls `call(context, &retry, err)` as described above. `call` must leave the world as if it had
 * not been called when it fails with a transient code, or be repeatable. `cancel` may be NULL; when
 * it is requested during a pause the result is ERR_CANCELLED. */
enum errc retry_run(const struct retry_policy *policy, const struct clock *clock,
                    const struct cancel *cancel,
                    enum errc (*call)(void *context, struct retry *retry, struct error *err),
                    void *context, struct error *err) RR_MUST_CHECK;

#endif
