#include "lib/kube/ingress.h"

#include <string.h>

#include "lib/base/limits.h"
#include "lib/kube/backends.h"
#include "lib/kube/change.h"
#include "lib/kube/meta.h"
#include "lib/kube/workload.h"

enum { SERVICE_NAME_MAX_BYTES = 63, PORT_NAME_MAX_BYTES = 15, PORT_MAX = 65535 };

static const char kind_name[] = "Ingress";

const struct kube_resource *ingress_resource(void)
{
    static const struct kube_resource resource = {"networking.k8s.io", "v1", "ingresses", false};
    return &resource;
}

/* ---- reading ---- */

static enum errc read_ingress(struct arena *arena, const struct json *json,
                              struct ingress *ret_ingress, struct error *err)
{
    struct meta meta;
    struct backends backends;
    STR_GUARD struct str record = STR_INIT(LIMIT_BACKENDS_BYTES);
    enum errc code = meta_read(arena, kind_name, json, &meta, err);
    if (code)
        return code;
    backends_read(arena, json, &backends);
    backends_render(&record, &backends);
    code = str_check(&record, "what an Ingress has as backends", err);
    if (code)
        return error_wrap(err, "%s '%s'", kind_name, meta.name);
    const char *marked = kube_annotation(json, MARK_BACKENDS);
    *ret_ingress = (struct ingress){
        .name = meta.name,
        .uid = meta.uid,
        .resource_version = meta.resource_version,
        .backends = arena_strdup(arena, str_text(&record)),
        .is_marked = marked || meta.marked_run || meta.marked_state,
        .marked_backends = arena_strdup(arena, marked),
        .marked_run = meta.marked_run,
        .marked_state = meta.marked_state,
        .has_annotations = meta.has_annotations,
        .annotation_bytes = meta.annotation_bytes,
        .is_being_deleted = meta.is_being_deleted,
        .controller = meta.controller,
    };
    return RR_OK;
}

enum errc ingress_get(struct kube *kube, struct arena *arena, const char *name,
                      struct ingress *ret_ingress, struct error *err)
{
    KUBE_ANSWER_GUARD struct kube_answer answer = {0};
    struct kube_request request = {.verb = KUBE_GET, .resource = ingress_resource(), .name = name};
    enum errc code = kube_send(kube, &request, &answer, err);
    if (code == ERR_NOT_FOUND)
        return error_wrap(err, "%s '%s'", kind_name, name);
    return code ? code : read_ingress(arena, json_root(answer.document), ret_ingress, err);
}

static enum errc read_listed(void *context, struct arena *arena, const struct json *json,
                             void *ret_item, struct error *err)
{
    (void)context;
    return read_ingress(arena, json, ret_item, err);
}

enum errc ingress_list(struct kube *kube, struct arena *arena, const char *label_selector,
                       struct ingress **ret_ingresses, size_t *ret_count, struct error *err)
{
    struct meta_list list = {
        .resource = ingress_resource(),
        .label_selector = label_selector,
        .item_bytes = sizeof(struct ingress),
        .read = read_listed,
    };
    void *items = NULL;
    enum errc code = meta_list(kube, arena, &list, &items, ret_count, err);
    if (!code)
        *ret_ingresses = items;
    return code;
}

/* ---- a Service as a backend ---- */

static const char lower_digits_dash[] = "abcdefghijklmnopqrstuvwxyz0123456789-";

static bool is_label(const char *text, size_t length, size_t max)
{
    return length >= 1 && length <= max && strspn(text, lower_digits_dash) >= length &&
           text[0] != '-' && text[length - 1] != '-';
}

/* RFC 6335: at least one letter, no two dashes in a row. */
static bool is_port_name(const char *text)
{
    return is_label(text, strlen(text), PORT_NAME_MAX_BYTES) &&
           strpbrk(text, "abcdefghijklmnopqrstuvwxyz") && !strstr(text, "--");
}

