/*
 * lease - a Lease (coordination.k8s.io/v1) held while a run works, by client-go's algorithm
 * (tools/leaderelection), with a thread and a connection of its own.
 *
 * Freshness is judged by our own boot-time clock from when a record was first seen unchanged, never
 * by the times written in it. Writes are PUTs with uid and resourceVersion. Our validity counts
 * from before the request that renewed it was sent. The Lease alone does not fence: see
 * lib/pg/control.h.
 *
 * With duration D the lease is renewed every D/6, and once nothing could be renewed for D it is not
 * valid any more. The thread goes on trying: when the server answers again and the Lease is still
 * ours (same uid, same holder), a renewal by compare-and-swap proves that nobody had it in between
 * and makes it valid again. Found with another holder, another uid or gone, it is lost for good.
 */
#ifndef RR_KUBE_LEASE_H
#define RR_KUBE_LEASE_H

#include <stdint.h>

#include "lib/base/arena.h"
#include "lib/base/error.h"
#include "lib/kube/kubeconfig.h"

struct cancel;
struct clock;
struct lease;

struct lease_options {
    const struct kubeconfig *config; /* borrowed, must outlive the lease */
    const char *name;
    const char *identity; /* unique for each process */
    unsigned duration_s;  /* 6 to 3600 */
    const struct clock *clock;
    const struct cancel *cancel; /* ends the waiting in lease_acquire() */
};

/* Takes the Lease, or finds that a live holder has it: *ret_lease = NULL then, and *ret_holder (in
 * the arena) is who. Whether a holder is alive shows only by waiting: up to the duration that its
 * record names. A Lease that sets spec.strategy, or a duration of more than an hour, is somebody
 * else's making: ERR_UNSUPPORTED with a hint, never taken. ERR_API, ERR_FORBIDDEN,
 * ERR_UNAUTHENTICATED, ERR_CANCELLED. */
enum errc lease_acquire(const struct lease_options *options, struct arena *arena,
                        struct lease **ret_lease, const char **ret_holder,
                        struct error *err) RR_MUST_CHECK;

/* Ours, for at least `need_ms` more (but no more than two thirds of the duration is asked for).
 * Where it is not, has it renewed, and waits up to `wait_ms` for that (an API server that is away).
 * ERR_FENCE_LOST: lost for good; ERR_API: could not be renewed in time; ERR_CANCELLED (`cancel` may
 * be NULL). Any thread. */
enum errc lease_check(struct lease *lease, uint64_t need_ms, uint64_t wait_ms,
                      const struct cancel *cancel, struct error *err) RR_MUST_CHECK;

/* Ends the thread. With `gives_back` the Lease is released if it is still ours (best effort, within
 * a few seconds): only when nothing of the run lives any more. NULL is accepted. */
void lease_close(struct lease *lease, bool gives_back);

#endif
