#include "lib/kube/pod.h"

#include <string.h>

#include "lib/kube/meta.h"

enum { NAME_SHOWN = 63, WORD_SHOWN = 40, MESSAGE_SHOWN = 120, CONTAINERS_SHOWN = 2 };

const struct kube_resource *pod_resource(void)
{
    static const struct kube_resource resource = {"", "v1", "pods", false};
    return &resource;
}

bool pod_belongs_to(const struct json *pod, const struct workload *workload)
{
    const struct json *owner = meta_controller(pod);
    if (!owner)
        return true;
    const char *kind = json_get_text(owner, "kind");
    if (workload->kind == WORKLOAD_DEPLOYMENT)
        return text_equal(kind, "ReplicaSet");
    return text_equal(kind, workload_kind_name(workload->kind)) &&
           text_equal(json_get_text(owner, "name"), workload->name);
}

bool pod_may_run(const struct json *pod)
{
    const char *phase = json_get_text(json_get(pod, "status"), "phase");
    return !text_equal(phase, "Succeeded") && !text_equal(phase, "Failed");
}

static const struct json *condition(const struct json *pod, const char *type)
{
    return meta_find(json_get(json_get(pod, "status"), "conditions"), "type", type);
}

bool pod_is_ready(const struct json *pod)
{
    return text_equal(json_get_text(condition(pod, "Ready"), "status"), "True");
}

/* ---- by address ---- */

struct search {
    const struct workload *workload;
    struct arena *arena;
    const char *address, *name;
};

/* On the host's network it shares the address with whatever else runs on that node. */
static bool has_address(const struct json *pod, const char *address)
{
    bool is_on_host = false;
    if (json_bool(json_get(json_get(pod, "spec"), "hostNetwork"), &is_on_host) && is_on_host)
        return false;
    const struct json *status = json_get(pod, "status");
    return text_equal(json_get_text(status, "podIP"), address) ||
           meta_find(json_get(status, "podIPs"), "ip", address);
}

static enum errc look_at_address(void *context, const struct json *pod, struct error *err)
{
    (void)err;
    struct search *search = context;
    if (!search->name && pod_belongs_to(pod, search->workload) && pod_may_run(pod) &&
        has_address(pod, search->address))
        search->name = arena_strdup(search->arena, kube_meta(pod, "name"));
    return RR_OK;
}

enum errc pod_find_by_address(struct kube *kube, struct arena *arena,
                              const struct workload *workload, const char *address,
                              const char **ret_name, struct error *err)
{
    struct search search = {.workload = workload, .arena = arena, .address = address};
    enum errc code =
        kube_list(kube, pod_resource(), workload->pod_selector, look_at_address, &search, err);
    if (!code)
        *ret_name = search.name;
    return code;
}

/* ---- words ---- */

/* "REASON" or "REASON: MESSAGE"; reasons are words, messages may be anything. */
static void describe_reason(struct str *s, const struct json *thing)
{
    const char *reason = json_get_text(thing, "reason");
    const char *message = json_get_text(thing, "message");
    str_append_quoted(s, reason ? reason : "no reason given", WORD_SHOWN);
    if (message && *message) {
        str_append(s, ": ");
        str_append_quoted(s, message, MESSAGE_SHOWN);
    }
}

static void describe_end(struct str *s, const struct json *terminated)
{
    int64_t code = 0;
    describe_reason(s, terminated);
    if (json_int(json_get(terminated, "exitCode"), &code))
        str_printf(s, ", exit code %lld", (long long)code);
}

/* What keeps a container from being ready; nothing if it says nothing. */
static bool describe_container(struct str *s, const struct json *container)
{
    const struct json *state = json_get(container, "state");
    const struct json *waiting = json_get(state, "waiting");
    const struct json *ended = json_get(state, "terminated");
    const struct json *last = json_get(json_get(container, "lastState"), "terminated");
    bool is_ready = false;
    json_bool(json_get(container, "ready"), &is_ready);
    if (is_ready || (!waiting && !ended && !last))
        return false;
    str_append(s, ", container ");
    str_append_quoted(s, json_get_text(container, "name"), NAME_SHOWN);
    if (waiting) {
        str_append(s, " waits: ");
        describe_reason(s, waiting);
    }
    if (ended || last) {
        str_append(s, ended ? " has ended: " : " ended before: ");
        describe_end(s, ended ? ended : last);
    }
    return true;
}

static void describe_containers(struct str *s, const struct json *status)
{
    static const char *const lists[] = {"initContainerStatuses", "containerStatuses"};
    size_t shown = 0;
    for (size_t i = 0; i < 2; i++) {
        const struct json *list = json_get(status, lists[i]);
        for (const struct json *one = json_is_array(list) ? json_first(list) : NULL;
             one && shown < CONTAINERS_SHOWN; one = json_next(one))
            shown += describe_container(s, one);
    }
}

void pod_describe(struct str *s, const struct json *pod)
{
    const struct json *status = json_get(pod, "status");
    const char *phase = json_get_text(status, "phase");
    const char *node = json_get_text(json_get(pod, "spec"), "nodeName");
    const char *deleted = kube_meta(pod, "deletionTimestamp");
    const struct json *scheduled = condition(pod, "PodScheduled");
    str_append_quoted(s, kube_meta(pod, "name"), NAME_SHOWN);
    str_append(s, " (");
    str_append_quoted(s, phase ? phase : "Unknown", WORD_SHOWN);
    if (node) {
        str_append(s, " on node ");
        str_append_quoted(s, node, NAME_SHOWN);
    }
    if (deleted) {
        str_append(s, ", being deleted since ");
        str_append_quoted(s, deleted, WORD_SHOWN);
    }
    if (text_equal(json_get_text(scheduled, "status"), "False")) {
        str_append(s, ", ");
        describe_reason(s, scheduled);
    }
    if (json_get_text(status, "reason")) { /* Evicted, NodeLost */
        str_append(s, ", ");
        describe_reason(s, status);
    }
    describe_containers(s, status);
    str_append_char(s, ')');
}
