/*
 * The inside of the store in a cluster, for cluster.c and cluster_journal.c alone.
 */
#ifndef RR_STATE_CLUSTER_INTERNAL_H
#define RR_STATE_CLUSTER_INTERNAL_H

#include "lib/kube/configmap.h"
#include "lib/kube/kube.h"
#include "lib/kube/lease.h"
#include "lib/state/cluster.h"

/* How long one call goes on trying while a restore is under way: an upgrade of the control plane,
 * or a node that starts anew, must not end it. */
enum { CLUSTER_LONG_PATIENCE_MS = 600 * 1000 };

struct cluster {
    struct store base;
    struct arena arena; /* what lives as long as the store */
    struct kubeconfig config;
    struct kube *kube;
    const struct cancel *cancel;
    bool is_deaf;
    const char *context; /* for hints; NULL: not named */
    const char *pod;     /* who we are */

    struct lease *lease; /* NULL: not held */
    const char *lease_name;
    unsigned lease_duration_s;

    struct arena state_arena; /* the state as it was read last */
    struct configmap state;
    bool has_state;

    const char *journal_name;
    struct arena journal_arena; /* the journal as it was read or written last */
    struct configmap journal;
    bool has_journal;
    uint64_t journal_version; /* goes up whenever `journal` becomes another one */
    struct configmap pending; /* a write of ours of which nobody knows whether it was done */
    bool has_pending;

    bool has_failed_to_tell;
};

static inline struct cluster *cluster_of(struct store *store)
{
    return (struct cluster *)store;
}

/* "kubectl -n NAMESPACE", for hints. */
const char *cluster_kubectl(const struct cluster *self, struct arena *arena);

enum errc cluster_journal_read(struct store *store, struct arena *arena,
                               struct journal_data *ret_journal, struct error *err) RR_MUST_CHECK;
enum errc cluster_journal_write(struct store *store, struct journal_data *journal,
                                struct error *err) RR_MUST_CHECK;

#endif
