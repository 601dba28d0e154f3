/*
 * What would go wrong with the application in the cluster, found before anything is changed:
 * missing rights, objects that are not there, a Service that is not there. Who else writes to them
 * is warned of: whether it hurts cannot be known from here.
 */
#include <string.h>

#include "lib/base/log.h"
#include "lib/kube/access.h"
#include "lib/kube/pod.h"
#include "lib/reconcile/application.h"
#include "lib/reconcile/rights.h"

struct check {
    struct run *run;
    struct findings *findings;
    const struct application *application;
    size_t missing_rights;
};

/* --- rights
 * --------------------------------------------------------------------------------------------- */

static void report_right(struct check *check, const struct right *right,
                         const struct access *access)
{
    STR_GUARD struct str rule = STR_INIT(1024);
    access_render_rule(&rule, access->resource, access->verb, access->name);
    if (right->is_courtesy) {
        log_warn("a right is missing that a restore can do without",
                 LOG_TEXT("rule", str_text(&rule)));
        return;
    }
    check->missing_rights++;
    findings_add(check->findings,
                 "the right to %s %s%s%s is missing; hint: add to the rules of the Role: %s",
                 access->verb, access->resource->plural, access->name ? " " : "",
                 access->name ? access->name : "", str_text(&rule));
}

static enum errc ask(struct check *check, const struct right *right, const struct access *access,
                     struct error *err)
{
    bool is_allowed = false;
    enum errc code = access_check(check->run->store->kube, access, &is_allowed, err);
    if (!code && !is_allowed)
        report_right(check, right, access);
    return code;
}

/* A selector's objects need not all be allowed: a Role that names each of them is as good. */
static enum errc ask_each(struct check *check, const struct right *right, struct access *access,
                          struct error *err)
{
    const struct application *a = check->application;
    enum errc code = RR_OK;
    for (size_t i = 0; i < a->workload_count && !code; i++) {
        if (workload_resource(a->workloads[i].kind) != access->resource)
            continue;
        access->name = a->workloads[i].name;
        code = ask(check, right, access, err);
    }
    for (size_t i = 0; i < a->ingress_count && !code; i++) {
        if (ingress_resource() != access->resource)
            continue;
        access->name = a->ingresses[i].name;
        code = ask(check, right, access, err);
    }
    access->name = NULL;
    return code;
}

static enum errc ask_all(struct check *check, const struct right *right, struct access *access,
                         struct error *err)
{
    bool is_allowed = false;
    enum errc code = access_check(check->run->store->kube, access, &is_allowed, err);
    if (code || is_allowed)
        return code;
    if (strcmp(access->verb, "patch") == 0)
        return ask_each(check, right, access, err);
    report_right(check, right, access);
    return RR_OK;
}

static enum errc check_right(struct check *check, const struct right *right, struct error *err)
{
    enum errc code = RR_OK;
    for (size_t r = 0; r < RIGHT_RESOURCES_MAX && right->resources[r]; r++)
        for (size_t v = 0; v < RIGHT_VERBS_MAX && right->verbs[v]; v++) {
            struct access access = {.resource = right->resources[r], .verb = right->verbs[v]};
            if (right->name_count == 0 && (code = ask_all(check, right, &access, err)))
                return code;
            for (size_t n = 0; n < right->name_count; n++) {
                access.name = right->names[n];
                if ((code = ask(check, right, &access, err)))
                    return code;
            }
        }
    return RR_OK;
}

static enum errc check_rights(struct check *check, struct error *err)
{
    struct run *run = check->run;
    struct rights rights;
    rights_of(&run->arena, &run->spec, run->store->name, &rights);
    for (size_t i = 0; i < rights.count; i++)
        if (check_right(check, &rights.items[i], err))
            return error_wrap(err, "asking for our rights");
    return RR_OK;
}

/* --- objects
 * -------------------------------------------------------------------------------------------- */

static bool is_gitops(const char *manager)
{
    static const char *const managers[] = {
        "argocd-controller", "kustomize-controller", "helm-controller", "flux", "helm", NULL};
    for (size_t i = 0; manager && managers[i]; i++)
        if (strcmp(manager, managers[i]) == 0)
            return true;
    return false;
}

static void warn_of_owner(const char *kind, const char *name, const char *owner)
{
    if (owner)
        log_warn("its owner may undo what the steps do: pause it for the restore",
                 LOG_TEXT("kind", kind), LOG_TEXT("name", name), LOG_TEXT("owner", owner));
}

