/*
 * workload - Deployments and StatefulSets: how many replicas, taken away, brought back.
 *
 * What is taken away is marked: the patch that sets replicas to 0 writes the annotations below in
 * the same breath, so that a marked object is one that we scaled, whatever became of the journal. A
 * mark is never overwritten. Every patch tests uid and resourceVersion as they were read: a process
 * that slept (and whose lease is gone) changes nothing that somebody else has touched meanwhile.
 */
#ifndef RR_KUBE_WORKLOAD_H
#define RR_KUBE_WORKLOAD_H

#include "lib/kube/kube.h"

#define MARK_REPLICAS "restore-reconciler/replicas" /* how many there were */
#define MARK_BACKENDS "restore-reconciler/backends" /* of an Ingress: what there was, JSON */
#define MARK_RUN "restore-reconciler/run"           /* id of the run that took it away */
#define MARK_STATE "restore-reconciler/state"       /* name of the ConfigMap that asked for it */

enum workload_kind { WORKLOAD_DEPLOYMENT, WORKLOAD_STATEFUL_SET, WORKLOAD_KIND_COUNT };

struct workload {
    enum workload_kind kind;
    const char *name, *uid, *resource_version;
    int64_t replicas; /* asked for; 1 where the object does not say */
    int64_t generation, observed_generation;
    int64_t ready_replicas, updated_replicas, present_replicas; /* of status */
    const char *pod_selector; /* label selector of its pods, as a query has it; never empty */
    bool is_marked;           /* any of the three annotations is there, legible or not */
    int64_t marked_replicas;  /* -1: not there, or not a number (somebody edited it) */
    const char *marked_text;  /* MARK_REPLICAS as it stands; NULL: not there */
    const char *marked_run, *marked_state; /* NULL: not there */
    bool has_annotations;  /* metadata.annotations exists: a patch must not make it anew */
    bool is_being_deleted; /* somebody deleted it; finalizers hold it */
    bool awaits_update;    /* every pod will be of the newest template by itself: not paused, no
                              partition, not OnDelete */
    const char *replicas_manager; /* who owns spec.replicas, NULL: nobody. As the server has it */
    const char *controller; /* "Kind/name" of its owner, which will put replicas back; or NULL */
    const char *trouble;    /* why pods cannot be made (quota, admission), or NULL */
};

const char *workload_kind_name(enum workload_kind kind); /* "Deployment" */
/* WORKLOAD_KIND_COUNT if the name is none of ours. */
enum workload_kind workload_kind_from_name(const char *name);
const struct kube_resource *workload_resource(enum workload_kind kind);

/* Texts live in the arena. ERR_NOT_FOUND names kind and name. */
enum errc workload_get(struct kube *kube, struct arena *arena, enum workload_kind kind,
                       const char *name, struct workload *ret_workload,
                       struct error *err) RR_MUST_CHECK;
/* In order of name. `label_selector` NULL: all of the namespace. */
enum errc workload_list(struct kube *kube, struct arena *arena, enum workload_kind kind,
                        const char *label_selector, struct workload **ret_workloads,
                        size_t *ret_count, struct error *err) RR_MUST_CHECK;

/* Marks it and sets replicas to 0, in one patch; *workload is what the server has then. An existing
 * mark stays as it is. ERR_CONFLICT: it was changed since it was read; *workload is the new one
 * (decide again). ERR_REJECTED: an admission webhook or the server refused. ERR_STEP: marked by
 * another state, which is named. A lost answer is read back here. */
enum errc workload_take_away(struct kube *kube, struct arena *arena, struct workload *workload,
                             const char *run, const char *state, struct error *err) RR_MUST_CHECK;
/* Sets replicas and removes the mark, whoever's it is, in one patch. `replicas` -1 leaves them as
 * they are. Errors as above. */
enum errc workload_bring_back(struct kube *kube, struct arena *arena, struct workload *workload,
                              int64_t replicas, struct error *err) RR_MUST_CHECK;

#endif
