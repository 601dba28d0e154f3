/*
 * cluster - the store in a Kubernetes cluster.
 *
 *   ConfigMap NAME                      the user's; of it we write data.lastAppliedTimestamp only
 *   ConfigMap NAME-journal              ours: flat keys that kubectl and alerts can read
 *   Lease     restore-reconciler-NAME   ours: the lock
 *   Events    about ConfigMap NAME      ours
 *
 * A ConfigMap that is being deleted (a finalizer still holds it) counts as missing: the wish is
 * withdrawn. A journal that somebody deletes in the middle of a run is made anew as long as the
 * Lease is ours; one that does not carry our label is never touched.
 *
 * Reading state and journal takes one connection and two GETs. Once the lock is held, calls are
 * patient: an API server that is away for minutes must not end a restore. state_ref is a hash of
 * the public key of the cluster's CA with namespace and name.
 */
#ifndef RR_STATE_CLUSTER_H
#define RR_STATE_CLUSTER_H

#include "lib/kube/kubeconfig.h"
#include "lib/state/store.h"

struct cancel;

struct cluster_options {
    struct kubeconfig_options kubeconfig;
    const char *name; /* of the ConfigMap; a DNS subdomain that leaves room for "-journal" */
    unsigned lease_duration_s; /* 0: 60 */
    const struct cancel *cancel;
};

/* Asks the server nothing. ERR_CONFIG, ERR_USAGE, ERR_UNSUPPORTED, ERR_TLS, ERR_IO.
 * Caller: store_close(), which gives the Lease back. */
enum errc cluster_open(const struct cluster_options *options, struct store **ret_store,
                       struct error *err) RR_MUST_CHECK;

#endif
