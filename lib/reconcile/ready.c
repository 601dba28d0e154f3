/*
 * Waiting until what was brought back is ready again: the end of the outage.
 */
#include "lib/kube/rollout.h"
#include "lib/reconcile/application.h"

static enum errc may_wait_on(void *context, struct error *err)
{
    struct run *run = context;
    return store_check_lock(run->store, 0, err);
}

/* Those of the list that are there and asked for: what somebody else has scaled to 0 since is not
 * waited for. */
static enum errc find_listed(struct run *run, struct arena *arena, const struct undo_list *list,
                             struct workload **ret_workloads, size_t *ret_count, struct error *err)
{
    struct workload *found = arena_array(arena, list->count, sizeof *found);
    size_t count = 0;
    for (size_t i = 0; i < list->count; i++) {
        const struct undo *entry = &list->items[i];
        if (entry->kind != UNDO_SCALE)
            continue;
        enum errc code =
            workload_get(run->store->kube, arena, entry->workload, entry->name, &found[count], err);
        if (code == ERR_NOT_FOUND) {
            error_clear(err); /* said when it was to be brought back */
            continue;
        }
        if (code)
            return application_fail(err, workload_kind_name(entry->workload), entry->name);
        if (found[count].replicas > 0)
            count++;
    }
    *ret_workloads = found;
    *ret_count = count;
    return RR_OK;
}

enum errc application_wait_ready(struct run *run, struct error *err)
{
    ARENA_GUARD struct arena arena = {0};
    struct undo_list list = {0};
    struct workload *workloads = NULL;
    size_t count = 0;
    enum errc code;
    if (!run->store->kube)
        return RR_OK;
    if ((code = undo_parse(&arena, journal_get(&run->journal, J_UNDO), &list, err)) ||
        (code = find_listed(run, &arena, &list, &workloads, &count, err)) || count == 0)
        return code;
    struct rollout rollout = {
        .kube = run->store->kube,
        .clock = run->options->clock,
        .cancel = run->options->cancel,
        .deadline_ms = run->spec.application.timeout_s * 1000,
        .may_go_on = may_wait_on,
        .context = run,
    };
    return rollout_wait_ready(&rollout, workloads, count, err);
}
