#include "lib/kube/workload.h"

#include <string.h>

#include "lib/base/limits.h"
#include "lib/kube/change.h"
#include "lib/kube/meta.h"
#include "lib/kube/selector.h"

enum { REPLICAS_MAX = INT32_MAX };
static const int64_t GENERATION_MAX = INT64_C(1) << 53;

static const struct {
    const char *name;
    struct kube_resource resource;
} kinds[WORKLOAD_KIND_COUNT] = {
    [WORKLOAD_DEPLOYMENT] = {"Deployment", {"apps", "v1", "deployments", false}},
    [WORKLOAD_STATEFUL_SET] = {"StatefulSet", {"apps", "v1", "statefulsets", false}},
};

const char *workload_kind_name(enum workload_kind kind)
{
    return kinds[kind].name;
}

enum workload_kind workload_kind_from_name(const char *name)
{
    enum workload_kind kind = 0;
    while (kind < WORKLOAD_KIND_COUNT && !text_equal(kinds[kind].name, name))
        kind++;
    return kind;
}

const struct kube_resource *workload_resource(enum workload_kind kind)
{
    return &kinds[kind].resource;
}

/* ---- reading ---- */

/* Numbers of an meta. Absent is `absent`; anything that is no count is remembered in `wrong`. */
struct counts {
    const char *wrong; /* name of the first field that cannot be used */
};

static int64_t count_of(struct counts *counts, const struct json *parent, const char *name,
                        int64_t max, int64_t absent)
{
    const struct json *value = json_get(parent, name);
    int64_t number = 0;
    if (!value)
        return absent;
    if (json_int(value, &number) && number >= 0 && number <= max)
        return number;
    counts->wrong = counts->wrong ? counts->wrong : name;
    return absent;
}

static const char *read_counts(const struct json *json, struct workload *w)
{
    struct counts counts = {0};
    const struct json *spec = json_get(json, "spec"), *status = json_get(json, "status");
    w->replicas = count_of(&counts, spec, "replicas", REPLICAS_MAX, 1);
    w->generation = count_of(&counts, json_get(json, "metadata"), "generation", GENERATION_MAX, 0);
    w->observed_generation = count_of(&counts, status, "observedGeneration", GENERATION_MAX, 0);
    w->ready_replicas = count_of(&counts, status, "readyReplicas", REPLICAS_MAX, 0);
    w->updated_replicas = count_of(&counts, status, "updatedReplicas", REPLICAS_MAX, 0);
    w->present_replicas = count_of(&counts, status, "replicas", REPLICAS_MAX, 0);
    return counts.wrong;
}

static bool awaits_update(const struct json *spec)
{
    bool is_paused = false;
    int64_t partition = 0;
    const struct json *strategy = json_get(spec, "updateStrategy");
    const struct json *from = json_get(json_get(strategy, "rollingUpdate"), "partition");
    return !(json_bool(json_get(spec, "paused"), &is_paused) && is_paused) &&
           !text_equal(json_get_text(strategy, "type"), "OnDelete") &&
           !(json_int(from, &partition) && partition > 0);
}

/* A Deployment says so when its ReplicaSet may not make pods. */
static const char *trouble_of(struct arena *arena, const struct json *json)
{
    const struct json *conditions = json_get(json_get(json, "status"), "conditions");
    const struct json *failure = meta_find(conditions, "type", "ReplicaFailure");
    if (!text_equal(json_get_text(failure, "status"), "True"))
        return NULL;
    return arena_strdup(arena, json_get_text(failure, "message"));
}

static void read_mark(struct arena *arena, const struct json *json, struct workload *w)
{
    uint64_t number = 0;
    w->marked_text = arena_strdup(arena, kube_annotation(json, MARK_REPLICAS));
    w->is_marked = w->marked_text || w->marked_run || w->marked_state;
    bool is_number = w->marked_text && text_to_u64(w->marked_text, REPLICAS_MAX, &number);
    w->marked_replicas = is_number ? (int64_t)number : -1;
}

static enum errc read_workload(struct arena *arena, enum workload_kind kind,
                               const struct json *json, struct workload *ret_workload,
                               struct error *err)
{
    static const char *const replicas_path[] = {"spec", "replicas", NULL};
    struct meta meta;
    enum errc code = meta_read(arena, kinds[kind].name, json, &meta, err);
    if (code)
        return code;
    struct workload w = {
        .kind = kind,
        .name = meta.name,
        .uid = meta.uid,
        .resource_version = meta.resource_version,
        .marked_run = meta.marked_run,
        .marked_state = meta.marked_state,
        .has_annotations = meta.has_annotations,
        .is_being_deleted = meta.is_being_deleted,
        .controller = meta.controller,
        .replicas_manager = kube_field_manager(arena, json, replicas_path),
        .awaits_update = awaits_update(json_get(json, "spec")),
        .trouble = trouble_of(arena, json),
    };
    const char *wrong = read_counts(json, &w);
    if (wrong)
        return meta_unusable(kinds[kind].name, w.name, wrong, err);
    STR_GUARD struct str selector = STR_INIT(LIMIT_SELECTOR_BYTES);
    if (!selector_render(&selector, json_get(json_get(json, "spec"), "selector")))
        return meta_unusable(kinds[kind].name, w.name, "spec.selector", err);
    w.pod_selector = arena_strdup(arena, str_text(&selector));
    read_mark(arena, json, &w);
    *ret_workload = w;
    return RR_OK;
}

