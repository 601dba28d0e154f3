/*
 * rollout - waiting until pods are gone, and until they are ready again. The workloads are looked
 * up anew by kind and name at every look; of what was read before, only the pod selector is used.
 *
 * Gone means that a list of the workload's pods holds none that could still run: a status that says
 * 0 counts terminating pods as gone, and a pod whose node has died may still be connected to the
 * database. Pods that have ended (Succeeded, Failed) do not count.
 */
#ifndef RR_KUBE_ROLLOUT_H
#define RR_KUBE_ROLLOUT_H

#include "lib/kube/workload.h"

struct rollout {
    struct kube *kube;
    const struct clock *clock;
    const struct cancel *cancel; /* may be NULL */
    uint64_t deadline_ms;        /* for the whole wait; at least one look is taken */
    /* Asked before each look; an error ends the wait (a lost lease). May be NULL. */
    enum errc (*may_go_on)(void *context, struct error *err);
    void *context;
};

/*
 * Both look again after a pause that grows from a quarter of a second to two seconds. Trouble with
 * the API server that may pass (also a 401 or 403 for a few seconds, which a server that is just
 * starting answers) does not end the wait; if it lasts to the deadline, the error is that trouble,
 * with its own code. ERR_CANCELLED. Error texts name a handful of pods and count the rest.
 */

/* Every workload keeps replicas 0 and has no pod left. One that is not there any more has none, but
 * pods that it left behind count. ERR_STEP at the deadline names the pods that stay, with node,
 * phase and since when they are being deleted. Somebody who scales one up again meanwhile: ERR_STEP
 * at once, names the manager. */
enum errc rollout_wait_gone(const struct rollout *rollout, const struct workload *workloads,
                            size_t count, struct error *err) RR_MUST_CHECK;
/* Every workload has its generation observed and as many ready replicas as it asks for, of the
 * newest template where it gets there by itself. Ready, not available: minReadySeconds paces
 * updates and would only make the outage longer. ERR_STEP at the deadline says what each one lacks
 * and what its pods say of themselves (ImagePullBackOff, CrashLoopBackOff, Unschedulable, ...). */
enum errc rollout_wait_ready(const struct rollout *rollout, const struct workload *workloads,
                             size_t count, struct error *err) RR_MUST_CHECK;

#endif
