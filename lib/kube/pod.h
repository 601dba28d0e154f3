/*
 * pod - what a pod says of itself (v1), and whether it is one of a workload's.
 */
#ifndef RR_KUBE_POD_H
#define RR_KUBE_POD_H

#include "lib/kube/workload.h"

const struct kube_resource *pod_resource(void);

/* False if another controller owns it (a Job, a DaemonSet, another StatefulSet): bringing this
 * workload to 0 does not make it go. A pod that nobody controls counts: it runs what the selector
 * says. */
bool pod_belongs_to(const struct json *pod, const struct workload *workload);
/* Processes of it may be running, or may yet be started: anything but Succeeded and Failed. */
bool pod_may_run(const struct json *pod);
bool pod_is_ready(const struct json *pod);

/* The first living pod of the workload that has this IP address; NULL: none. Lives in the arena. */
enum errc pod_find_by_address(struct kube *kube, struct arena *arena,
                              const struct workload *workload, const char *address,
                              const char **ret_name, struct error *err) RR_MUST_CHECK;

/* Appends "'NAME' (PHASE on node 'NODE', being deleted since TIME, container 'C': CrashLoopBackOff,
 * ...)", bounded and with every foreign text escaped. */
void pod_describe(struct str *s, const struct json *pod);

#endif