enum errc ingress_render_service(struct arena *arena, const char *service, const char **ret_backend,
                                 struct error *err)
{
    size_t length = strcspn(service, ":");
    const char *port = service[length] ? service + length + 1 : "80";
    uint64_t number = 0;
    bool is_number = text_to_u64(port, PORT_MAX, &number) && number > 0;
    if (!is_label(service, length, SERVICE_NAME_MAX_BYTES) || (!is_number && !is_port_name(port))) {
        STR_GUARD struct str quoted = STR_INIT(400);
        str_append_quoted(&quoted, service, 80);
        error_set(err, ERR_CONFIG, "%s names no Service", str_text(&quoted));
        return error_hint(err, "write NAME, NAME:8080 or NAME:http; without a port it is 80");
    }
    *ret_backend =
        is_number
            ? arena_printf(arena, "{\"service\":{\"name\":\"%.*s\",\"port\":{\"number\":%u}}}",
                           (int)length, service, (unsigned)number)
            : arena_printf(arena, "{\"service\":{\"name\":\"%.*s\",\"port\":{\"name\":\"%s\"}}}",
                           (int)length, service, port);
    return RR_OK;
}

/* ---- changing ---- */

struct intent {
    struct arena *arena;
    struct ingress *ingress;
    const struct json *service; /* the maintenance Service as a backend */
    const char *run, *state;    /* of a new mark */
    const char *marked_run;     /* whose mark it will bear: an older one stays */
    const char *recorded;       /* enable: what to put back; NULL: what the mark says */
    size_t left_alone;
};

static enum errc take_object(void *context, const struct json *json, struct error *err)
{
    struct intent *intent = context;
    return read_ingress(intent->arena, json, intent->ingress, err);
}

/* Replaces one backend if it still is what it was. */
static void replace(struct str *patch, const char *path, const struct json *was,
                    const struct json *becomes)
{
    STR_GUARD struct str old = STR_INIT(LIMIT_PATCH_BYTES), new = STR_INIT(LIMIT_PATCH_BYTES);
    json_render(&old, was);
    json_render(&new, becomes);
    change_operation(patch, "test", path, str_text(&old));
    change_operation(patch, "replace", path, str_text(&new));
}

static enum errc parse_present(struct intent *intent, struct backends *ret_backends,
                               struct error *err)
{
    const char *what =
        arena_printf(intent->arena, "%s '%s': its backends", kind_name, intent->ingress->name);
    return backends_parse(intent->arena, intent->ingress->backends, what, ret_backends, err);
}

/* An annotation, or the journal's copy of one. `text` NULL: nothing is recorded. */
static enum errc parse_record(struct intent *intent, const char *text,
                              struct backends *ret_backends, struct error *err)
{
    if (!text)
        return RR_OK;
    const char *name = intent->ingress->name;
    const char *what =
        arena_printf(intent->arena, "%s '%s': what is recorded of its backends", kind_name, name);
    if (backends_parse(intent->arena, text, what, ret_backends, err) == RR_OK)
        return RR_OK;
    return error_hint(err,
                      "somebody changed the record: put the backends back by hand, then remove the "
                      "annotations restore-reconciler/* (kubectl annotate ingress %s %s- %s- %s-)",
                      name, MARK_BACKENDS, MARK_RUN, MARK_STATE);
}

/* The server's own bound; its refusal would come when the application is half away. */
static enum errc check_annotation_space(const struct ingress *ingress,
                                        const struct annotation *mark, size_t count,
                                        struct error *err)
{
    size_t bytes = ingress->annotation_bytes;
    for (size_t i = 0; i < count; i++)
        bytes += strlen(mark[i].name) + strlen(mark[i].value);
    if (bytes <= LIMIT_ANNOTATIONS_BYTES)
        return RR_OK;
    error_set(
        err, ERR_TOO_LARGE,
        "%s '%s': with a record of its backends its annotations would have %zu bytes, and %zu "
        "are allowed",
        kind_name, ingress->name, bytes, LIMIT_ANNOTATIONS_BYTES);
    return error_hint(err, "split the Ingress, remove large annotations, or leave it out of "
                           "disableIngress: with 0 replicas its requests get 503 all the same");
}

static enum errc mark(struct intent *intent, struct str *patch, struct error *err)
{
    const struct ingress *ingress = intent->ingress;
    const struct annotation annotations[] = {
        {MARK_BACKENDS, ingress->backends},
        {MARK_RUN, intent->run},
        {MARK_STATE, intent->state},
    };
    size_t count = sizeof annotations / sizeof *annotations;
    enum errc code = check_annotation_space(ingress, annotations, count, err);
    if (!code)
        change_annotate(patch, ingress->has_annotations, annotations, count);
    return code;
}

