#include "lib/reconcile/application.h"

#include <string.h>

#include "lib/base/log.h"

/* A lock that runs out within this time is not enough for one patch. */
enum { EFFECT_NEED_MS = 5000 };

unsigned application_kinds_of(const struct spec *spec)
{
    unsigned kinds = 0;
    for (size_t i = 0; i < spec->pre_step_count; i++)
        if (spec->pre_steps[i].kind == SPEC_STEP_SCALE_DEPLOYMENTS)
            kinds |= APPLICATION_WORKLOADS;
        else if (spec->pre_steps[i].kind == SPEC_STEP_DISABLE_INGRESS)
            kinds |= APPLICATION_INGRESSES;
    return kinds;
}

const char *application_service(const struct spec *spec)
{
    const char *service = spec->application.maintenance_service;
    return service ? service : DEFAULT_MAINTENANCE_SERVICE;
}

enum errc application_may_act(struct run *run, bool is_cancellable, struct error *err)
{
    if (is_cancellable && cancel_check(run->options->cancel, err))
        return err->code;
    return store_check_lock(run->store, EFFECT_NEED_MS, err);
}

bool application_may_go_on(enum errc code)
{
    switch (code) {
    case ERR_STEP:
    case ERR_FORBIDDEN:
    case ERR_REJECTED:
    case ERR_NOT_FOUND:
    case ERR_CONFLICT:
    case ERR_TOO_LARGE:
        return true;
    default:
        return false;
    }
}

enum errc application_fail(struct error *err, const char *kind, const char *name)
{
    error_wrap(err, "%s '%s'", kind, name);
    return application_may_go_on(err->code) ? error_recode(err, ERR_STEP) : err->code;
}

void application_be_deaf(struct run *run, bool is_deaf)
{
    store_set_deaf(run->store, is_deaf || run->is_ending || run->has_committed);
}

/* --- what the configuration names
 * ---------------------------------------------------------------------- */

/* A finding, or an error where nobody collects them. */
static enum errc complain(struct findings *findings, const char *text, struct error *err)
{
    if (!findings)
        return error_set(err, ERR_STEP, "%s", text);
    findings_add(findings, "%s", text);
    return RR_OK;
}

static enum errc missing(struct run *run, struct arena *arena, const char *kind, const char *name,
                         struct findings *findings, struct error *err)
{
    error_clear(err);
    return complain(findings,
                    arena_printf(arena, "%s '%s' of 'application' does not exist in namespace '%s'",
                                 kind, name, kube_namespace(run->store->kube)),
                    err);
}

static bool has_workload(const struct application *a, enum workload_kind kind, const char *name)
{
    for (size_t i = 0; i < a->workload_count; i++)
        if (a->workloads[i].kind == kind && strcmp(a->workloads[i].name, name) == 0)
            return true;
    return false;
}

static bool has_ingress(const struct application *a, const char *name)
{
    for (size_t i = 0; i < a->ingress_count; i++)
        if (strcmp(a->ingresses[i].name, name) == 0)
            return true;
    return false;
}

/* Those of the selector, with room for `more`. */
static enum errc select_workloads(struct run *run, struct arena *arena, enum workload_kind kind,
                                  size_t more, struct application *a, struct error *err)
{
    struct workload *found = NULL;
    size_t count = 0;
    enum errc code = RR_OK;
    if (run->spec.application.selector)
        code = workload_list(run->store->kube, arena, kind, run->spec.application.selector, &found,
                             &count, err);
    if (code)
        return error_wrap(err, "application.selector");
    struct workload *all = arena_array(arena, a->workload_count + count + more, sizeof *all);
    if (a->workload_count)
        memcpy(all, a->workloads, a->workload_count * sizeof *all);
    if (count)
        memcpy(all + a->workload_count, found, count * sizeof *all);
    a->workloads = all;
    a->workload_count += count;
    return RR_OK;
}

static enum errc find_workloads(struct run *run, struct arena *arena, enum workload_kind kind,
                                const struct spec_names *names, struct application *a,
                                struct findings *findings, struct error *err)
{
    enum errc code = select_workloads(run, arena, kind, names->count, a, err);
    for (size_t i = 0; i < names->count && !code; i++) {
        if (has_workload(a, kind, names->items[i]))
            continue;
        struct workload *slot = &a->workloads[a->workload_count];
        code = workload_get(run->store->kube, arena, kind, names->items[i], slot, err);
        if (code == ERR_NOT_FOUND)
            code = missing(run, arena, workload_kind_name(kind), names->items[i], findings, err);
        else if (!code)
            a->workload_count++;
    }
    return code;
}

