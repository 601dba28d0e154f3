/*
 * application - the application in the cluster: which objects, taking them away, bringing them
 * back. Part of run; application.c finds, takeaway.c and bringback.c act, ready.c
 * waits.
 *
 * Every effect is: read the object, decide, ask whether the lock is still ours, patch with a test
 * of the resourceVersion that was read. So a process that slept, and whose lock somebody else has
 * by now, changes nothing. What was written meanwhile is read and decided anew, a few times.
 *
 * What brings it back is in the journal before the effect, for all objects of a step at once, and
 * on the object itself in the same patch as the effect (undo.h, marks.h).
 *
 * Without a cluster beside the store every function here does nothing and succeeds.
 */
#ifndef RR_RECONCILE_APPLICATION_H
#define RR_RECONCILE_APPLICATION_H

#include "lib/kube/ingress.h"
#include "lib/kube/workload.h"
#include "lib/reconcile/marks.h"
#include "lib/reconcile/run.h"
#include "lib/reconcile/undo.h"

#define DEFAULT_MAINTENANCE_SERVICE "restore-reconciler-maintenance"

enum application_kinds {
    APPLICATION_WORKLOADS = 1,
    APPLICATION_INGRESSES = 2,
    APPLICATION_ALL = 3
};

/* Objects as they were read. Deployments first, then StatefulSets. Everything lives in the arena
 * that they were read into. */
struct application {
    struct workload *workloads;
    size_t workload_count;
    struct ingress *ingresses;
    size_t ingress_count;
};

/* Whether the configuration's preSteps take away objects of these kinds. */
unsigned application_kinds_of(const struct spec *spec);
/* The Service that Ingresses are pointed at: "NAME" or "NAME:PORT". */
const char *application_service(const struct spec *spec);

/* What the object's mark says; `only_run` NULL: every run of our state counts. */
enum mark application_workload_mark(const struct run *run, const struct workload *workload,
                                    const char *only_run);
enum mark application_ingress_mark(const struct run *run, const struct ingress *ingress,
                                   const char *only_run);

/* What the configuration names and selects. A name that does not exist, or a selector that matches
 * nothing, is a finding; with `findings` NULL it is ERR_STEP. */
enum errc application_find(struct run *run, struct arena *arena, unsigned kinds,
                           struct application *ret_application, struct findings *findings,
                           struct error *err) RR_MUST_CHECK;
/* What is marked by our state, whoever named it. */
enum errc application_find_marked(struct run *run, struct arena *arena, unsigned kinds,
                                  struct application *ret_application,
                                  struct error *err) RR_MUST_CHECK;

/* The lock is ours, and no signal has come (unless signals wait): before every effect. */
enum errc application_may_act(struct run *run, bool is_cancellable,
                              struct error *err) RR_MUST_CHECK;
/* Says which Role rule is missing, and makes what the server refuses a failure of the step. */
enum errc application_fail(struct error *err, const char *kind, const char *name);
/* Whether trouble with one object says nothing about the others. */
bool application_may_go_on(enum errc code);
/* Calls to the server are finished although a signal has come. */
void application_be_deaf(struct run *run, bool is_deaf);

enum { APPLICATION_TRIES = 5 };

/* From here on the application is away: the clock of its downtime starts, once. */
void application_note_off(struct run *run);

/* preSteps[pre_step]. ERR_STEP, ERR_TIMEOUT (another state has it), and as kube_send(). */
enum errc application_scale_down(struct run *run, uint64_t pre_step,
                                 struct error *err) RR_MUST_CHECK;
enum errc application_disable_ingresses(struct run *run, uint64_t pre_step,
                                        struct error *err) RR_MUST_CHECK;

/* One entry of the list, UNDO_SCALE or UNDO_INGRESS, of the run whose work is done. An object that
 * is gone is a success. */
enum errc application_bring_back(struct run *run, const struct undo *entry,
                                 struct error *err) RR_MUST_CHECK;
/* Every entry of these kinds in the journal's list, and whatever the run has marked. All are tried;
 * the first failure comes back. */
enum errc application_bring_all_back(struct run *run, unsigned kinds,
                                     struct error *err) RR_MUST_CHECK;
/* The workloads of the journal's list are ready. ERR_STEP after application.timeout. */
enum errc application_wait_ready(struct run *run, struct error *err) RR_MUST_CHECK;
/* Whatever is marked by our state, except by the run `except` (NULL: none). */
enum errc application_sweep(struct run *run, const char *except, struct error *err) RR_MUST_CHECK;
/* Puts what the run has marked into the journal's list (in memory). */
enum errc application_note_marked(struct run *run, struct undo_list *list,
                                  struct error *err) RR_MUST_CHECK;

/* application_check.c: rights, objects, Service. */
enum errc application_preflight(struct run *run, struct findings *findings,
                                struct error *err) RR_MUST_CHECK;

#endif