static enum errc plan_disabling(void *context, struct str *patch, bool *ret_is_done,
                                struct error *err)
{
    struct intent *intent = context;
    const struct ingress *ingress = intent->ingress;
    BACKENDS_GUARD struct backends now = {0}, recorded = {0};
    if (change_check_state(kind_name, ingress->name, ingress->marked_state, ingress->marked_run,
                           intent->state, err) ||
        parse_present(intent, &now, err) ||
        parse_record(intent, ingress->marked_backends, &recorded, err) ||
        (now.count && !ingress->is_marked && mark(intent, patch, err)))
        return err->code;
    size_t replaced = 0;
    for (size_t i = 0; i < now.count; i++) {
        const struct backend *one = &now.items[i];
        const struct backend *known = backends_take(&recorded, one);
        /* Under an older mark, what it does not record would be lost. */
        bool is_known = !ingress->is_marked || (known && json_equal(known->value, one->value));
        if (!is_known || json_equal(one->value, intent->service))
            continue;
        replace(patch, one->path, one->value, intent->service);
        replaced++;
    }
    *ret_is_done = now.count == 0 || (ingress->is_marked && replaced == 0 &&
                                      text_equal(ingress->marked_run, intent->marked_run));
    return RR_OK;
}

static enum errc plan_enabling(void *context, struct str *patch, bool *ret_is_done,
                               struct error *err)
{
    struct intent *intent = context;
    const struct ingress *ingress = intent->ingress;
    BACKENDS_GUARD struct backends now = {0}, recorded = {0};
    if (parse_present(intent, &now, err) || parse_record(intent, intent->recorded, &recorded, err))
        return err->code;
    intent->left_alone = 0;
    for (size_t i = 0; i < recorded.count; i++) {
        const struct backend *was = &recorded.items[i];
        const struct backend *is = backends_take(&now, was);
        if (is && json_equal(is->value, was->value))
            continue;
        if (is && json_equal(is->value, intent->service))
            replace(patch, is->path, is->value, was->value);
        else
            intent->left_alone++;
    }
    *ret_is_done = !ingress->is_marked && patch->length == 0;
    if (ingress->marked_backends)
        change_remove_annotation(patch, MARK_BACKENDS);
    if (ingress->marked_run)
        change_remove_annotation(patch, MARK_RUN);
    if (ingress->marked_state)
        change_remove_annotation(patch, MARK_STATE);
    return RR_OK;
}

static enum errc apply(struct kube *kube, struct intent *intent, const char *service_backend,
                       enum errc (*plan)(void *, struct str *, bool *, struct error *),
                       struct error *err)
{
    const struct ingress *ingress = intent->ingress;
    JSON_GUARD struct json_document *service = NULL;
    if (json_parse(service_backend, strlen(service_backend), "the maintenance Service", &service,
                   err))
        return err->code;
    intent->service = json_root(service);
    struct change change = {
        .kube = kube,
        .resource = ingress_resource(),
        .kind = kind_name,
        .name = ingress->name,
        .uid = ingress->uid,
        .resource_version = ingress->resource_version,
        .plan = plan,
        .take = take_object,
        .context = intent,
    };
    return change_apply(&change, err);
}

enum errc ingress_disable(struct kube *kube, struct arena *arena, struct ingress *ingress,
                          const char *service_backend, const char *run, const char *state,
                          struct error *err)
{
    struct intent intent = {
        .arena = arena,
        .ingress = ingress,
        .run = run,
        .state = state,
        .marked_run = ingress->is_marked ? ingress->marked_run : run,
    };
    return apply(kube, &intent, service_backend, plan_disabling, err);
}

enum errc ingress_enable(struct kube *kube, struct arena *arena, struct ingress *ingress,
                         const char *recorded, const char *service_backend, size_t *ret_left_alone,
                         struct error *err)
{
    struct intent intent = {
        .arena = arena,
        .ingress = ingress,
        .recorded = recorded ? recorded : ingress->marked_backends,
    };
    enum errc code = apply(kube, &intent, service_backend, plan_enabling, err);
    if (!code)
        *ret_left_alone = intent.left_alone;
    return code;
}