static void look_at_workload(struct check *check, const struct workload *w)
{
    const char *kind = workload_kind_name(w->kind);
    enum mark mark = application_workload_mark(check->run, w, NULL);
    warn_of_owner(kind, w->name, w->controller);
    if (is_gitops(w->replicas_manager))
        log_warn("its replicas stand in Git: a sync while a restore runs would start it again",
                 LOG_TEXT("kind", kind), LOG_TEXT("name", w->name),
                 LOG_TEXT("manager", w->replicas_manager));
    if (mark == MARK_OTHER_STATE)
        log_warn("another state has it away at the moment", LOG_TEXT("kind", kind),
                 LOG_TEXT("name", w->name), LOG_TEXT("state", w->marked_state));
    if (mark == MARK_BROKEN && w->replicas == 0)
        findings_add(check->findings,
                     "%s '%s' stands at 0 with a part of our annotations; hint: bring it back by "
                     "hand and remove its annotations restore-reconciler/*",
                     kind, w->name);
}

static enum errc check_service(struct check *check, struct error *err)
{
    static const struct kube_resource services = {"", "v1", "services", false};
    KUBE_ANSWER_GUARD struct kube_answer answer = {0};
    struct run *run = check->run;
    const char *service = application_service(&run->spec);
    const char *name = arena_strndup(&run->arena, service, strcspn(service, ":"));
    struct kube_request request = {.verb = KUBE_GET, .resource = &services, .name = name};
    enum errc code = kube_send(run->store->kube, &request, &answer, err);
    if (code == ERR_NOT_FOUND) {
        error_clear(err);
        findings_add(check->findings,
                     "the maintenance Service '%s' does not exist in namespace '%s'; hint: apply "
                     "manifests/base, or name one of yours as application.maintenanceService",
                     name, kube_namespace(run->store->kube));
        return RR_OK;
    }
    return code;
}

/* A label that a whole product bears is on its database as well. Scaled to 0 it would be gone in
 * the middle of the restore, and whoever could bring it back asks it first. */
static enum errc check_database_stays(struct check *check, struct error *err)
{
    const struct application *a = check->application;
    struct run *run = check->run;
    const char *address = NULL, *pod = NULL;
    enum errc code = control_server_address(run->control, &run->arena, &address, err);
    for (size_t i = 0; i < a->workload_count && address && !code; i++) {
        const struct workload *w = &a->workloads[i];
        if ((code = pod_find_by_address(run->store->kube, &run->arena, w, address, &pod, err)))
            break;
        if (pod)
            findings_add(check->findings,
                         "the database server itself runs in %s '%s' (pod '%s', %s), which would "
                         "be scaled to 0; hint: leave it out of 'application': use a label that "
                         "only the application bears, or names",
                         workload_kind_name(w->kind), w->name, pod, address);
    }
    return code;
}

static enum errc check_objects(struct check *check, unsigned kinds, struct error *err)
{
    const struct application *a = check->application;
    enum errc code = check_database_stays(check, err);
    if (code)
        return code;
    for (size_t i = 0; i < a->workload_count; i++)
        look_at_workload(check, &a->workloads[i]);
    for (size_t i = 0; i < a->ingress_count; i++)
        warn_of_owner("Ingress", a->ingresses[i].name, a->ingresses[i].controller);
    return kinds & APPLICATION_INGRESSES ? check_service(check, err) : RR_OK;
}

/* Without a right to read there is nothing to look at; the finding says so already. */
static enum errc unless_forbidden(const struct check *check, enum errc code, struct error *err)
{
    if (code != ERR_FORBIDDEN || check->missing_rights == 0)
        return code;
    error_clear(err);
    return RR_OK;
}

enum errc application_preflight(struct run *run, struct findings *findings, struct error *err)
{
    if (!run->store->kube)
        return RR_OK;
    struct application *a = arena_alloc(&run->arena, sizeof *a);
    struct check check = {.run = run, .findings = findings, .application = a};
    struct error own = ERROR_INIT;
    unsigned kinds = application_kinds_of(&run->spec);
    enum errc find_code = application_find(run, &run->arena, kinds, a, findings, &own);
    enum errc code = check_rights(&check, err);
    if (code)
        return code;
    if (find_code) {
        *err = own;
        return unless_forbidden(&check, find_code, err);
    }
    run->application = a;
    code = check_objects(&check, kinds, err);
    return unless_forbidden(&check, code, err);
}
