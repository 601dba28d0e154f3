#include "lib/reconcile/rights.h"

#include <string.h>

#include "lib/kube/ingress.h"
#include "lib/kube/workload.h"
#include "lib/reconcile/application.h"

static const struct kube_resource configmaps = {"", "v1", "configmaps", false};
static const struct kube_resource pods = {"", "v1", "pods", false};
static const struct kube_resource services = {"", "v1", "services", false};
static const struct kube_resource events = {"events.k8s.io", "v1", "events", false};
static const struct kube_resource leases = {"coordination.k8s.io", "v1", "leases", false};

static void add(struct rights *rights, const struct right *right)
{
    rights->items[rights->count++] = *right;
}

static const char *const *one_name(struct arena *arena, const char *name)
{
    const char **names = arena_array(arena, 1, sizeof *names);
    names[0] = name;
    return names;
}

static void add_record(struct arena *arena, const char *state, struct rights *rights)
{
    add(rights, &(struct right){
                    .why = "The state: reads what is asked for, writes lastAppliedTimestamp.",
                    .resources = {&configmaps},
                    .names = one_name(arena, arena_strdup(arena, state)),
                    .name_count = 1,
                    .verbs = {"get", "patch"},
                });
    add(rights, &(struct right){
                    .why = "The journal. Made by server-side apply, which lets create be limited "
                           "to a name.",
                    .resources = {&configmaps},
                    .names = one_name(arena, arena_printf(arena, "%s-journal", state)),
                    .name_count = 1,
                    .verbs = {"create", "get", "patch", "update"},
                });
    add(rights, &(struct right){
                    .why = "The lock. Made by PUT, for the same reason.",
                    .resources = {&leases},
                    .names = one_name(arena, arena_printf(arena, "restore-reconciler-%s", state)),
                    .name_count = 1,
                    .verbs = {"create", "get", "update"},
                });
    add(rights, &(struct right){
                    .why = "What happened, on the state. The names of events are made up as they "
                           "come.",
                    .resources = {&events},
                    .verbs = {"create"},
                    .is_courtesy = true,
                });
}

static const char scales[] = "Scales them, and notes on them what they were.";

static void add_scaling(const struct spec_application *application, struct rights *rights)
{
    const struct kube_resource *deployments = workload_resource(WORKLOAD_DEPLOYMENT),
                               *stateful_sets = workload_resource(WORKLOAD_STATEFUL_SET);
    struct right right = {.why = scales, .verbs = {"patch"}};
    if (application->selector) {
        right.resources[0] = deployments;
        right.resources[1] = stateful_sets;
        add(rights, &right);
        return;
    }
    right.resources[0] = deployments;
    right.names = application->deployments.items;
    right.name_count = application->deployments.count;
    if (right.name_count)
        add(rights, &right);
    right.resources[0] = stateful_sets;
    right.names = application->stateful_sets.items;
    right.name_count = application->stateful_sets.count;
    if (right.name_count)
        add(rights, &right);
}

static void add_workloads(const struct spec *spec, bool scales_them, struct rights *rights)
{
    add(rights, &(struct right){
                    .why = "Finds the workloads, those of an unfinished run too, and waits until "
                           "they are ready again.",
                    .resources = {workload_resource(WORKLOAD_DEPLOYMENT),
                                  workload_resource(WORKLOAD_STATEFUL_SET)},
                    .verbs = {"get", "list"},
                });
    if (!scales_them)
        return;
    add_scaling(&spec->application, rights);
    add(rights, &(struct right){
                    .why = "Waits until the pods are gone. A list cannot be limited to names.",
                    .resources = {&pods},
                    .verbs = {"get", "list"},
                });
}

static void add_ingresses(struct arena *arena, const struct spec *spec, bool disables_them,
                          struct rights *rights)
{
    const struct spec_names *names = &spec->application.ingresses;
    const char *service = application_service(spec);
    bool has_names = !spec->application.selector;
    add(rights, &(struct right){
                    .why = "Finds the Ingresses, those of an unfinished run too.",
                    .resources = {ingress_resource()},
                    .verbs = {"get", "list"},
                });
    if (!disables_them)
        return;
    add(rights, &(struct right){
                    .why = "Points them at the maintenance Service and back, and notes on them "
                           "what they were.",
                    .resources = {ingress_resource()},
                    .names = has_names ? names->items : NULL,
                    .name_count = has_names ? names->count : 0,
                    .verbs = {"patch"},
                });
    add(rights, &(struct right){
                    .why = "Sees that the maintenance Service is there.",
                    .resources = {&services},
                    .names = one_name(arena, arena_strndup(arena, service, strcspn(service, ":"))),
                    .name_count = 1,
                    .verbs = {"get"},
                });
}

void rights_of(struct arena *arena, const struct spec *spec, const char *state,
               struct rights *ret_rights)
{
    struct rights rights = {0};
    unsigned kinds = application_kinds_of(spec);
    add_record(arena, state, &rights);
    add_workloads(spec, kinds & APPLICATION_WORKLOADS, &rights);
    add_ingresses(arena, spec, kinds & APPLICATION_INGRESSES, &rights);
    *ret_rights = rights;
}

/* YAML reads a name like 42, 1e3 or null as something else than a text. */
static bool is_plain_word(const char *word)
{
    static const char *const taken[] = {"null", "true", "false", "yes", "no",
                                        "on",   "off",  "y",     "n",   NULL};
    for (size_t i = 0; taken[i]; i++)
        if (strcmp(word, taken[i]) == 0)
            return false;
    return word[0] >= 'a' && word[0] <= 'z';
}

static void render_list(struct str *text, const char *word, const char *const *items, size_t count)
{
    str_printf(text, "    %s: [", word);
    for (size_t i = 0; i < count && items[i]; i++)
        str_printf(text, is_plain_word(items[i]) ? "%s%s" : "%s\"%s\"", i ? ", " : "", items[i]);
    str_append(text, "]\n");
}

static void render_rule(struct str *text, const struct right *right)
{
    const char *plurals[RIGHT_RESOURCES_MAX] = {NULL}, *group = right->resources[0]->group;
    for (size_t i = 0; i < RIGHT_RESOURCES_MAX && right->resources[i]; i++)
        plurals[i] = right->resources[i]->plural;
    str_printf(text, "  # %s\n  - apiGroups: [%s]\n", right->why, group[0] ? group : "\"\"");
    render_list(text, "resources", plurals, RIGHT_RESOURCES_MAX);
    if (right->name_count)
        render_list(text, "resourceNames", right->names, right->name_count);
    render_list(text, "verbs", right->verbs, RIGHT_VERBS_MAX);
}

void rights_render_role(const struct rights *rights, const char *namespace_name, struct str *text)
{
    str_append(text, "apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata:\n"
                     "  name: restore-reconciler\n");
    if (namespace_name)
        str_printf(text,
                   is_plain_word(namespace_name) ? "  namespace: %s\n" : "  namespace: \"%s\"\n",
                   namespace_name);
    str_append(text, "  labels:\n    app.kubernetes.io/name: restore-reconciler\nrules:\n");
    for (size_t i = 0; i < rights->count; i++)
        render_rule(text, &rights->items[i]);
}