enum errc workload_get(struct kube *kube, struct arena *arena, enum workload_kind kind,
                       const char *name, struct workload *ret_workload, struct error *err)
{
    KUBE_ANSWER_GUARD struct kube_answer answer = {0};
    struct kube_request request = {
        .verb = KUBE_GET, .resource = &kinds[kind].resource, .name = name};
    enum errc code = kube_send(kube, &request, &answer, err);
    if (code == ERR_NOT_FOUND)
        return error_wrap(err, "%s '%s'", kinds[kind].name, name);
    return code ? code : read_workload(arena, kind, json_root(answer.document), ret_workload, err);
}

static enum errc read_listed(void *context, struct arena *arena, const struct json *json,
                             void *ret_item, struct error *err)
{
    const enum workload_kind *kind = context;
    return read_workload(arena, *kind, json, ret_item, err);
}

enum errc workload_list(struct kube *kube, struct arena *arena, enum workload_kind kind,
                        const char *label_selector, struct workload **ret_workloads,
                        size_t *ret_count, struct error *err)
{
    struct meta_list list = {
        .resource = &kinds[kind].resource,
        .label_selector = label_selector,
        .item_bytes = sizeof(struct workload),
        .read = read_listed,
        .context = &kind,
    };
    void *items = NULL;
    enum errc code = meta_list(kube, arena, &list, &items, ret_count, err);
    if (!code)
        *ret_workloads = items;
    return code;
}

/* ---- changing ---- */

struct intent {
    struct arena *arena;
    struct workload *workload;
    int64_t replicas;        /* bring back to; -1: as they are */
    const char *run, *state; /* of a new mark */
    const char *marked_run;  /* whose mark it will bear: an older one stays */
};

static enum errc take_object(void *context, const struct json *json, struct error *err)
{
    struct intent *intent = context;
    return read_workload(intent->arena, intent->workload->kind, json, intent->workload, err);
}

static void set_replicas(struct str *patch, int64_t replicas)
{
    STR_GUARD struct str number = STR_INIT(32);
    str_printf(&number, "%lld", (long long)replicas);
    change_operation(patch, "add", "/spec/replicas", str_text(&number)); /* add replaces */
}

static enum errc plan_taking_away(void *context, struct str *patch, bool *ret_is_done,
                                  struct error *err)
{
    const struct intent *intent = context;
    const struct workload *w = intent->workload;
    enum errc code = change_check_state(kinds[w->kind].name, w->name, w->marked_state,
                                        w->marked_run, intent->state, err);
    if (code)
        return code;
    *ret_is_done =
        w->is_marked && w->replicas == 0 && text_equal(w->marked_run, intent->marked_run);
    if (!w->is_marked) {
        STR_GUARD struct str replicas = STR_INIT(32);
        str_printf(&replicas, "%lld", (long long)w->replicas);
        const struct annotation mark[] = {
            {MARK_REPLICAS, str_text(&replicas)},
            {MARK_RUN, intent->run},
            {MARK_STATE, intent->state},
        };
        change_annotate(patch, w->has_annotations, mark, sizeof mark / sizeof *mark);
    }
    if (w->replicas != 0)
        set_replicas(patch, 0);
    return RR_OK;
}

static enum errc plan_bringing_back(void *context, struct str *patch, bool *ret_is_done,
                                    struct error *err)
{
    (void)err;
    const struct intent *intent = context;
    const struct workload *w = intent->workload;
    bool is_changed = intent->replicas >= 0 && w->replicas != intent->replicas;
    *ret_is_done = !w->is_marked && !is_changed;
    if (is_changed)
        set_replicas(patch, intent->replicas);
    if (w->marked_text)
        change_remove_annotation(patch, MARK_REPLICAS);
    if (w->marked_run)
        change_remove_annotation(patch, MARK_RUN);
    if (w->marked_state)
        change_remove_annotation(patch, MARK_STATE);
    return RR_OK;
}

static struct change change_of(struct kube *kube, struct intent *intent)
{
    const struct workload *w = intent->workload;
    return (struct change){
        .kube = kube,
        .resource = &kinds[w->kind].resource,
        .kind = kinds[w->kind].name,
        .name = w->name,
        .uid = w->uid,
        .resource_version = w->resource_version,
        .take = take_object,
        .context = intent,
    };
}

enum errc workload_take_away(struct kube *kube, struct arena *arena, struct workload *workload,
                             const char *run, const char *state, struct error *err)
{
    struct intent intent = {
        .arena = arena,
        .workload = workload,
        .run = run,
        .state = state,
        .marked_run = workload->is_marked ? workload->marked_run : run,
    };
    struct change change = change_of(kube, &intent);
    change.plan = plan_taking_away;
    return change_apply(&change, err);
}

enum errc workload_bring_back(struct kube *kube, struct arena *arena, struct workload *workload,
                              int64_t replicas, struct error *err)
{
    if (replicas < -1 || replicas > REPLICAS_MAX)
        return error_set(err, ERR_STEP, "%s '%s' cannot be brought back to %lld replicas",
                         kinds[workload->kind].name, workload->name, (long long)replicas);
    struct intent intent = {.arena = arena, .workload = workload, .replicas = replicas};
    struct change change = change_of(kube, &intent);
    change.plan = plan_bringing_back;
    return change_apply(&change, err);
}
