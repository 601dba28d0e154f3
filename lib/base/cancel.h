/*
 * cancel - one flag that says "stop at the next safe point".
 *
 * The signal handler sets it and nothing else. Whoever waits looks at it at least four times a
 * second. A cancel may have a parent: it counts as requested when either is, so that one failed
 * worker stops its siblings without stopping the program. Safe from any thread and from a handler.
 */
#ifndef RR_BASE_CANCEL_H
#define RR_BASE_CANCEL_H

#include <stdatomic.h>

#include "lib/base/error.h"

/* How long a wait may last before it looks at the flag again. */
enum { CANCEL_POLL_MS = 200 };

struct cancel {
    atomic_bool is_requested;
    const struct cancel *parent; /* NULL: none; must outlive this one */
};

void cancel_request(struct cancel *cancel);
/* NULL is never requested. */
bool cancel_is_requested(const struct cancel *cancel);
/* ERR_CANCELLED "interrupted" when requested. */
enum errc cancel_check(const struct cancel *cancel, struct error *err) RR_MUST_CHECK;

#endif