static enum errc find_all_workloads(struct run *run, struct arena *arena, struct application *a,
                                    struct findings *findings, struct error *err)
{
    const struct spec_application *names = &run->spec.application;
    enum errc code;
    if ((code = find_workloads(run, arena, WORKLOAD_DEPLOYMENT, &names->deployments, a, findings,
                               err)) ||
        (code = find_workloads(run, arena, WORKLOAD_STATEFUL_SET, &names->stateful_sets, a,
                               findings, err)))
        return code;
    if (a->workload_count || names->deployments.count || names->stateful_sets.count)
        return RR_OK;
    return complain(findings,
                    arena_printf(arena,
                                 "application.selector '%s' matches no Deployment and no "
                                 "StatefulSet in namespace '%s'",
                                 names->selector ? names->selector : "",
                                 kube_namespace(run->store->kube)),
                    err);
}

static enum errc find_ingresses(struct run *run, struct arena *arena, struct application *a,
                                struct findings *findings, struct error *err)
{
    const struct spec_application *app = &run->spec.application;
    struct ingress *found = NULL;
    size_t count = 0;
    enum errc code = RR_OK;
    if (app->selector &&
        (code = ingress_list(run->store->kube, arena, app->selector, &found, &count, err)))
        return error_wrap(err, "application.selector");
    a->ingresses = arena_array(arena, count + app->ingresses.count, sizeof *a->ingresses);
    if (count)
        memcpy(a->ingresses, found, count * sizeof *found);
    a->ingress_count = count;
    for (size_t i = 0; i < app->ingresses.count && !code; i++) {
        const char *name = app->ingresses.items[i];
        if (has_ingress(a, name))
            continue;
        code = ingress_get(run->store->kube, arena, name, &a->ingresses[a->ingress_count], err);
        if (code == ERR_NOT_FOUND)
            code = missing(run, arena, "Ingress", name, findings, err);
        else if (!code)
            a->ingress_count++;
    }
    if (code || a->ingress_count || app->ingresses.count)
        return code;
    return complain(
        findings,
        arena_printf(arena, "application.selector '%s' matches no Ingress in namespace '%s'",
                     app->selector ? app->selector : "", kube_namespace(run->store->kube)),
        err);
}

enum errc application_find(struct run *run, struct arena *arena, unsigned kinds,
                           struct application *ret_application, struct findings *findings,
                           struct error *err)
{
    struct application a = {0};
    enum errc code = RR_OK;
    if (run->store->kube && (kinds & APPLICATION_WORKLOADS))
        code = find_all_workloads(run, arena, &a, findings, err);
    if (!code && run->store->kube && (kinds & APPLICATION_INGRESSES))
        code = find_ingresses(run, arena, &a, findings, err);
    if (!code)
        *ret_application = a;
    return code;
}

/* --- what is marked
 * ------------------------------------------------------------------------------------ */

enum mark application_workload_mark(const struct run *run, const struct workload *workload,
                                    const char *only_run)
{
    return mark_of(workload->is_marked, workload->marked_state, workload->marked_run,
                   run->store->name, only_run);
}

enum mark application_ingress_mark(const struct run *run, const struct ingress *ingress,
                                   const char *only_run)
{
    return mark_of(ingress->is_marked, ingress->marked_state, ingress->marked_run, run->store->name,
                   only_run);
}

static enum errc find_marked_workloads(struct run *run, struct arena *arena,
                                       enum workload_kind kind, struct application *a,
                                       struct error *err)
{
    struct workload *found = NULL;
    size_t count = 0;
    enum errc code = workload_list(run->store->kube, arena, kind, NULL, &found, &count, err);
    if (code)
        return code;
    struct workload *all = arena_array(arena, a->workload_count + count, sizeof *all);
    if (a->workload_count)
        memcpy(all, a->workloads, a->workload_count * sizeof *all);
    a->workloads = all;
    for (size_t i = 0; i < count; i++)
        if (application_workload_mark(run, &found[i], NULL) == MARK_OURS)
            all[a->workload_count++] = found[i];
    return RR_OK;
}

static enum errc find_marked_ingresses(struct run *run, struct arena *arena, struct application *a,
                                       struct error *err)
{
    struct ingress *found = NULL;
    size_t count = 0;
    enum errc code = ingress_list(run->store->kube, arena, NULL, &found, &count, err);
    if (code)
        return code;
    a->ingresses = found;
    for (size_t i = 0; i < count; i++)
        if (application_ingress_mark(run, &found[i], NULL) == MARK_OURS)
            found[a->ingress_count++] = found[i];
    return RR_OK;
}

enum errc application_find_marked(struct run *run, struct arena *arena, unsigned kinds,
                                  struct application *ret_application, struct error *err)
{
    struct application a = {0};
    enum errc code = RR_OK;
    if (run->store->kube && (kinds & APPLICATION_WORKLOADS) &&
        ((code = find_marked_workloads(run, arena, WORKLOAD_DEPLOYMENT, &a, err)) ||
         (code = find_marked_workloads(run, arena, WORKLOAD_STATEFUL_SET, &a, err))))
        return code;
    if (run->store->kube && (kinds & APPLICATION_INGRESSES))
        code = find_marked_ingresses(run, arena, &a, err);
    if (!code)
        *ret_application = a;
    return code;
}
